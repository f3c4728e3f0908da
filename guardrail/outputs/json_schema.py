"""The form of outputs: what a tool promises to return, as JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import jsonschema
import jsonschema.exceptions
import referencing.exceptions

from guardrail.bounded import MOST, TooMuch, Unusable, compiled, counted
from guardrail.errors import ConfigError
from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output
from guardrail.pointers import escape


class JsonSchema:
    """Fails an output that breaks a schema (Draft 2020-12, or the one that it names); a text is read as JSON.

    It takes bounded time, whatever is in an output: strangers write them.

    Args:
        schema: what outputs have to be like.

    Raises:
        ConfigError: it is no JSON Schema, or has a pattern that cannot be matched in bounded time.
    """

    version = "1"

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self._schema = compiled(schema)
        except jsonschema.SchemaError as error:
            raise ConfigError(f"this is no JSON Schema: {error.message}") from error
        except Unusable as error:
            raise ConfigError(
                f"the schema has a pattern that cannot be matched in bounded time: {error}",
                fix="write it without look-around and back references, and not too large",
            ) from error
        except TooMuch as error:
            raise ConfigError(
                f"to look at the schema takes more than {MOST:,} steps", fix="write a smaller one"
            ) from error

    def look(self, output: Output) -> Answer:
        """Every part that breaks the schema, by its place; a content in a text is one place.

        What a tool raises is no result, and breaks no promise about them.
        """
        if output.raised:
            return Answer(verdict="skipped", message="the tool raised, and promises nothing about that")
        content = output.content
        text = isinstance(content, str)
        if text:
            try:
                content = json.loads(content)
            except (ValueError, RecursionError):
                return Answer(
                    verdict="fail", message="it is no JSON", findings=(Finding(kind="json", at=""),)
                )
        faults: list[Any] = []
        try:
            with counted():
                faults.extend(cast("Iterable[Any]", self._schema.iter_errors(content)))
        except TooMuch:
            if not faults:  # one that was found is one, whatever comes after it
                return Answer(verdict="error", message=f"to look at it takes more than {MOST:,} steps")
        except referencing.exceptions.Unresolvable as error:
            raise ConfigError("the schema refers to another one, which is not fetched") from error
        if not faults:
            return Answer()
        findings = (_finding(fault, text=text) for fault in faults)
        return Answer(verdict="fail", message=_first(faults[0]), findings=tuple(dict.fromkeys(findings)))


def _finding(fault: jsonschema.exceptions.ValidationError, *, text: bool) -> Finding:
    at = "" if text else "".join(f"/{escape(str(part))}" for part in fault.absolute_path)
    return Finding(kind=fault.validator if isinstance(fault.validator, str) else "false", at=at)


def _first(fault: jsonschema.exceptions.ValidationError) -> str:
    """Which part of the schema is broken where, without the value."""
    where = "/".join(str(part) for part in fault.absolute_path) or "the content"
    return f'{where}: breaks "{fault.validator}" of the schema'
