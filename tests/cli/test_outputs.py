"""`outputs`: how much of what was read had been reviewed."""

from collections.abc import Callable
from typing import Any

from typer.testing import Result

from guardrail.canonical import compact
from guardrail.sinks import Sink


def test_the_figures_are_those_that_sinks_and_the_ledger_have_counted(
    project: Any, guardrail: Callable[..., Result], document: Callable[..., Any]
):
    project.send("bob")
    with project.guard() as guard:
        guard.ledger.emissions.release("run-1", compact("yes"), call="call_1")
        Sink(guard, str).tell("yes", run="run-1")
    assert guardrail("outputs").stdout.splitlines() == [
        "  told to users     1, 1 of them reviewed (100.0%)",
        "  refused by sinks  0",
        "TOOL             RETURNED  OF THESE",
        "bank/send_money  1         1 unreviewed",
    ]
    assert document("outputs") == {
        "told": 1,
        "reviewed": 1,
        "refused": 0,
        "coverage": 1.0,
        "tools": [{"tool": "bank/send_money", "returned": 1, "released": {"unreviewed": 1}}],
    }
