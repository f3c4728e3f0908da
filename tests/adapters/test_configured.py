"""The adapter under a guard as users have it: from a configuration, with boundaries and Rego."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling

from guardrail.guard import Guardrail
from tests.adapters.graphs import KINDS, START_MESSAGES, Effects, agent, thread, tool_messages

CONFIG = """
[policies]
paths = ["policies"]

[agents.boss]
tools = ["ask_payer", "pay"]
delegates = ["payer"]

[agents.payer]
tools = ["pay"]
budgets = { calls_per_run = 2 }

[agents.reader]
tools = ["look"]

[tools.ask_payer]
effect = "read"

[tools.pay]
effect = "write"

[tools.look]
effect = "read"
"""

RULE = """
package guardrail.rules.small

import rego.v1

deny contains {"rule": "small.amount", "message": "at most 100", "fix": "pay less"} if {
    input.tool.name == "pay"
    is_number(input.arguments.value)
    input.arguments.value > 100
}

allow contains {"rule": "small.ok", "message": "small"} if input.tool.name in {"pay", "look", "ask_payer"}
"""


@pytest.fixture(name="configured")
def _configured(tmp_path: Path) -> Any:
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "small.rego").write_text(RULE)
    with Guardrail.from_config(tmp_path / "guardrail.toml") as guard:
        yield guard


@pytest.mark.parametrize("kind", KINDS)
def test_boundaries_and_rules_hold_in_a_graph(configured: Any, kind: str) -> None:
    effects = Effects()
    script = [calling(*[("pay", {"value": value}) for value in ("500", 1)], ("look", {"value": 1}))]
    tools = [effects.tool("pay"), effects.tool("look")]
    graph = wrap(KINDS[kind](tools, script), configured)
    much, little, look = tool_messages(graph.invoke(START_MESSAGES, thread()))
    assert much.artifact["guardrail"]["rules"] == ["small.amount"]
    assert little.text == "pay 1: ok"
    assert look.artifact["guardrail"]["codes"] == ["boundary"]
    assert effects.done == [("pay", 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_budget_holds_over_parallel_calls(configured: Any, kind: str) -> None:
    effects = Effects()
    script = [calling(*[("pay", {"value": value}) for value in range(8)])]
    graph = wrap(KINDS[kind]([effects.tool("pay")], script), configured)
    answers = tool_messages(graph.invoke(START_MESSAGES, thread()))
    assert len(effects.done) == 2
    assert [message.status for message in answers].count("success") == 2


def test_an_agent_may_do_for_another_only_what_both_may(configured: Any) -> None:
    effects = Effects()
    from langchain_core.tools import tool

    def asker(name: str, inner: Any) -> Any:
        @tool("ask_payer")
        def ask(value: int) -> str:
            """Ask the payer."""
            return tool_messages(inner.invoke(START_MESSAGES))[0].text

        return agent([ask], [calling(("ask_payer", {"value": 1}))], name=name)

    def payer() -> Any:
        return agent([effects.tool("pay")], [calling(("pay", {"value": 1}))], name="payer")

    (by_boss,) = tool_messages(wrap(asker("boss", payer()), configured).invoke(START_MESSAGES, thread("a")))
    (by_reader,) = tool_messages(
        wrap(asker("reader", payer()), configured).invoke(START_MESSAGES, thread("b"))
    )
    assert by_boss.text == "pay 1: ok"
    assert by_reader.artifact["guardrail"]["codes"] == ["boundary"]
    assert effects.done == [("pay", 1)]
