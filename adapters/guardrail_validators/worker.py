"""The worker process: validators of guardrails-ai, asked about one text at a time; one line of JSON each way.

It imports nothing of guardrail, so any interpreter with guardrails-ai can run it. The first line says which validators.
What one raises is its answer; what it prints goes nowhere. The process ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, TextIO


def made(wanted: list[Mapping[str, Any]]) -> list[Any]:
    """The validators, with the library's reports about their use turned off."""
    settings: Any = importlib.import_module("guardrails.settings").settings
    settings.rc.enable_metrics = False
    settings.rc.use_remote_inferencing = False
    validators: list[Any] = []
    for item in wanted:
        module, _, name = item["use"].partition(":")
        validators.append(getattr(importlib.import_module(module), name)(**item["arguments"]))
    return validators


def answer(validator: Any, text: str) -> dict[str, Any]:
    """What one validator says of a text. Its message is left out: it may quote the text."""
    name = type(validator).__name__
    try:
        result = validator.validate(text, {})
        spans = [[span.start, span.end] for span in getattr(result, "error_spans", None) or ()]
    except Exception as error:  # noqa: BLE001  validators are other people's code
        return {"validator": name, "error": type(error).__name__}
    return {"validator": name, "outcome": result.outcome, "spans": spans}


def main(requests: TextIO, replies: TextIO) -> None:
    """Say that the validators are there, or why not; then answer, until nobody asks."""

    def reply(said: Mapping[str, Any]) -> None:
        replies.write(json.dumps(said) + "\n")
        replies.flush()

    try:
        validators = made(json.loads(requests.readline()))
    except Exception as error:  # noqa: BLE001  as above; whoever configures this reads it
        reply({"failed": f"{type(error).__name__}: {error}"})
        return
    reply({"ready": version("guardrails-ai")})
    for line in requests:
        text = json.loads(line)["text"]
        reply({"said": [answer(validator, text) for validator in validators]})


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    main(sys.stdin, answers)
