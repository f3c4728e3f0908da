"""What the graph and the model get: the tool's own result, its own error, or a message that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langgraph.errors import ParentCommand
from langgraph.types import Command

from guardrail.calls import Call
from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from guardrail_langgraph.calls import ToolFailed


def answer(guard: Guardrail, call: Call, outcome: Outcome, *, name: str, tool_call_id: str | None) -> Any:
    """What a tool node gives back for one call.

    Args:
        guard: what judged.
        call: what was attempted.
        outcome: how it ended.
        name: the tool's name, as the model wrote it.
        tool_call_id: the id that the model's call carries.

    Raises:
        Exception: what the tool raised (the tool node's own error handling then applies), or LangGraph's
            control flow.
    """
    if outcome.status == "returned" and outcome.heading is None:
        if isinstance(outcome.value, ParentCommand):
            raise outcome.value
        result = _addressed(outcome.value, tool_call_id) if outcome.repeated else outcome.value
        if outcome.changed is None:
            return result
        note = guard.explain(outcome.changed, replace(outcome, heading="CHANGED"))
        return _noted(result, note, tool_call_id)
    if isinstance(outcome.error, ToolFailed):
        return _addressed(outcome.error.message, tool_call_id)
    if outcome.status in ("raised", "suspended") and outcome.error is not None:
        raise outcome.error
    call = outcome.changed or call
    return ToolMessage(
        explanation(guard, call, outcome),
        name=name,
        tool_call_id=tool_call_id or "",
        status="error",
        artifact={"guardrail": _facts(call, outcome)},
    )


def explanation(guard: Guardrail, call: Call, outcome: Outcome) -> str:
    """The words in place of a result."""
    if outcome.status == "raised" and outcome.heading is None:
        said = outcome.message.removeprefix(f"{ToolFailed.__name__}: ")
        return f"Error: {said}\nThis call ran before and failed; it was not run again. Ref: {call.reference}"
    return guard.explain(call, outcome)


def _facts(call: Call, outcome: Outcome) -> dict[str, Any]:
    """For programs: kept in the graph's state, not sent to the model. No arguments."""
    return {
        "call": call.reference,
        "key": call.key,
        "outcome": outcome.status,
        "heading": outcome.heading,
        "rules": [reason.rule for reason in outcome.reasons],
        "codes": [reason.code for reason in outcome.reasons],
        "approval": outcome.approval,
    }


def _addressed(result: Any, tool_call_id: str | None) -> Any:
    """A copy of a stored or shared result that answers this call."""
    if isinstance(result, ToolMessage):
        return result.model_copy(update={"tool_call_id": tool_call_id or ""})
    return result


def _noted(result: Any, note: str, tool_call_id: str | None) -> Any:
    """The result, with a note in front of what the model reads of it."""
    if isinstance(result, ToolMessage):
        content = result.content
        noted = f"{note}\n{content}" if isinstance(content, str) else [note, *content]
        return (
            result.model_copy(update={"content": noted})
            if result.tool_call_id == (tool_call_id or "")
            else result
        )
    if isinstance(result, list):
        return [_noted(item, note, tool_call_id) for item in cast("Sequence[Any]", result)]
    if isinstance(result, Command):
        command = cast("Command[str]", result)
        return replace(command, update=_noted(command.update, note, tool_call_id))
    if isinstance(result, dict):
        updates = cast("dict[str, Any]", result)
        return {
            key: _noted(value, note, tool_call_id) if isinstance(value, list) else value
            for key, value in updates.items()
        }
    return result
