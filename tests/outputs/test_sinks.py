"""A sink tells what was released in its run and nothing else, and what it has told and refused is counted."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guardrail.canonical import compact
from guardrail.errors import ConfigError, Unreviewed
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.emissions import OutputFigures
from guardrail.ledger.verify import verify
from guardrail.sinks import Sink
from guardrail.testing import ScriptedPolicy


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guardrail]:
    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "g.db") as guard:
        yield guard


def release(guard: Guardrail, content: Any, run: str = "r") -> None:
    guard.ledger.emissions.release(run, compact(content), call="call_1")


def counted(guard: Guardrail) -> tuple[int, int, int]:
    found = guard.ledger.emissions.figures()
    return found.told, found.reviewed, found.refused


def test_what_was_released_is_told_as_often_as_it_is_given(guard: Guardrail):
    told: list[Any] = []
    sink = Sink(guard, told.append)
    release(guard, {"answer": 42})
    sink.tell({"answer": 42}, run="r")
    sink.tell({"answer": 42}, run="r")
    assert (told, counted(guard)) == ([{"answer": 42}] * 2, (2, 2, 0))


@pytest.mark.parametrize("content", ["yes!", "yes ", {"text": "yes"}, float("nan"), object()])
def test_anything_else_is_refused_and_told_to_nobody(guard: Guardrail, content: Any):
    told: list[Any] = []
    release(guard, "yes")
    with pytest.raises(Unreviewed):
        Sink(guard, told.append).tell(content, run="r")
    assert told == []


def test_what_was_released_in_another_run_is_refused(guard: Guardrail):
    release(guard, "yes", run="other")
    with pytest.raises(Unreviewed, match="nobody has released this in this run"):
        Sink(guard, print).tell("yes", run="r")
    assert counted(guard) == (0, 0, 1)


def test_once_is_once_whoever_tells_it(guard: Guardrail):
    told: list[Any] = []
    sink = Sink(guard, told.append, once=True)
    release(guard, "yes")
    release(guard, "yes")  # again is no second release

    def attempt(_: int) -> str:
        try:
            sink.tell("yes", run="r")
        except Unreviewed as error:
            return error.message
        return "told"

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(attempt, range(8)))
    assert answers == ["the user was told this already, and is told once"] * 7 + ["told"]
    assert (told, counted(guard)) == (["yes"], (1, 1, 7))


def test_the_run_is_the_one_that_the_code_is_in(guard: Guardrail):
    sink = Sink(guard, lambda content: content)
    with guard.run("r"):
        release(guard, "yes")
        assert sink.tell("yes") == "yes"
    with pytest.raises(ConfigError, match="outside of a run"):
        sink.tell("yes")


def test_a_sink_may_be_awaited(guard: Guardrail):
    async def send(content: Any) -> str:
        return f"sent {content}"

    release(guard, "yes")
    assert asyncio.run(Sink(guard, send).tell_async("yes", run="r")) == "sent yes"
    assert asyncio.run(Sink(guard, lambda content: "plain").tell_async("yes", run="r")) == "plain"


def test_in_observe_mode_nothing_is_refused_and_the_figures_say_so(tmp_path: Path):
    told: list[Any] = []
    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "g.db", mode="observe") as guard:
        sink = Sink(guard, told.append)
        release(guard, "yes")
        for content in ("yes", "no", "no"):
            sink.tell(content, run="r")
        figures = guard.ledger.emissions.figures()
    assert (told, figures) == (["yes", "no", "no"], OutputFigures(told=3, reviewed=1, refused=0, tools=()))
    assert figures.coverage == pytest.approx(1 / 3)


def test_another_process_tells_what_this_one_released_and_the_ledger_verifies(tmp_path: Path):
    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "g.db") as guard:
        release(guard, "a secret answer")
    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "g.db") as again:
        Sink(again, lambda content: content).tell("a secret answer", run="r")
        records = [record for record in again.ledger.records() if record.kind == "emission"]
    assert [
        {name: record.fields[name] for name in ("run", "call", "given", "told")} for record in records
    ] == [{"run": "r", "call": "call_1", "given": "released", "told": True}]
    assert verify(tmp_path / "g.db").ok
    for file in tmp_path.glob("g.db*"):
        assert b"a secret answer" not in file.read_bytes()


def test_nothing_told_is_no_coverage(tmp_path: Path):
    with Ledger.open(tmp_path / "g.db") as ledger:
        assert ledger.emissions.figures().as_json() == {
            "told": 0, "reviewed": 0, "refused": 0, "tools": [], "coverage": None
        }  # fmt: skip


def test_figures_tell_what_became_of_the_outputs_of_tools(guard: Guardrail):
    def pay(amount: int) -> int:
        return amount

    with guard.run("r"):
        guard.tool(pay, agent="payer", server="bank")(3)
        guard.tool(pay, agent="payer", server="bank")(4)
    (tool,) = guard.ledger.emissions.figures().tools
    assert (tool.tool, tool.returned, sum(tool.released.values())) == ("bank/pay", 2, 2)
