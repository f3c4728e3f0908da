"""The form of outputs: what a tool promises to return, as JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import jsonschema
import jsonschema.exceptions
import jsonschema.validators
import referencing.exceptions

from guardrail.errors import ConfigError
from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output
from guardrail.pointers import escape


class JsonSchema:
    """Fails an output that breaks a schema (Draft 2020-12, or the one that it names); a text is read as JSON.

    Args:
        schema: what outputs have to be like. Its patterns run as they stand: one that takes for ever holds up
            the whole process, as no limit can cut a regular expression in Python.

    Raises:
        ConfigError: it is no JSON Schema, or refers to another one.
    """

    version = "1"

    def __init__(self, schema: Mapping[str, Any]) -> None:
        kind = jsonschema.validators.validator_for(dict(schema), default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
        except jsonschema.SchemaError as error:
            raise ConfigError(f"this is no JSON Schema: {error.message}") from error
        self._validator = kind(dict(schema))

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
        try:
            faults = list(cast("Iterable[Any]", self._validator.iter_errors(content)))
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
