"""The child process that runs the tests of a bundle (`testing.py`): work in, results out, one a line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from guardrail.bundles import Bundle
from guardrail.rego.interpreter import Interpreter, RegoError


def results(work: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How each test ended, in order.

    Args:
        work: `bundle` as JSON, and `tests`, the `package.name` of each.
    """
    bundle = Bundle.from_json(work["bundle"])
    interpreter = Interpreter(bundle.modules, bundle.data_json)
    for title in work["tests"]:
        started = time.perf_counter()
        error, value, output = "", "", tuple[str, ...]()
        try:
            value, output = interpreter.test(f"data.{title}")
        except RegoError as raised:
            error = str(raised)
            interpreter = Interpreter(bundle.modules, bundle.data_json)
        duration = time.perf_counter() - started
        yield {"passed": value == "true", "error": error, "output": output, "duration": duration}


if __name__ == "__main__":
    for result in results(json.load(sys.stdin)):
        print(json.dumps(result), flush=True)
