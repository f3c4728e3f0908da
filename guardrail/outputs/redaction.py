"""The redaction: a content without the parts that a policy wants nobody to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from guardrail.errors import InvalidArguments
from guardrail.outputs.check import CheckResult, Finding
from guardrail.outputs.output import value_at
from guardrail.pointers import places, put

REDACTED: Final = "[redacted]"
"""What stands in place of what was blanked."""


def redacted(
    content: Any,
    *,
    redact: Iterable[str] = (),
    replace: Mapping[str, Any] | None = None,
    checks: Sequence[CheckResult] = (),
) -> Any:
    """A content with parts blanked, then parts replaced. What was given is not changed.

    Args:
        content: a JSON value.
        redact: names of checks, whose findings are blanked, and JSON pointers, whose values are blanked whole. A
            pointer that goes on where a value has no members blanks that value; one that leads nowhere blanks nothing.
        replace: JSON pointer → value; `""` is the whole content. A pointer that leads nowhere replaces nothing.
        checks: what the checks said of this content.

    Raises:
        InvalidArguments: a name is that of no check that looked, or a pointer is none: what was to be blanked is not
            known.
    """
    findings: list[Finding] = []
    whole: list[str] = []
    for name in redact:
        if name == "" or name.startswith("/"):
            whole += [place.pointer for place in _places(content, name)]
        else:
            findings += _findings(name, checks)
    whole += [finding.at for finding in findings if finding.is_whole]
    content = _copy(content)
    for at in dict.fromkeys(finding.at for finding in findings if not finding.is_whole):
        spans = [(item.start, item.end) for item in findings if item.at == at and not item.is_whole]
        content = put(content, at, _blanked(value_at(content, at), spans))
    for at in sorted(
        dict.fromkeys(whole), key=lambda at: at.count("/"), reverse=True
    ):  # what is inside comes first
        content = put(content, at, REDACTED)
    for pointer, value in (replace or {}).items():
        for place in _places(content, pointer):
            if place.reached:
                content = put(content, place.pointer, _copy(value))
    return content


def _findings(name: str, checks: Sequence[CheckResult]) -> tuple[Finding, ...]:
    """What the check of this name found, where it looked or was not asked."""
    result = next((check for check in checks if check.name == name), None)
    if result is None:
        raise InvalidArguments(
            f"redact names {name!r}, and no check of that name looked at this output",
            fix="name a check of [outputs] checks, or write a JSON pointer",
        )
    if result.verdict == "error":
        raise InvalidArguments(f"redact names the check {name!r}, which could not look: {result.message}")
    return result.findings


def _places(content: Any, pointer: str) -> list[Any]:
    try:
        return list(places(content, pointer))
    except ValueError as error:
        raise InvalidArguments(str(error)) from error


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    """A text without some of its spans, which may overlap."""
    parts: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start >= at:
            parts += (text[at:start], REDACTED)
        at = max(at, end)
    return "".join(parts) + text[at:]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(member) for key, member in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in cast("list[Any]", value)]
    return value
