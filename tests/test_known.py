"""What a guard remembers of its callers does not grow with what they call things."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from guardrail.boundaries import Boundaries, Boundary
from guardrail.calls import Agent, Principal
from guardrail.guard import Guardrail
from guardrail.known import Agents, Begun
from guardrail.ledger.memory import Memory
from guardrail.runs import Run


def run(number: int, task: str = "") -> Run:
    return Run(id=f"run-{number}", principal=Principal(), task=task)


def test_a_run_that_has_begun_with_its_task_is_known_and_with_another_is_not() -> None:
    begun = Begun()
    begun.add(run(1, "pay"))
    assert (run(1, "pay") in begun, run(1, "play") in begun, run(2, "pay") in begun) == (True, False, False)


def test_of_a_task_that_is_large_little_is_kept() -> None:
    begun, task = Begun(), "x" * 20_000
    tracemalloc.start()
    for number in range(25_000):
        begun.add(run(number, f"{number} {task}"))
        assert len(begun) <= 10_000
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5_000_000  # the tasks alone are 500 MB


def test_agents_that_are_reached_through_ever_new_chains_are_kept_up_to_a_bound() -> None:
    agents = Agents({"payer": {"team": "finance"}})
    for number in range(5_000):
        chain = (f"lead-{number}", "payer")
        expected = Agent(id="payer", chain=chain, attributes={"team": "finance"})
        assert agents.agent("payer", chain) == expected
        assert len(agents) <= 1_000
    assert agents.agent("payer", ("lead-4999", "payer")) is agents.agent("payer", ("lead-4999", "payer"))


def test_the_guard_remembers_through_these(tmp_path: Path) -> None:
    with Guardrail(ledger=tmp_path / "g.db", boundaries=Boundaries({"payer": Boundary()})) as guard:
        chain = ("lead", "payer")
        assert guard.agent("payer", chain) is guard.agent("payer", chain)
        guard.start(run(1, "pay"))
        guard.start(run(1, "pay"))
        assert [record.kind for record in guard.ledger.records("run-1")] == ["begun"]


def test_definitions_of_tools_that_were_seen_are_kept_up_to_a_bound() -> None:
    memory = Memory()
    for number in range(30_000):
        memory.tools.add(f"{number}")
        memory.trim()
        assert len(memory.tools) <= 10_000
