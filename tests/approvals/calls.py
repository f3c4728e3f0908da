"""Calls of plain functions that are the same call again in whatever process makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardrail.calls import Agent, Call, Principal
from guardrail.execution import Attempt
from guardrail.guard import Guardrail

PRINCIPAL = "user:anna"


def payment(guard: Guardrail, act: Callable[[int], str], number: int, **definition: Any) -> Attempt:
    """One call of a tool of the bank with a number.

    Args:
        guard: whose configuration says what the tool is.
        act: what happens; its name is the tool's.
        number: with what; every number has a run of its own.
        definition: what the tool says of itself.
    """
    tool = guard.tool_definition(name=act.__name__, server="bank", **definition)
    call = Call.of(
        {"number": number}, run=f"run-{number}", id=act.__name__, tool=tool,
        agent=Agent(id="payer"), principal=Principal(id=PRINCIPAL),
    )  # fmt: skip
    return Attempt(call=call, invoke=lambda judged: act(judged.arguments["number"]))
