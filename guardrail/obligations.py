"""Obligations: what a policy wants done to a call before it may run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from guardrail.calls import Call
from guardrail.decisions import Obligation
from guardrail.outputs import REDACTED, CheckResult, redacted
from guardrail.pointers import places, put


def changed_arguments(call: Call, obligations: Sequence[Obligation]) -> dict[str, Any] | None:
    """The arguments as the policy wants them, or None where it wants no change.

    A pointer (RFC 6901) that leads nowhere changes nothing: there is nothing to hide or to replace.
    """
    edits: dict[str, Any] = {}
    for obligation in obligations:
        if obligation.name == "redact":
            edits |= dict.fromkeys(cast("list[str]", obligation.value), REDACTED)
        elif obligation.name == "replace":
            edits |= cast("dict[str, Any]", obligation.value)
    if not edits:
        return None
    arguments = call.arguments
    for pointer, value in edits.items():
        for place in list(places(arguments, pointer)):
            if place.reached:
                put(arguments, place.pointer, value)
    return arguments


def as_obliged(content: Any, obligations: Sequence[Obligation], checks: Sequence[CheckResult]) -> Any:
    """An output as the policy wants it; the same where it wants no change.

    Args:
        content: a JSON value.
        obligations: pointers lead into the content, and names are those of checks.
        checks: what was found in it.

    Raises:
        InvalidArguments: what is to be redacted is not known.
    """
    redact: list[str] = []
    edits: dict[str, Any] = {}
    for obligation in obligations:
        if obligation.name == "redact":
            redact += cast("list[str]", obligation.value)
        elif obligation.name == "replace":
            edits |= cast("dict[str, Any]", obligation.value)
    if not (redact or edits):
        return content
    return redacted(content, redact=redact, replace=edits, checks=checks)


def deadline(call: Call, obligations: Sequence[Obligation]) -> float | None:
    """Seconds that the tool may take: the shortest of what its definition and the policy say."""
    if not obligations:
        return call.tool.deadline
    limits = [float(item.value) for item in obligations if item.name == "deadline"]
    if call.tool.deadline is not None:
        limits.append(call.tool.deadline)
    return min(limits, default=None)
