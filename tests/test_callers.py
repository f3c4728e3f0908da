"""Many callers at once, through the whole line: one effect a key, and no more than the budget holds."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from guardrail.boundaries import Boundaries, Boundary
from guardrail.calls import Agent, Call, Tool
from guardrail.errors import Denied
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome

CALL = Call.of({"n": 1}, run="r", id="1", tool=Tool(name="pay"), agent=Agent(id="clerk"))
OURS, JOINED = Outcome(status="returned", value=1), Outcome(status="returned", value=1, repeated=True)


def test_one_key_raced_by_8_threads_has_one_effect_and_one_answer(guard_that: Callable[..., Guardrail]):
    guard, effects, start = guard_that(), list[int](), threading.Barrier(8)

    def pay(call: Call) -> int:
        effects.append(1)
        return len(effects)

    def race(_: int) -> Outcome:
        start.wait()
        return guard.perform(Attempt(call=CALL, invoke=pay))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, range(8)))
    assert (effects, answers.count(OURS), answers.count(JOINED)) == ([1], 1, 7)


def test_one_key_raced_by_guards_over_one_ledger_has_one_effect_and_one_answer(
    guard_that: Callable[..., Guardrail],
):
    first, second, effects = guard_that(), guard_that(), list[int]()
    started, goes_on = threading.Event(), threading.Event()

    def pay(call: Call) -> int:
        effects.append(1)
        started.set()
        goes_on.wait()
        return 1

    with ThreadPoolExecutor(2) as pool:
        runs = pool.submit(first.perform, Attempt(call=CALL, invoke=pay))
        started.wait()
        joins = pool.submit(second.perform, Attempt(call=CALL, invoke=pay))
        wait([joins], timeout=0.3)
        goes_on.set()
        assert (runs.result(), joins.result(), effects) == (OURS, JOINED, [1])


def test_one_key_raced_by_8_tasks_has_one_effect_and_one_answer(guard_that: Callable[..., Guardrail]):
    guard, effects = guard_that(), list[int]()

    async def pay(call: Call) -> int:
        effects.append(1)
        await asyncio.sleep(0.01)
        return len(effects)

    async def race() -> list[Outcome]:
        attempt = Attempt(call=CALL, invoke=pay)
        return await asyncio.gather(*(guard.perform_async(attempt) for _ in range(8)))

    answers = asyncio.run(race())
    assert (effects, answers.count(OURS), answers.count(JOINED)) == ([1], 1, 7)


INSIDE = (
    "blocked",
    "DENIED",
    ["this call is inside itself: the tool that runs it has made it again"],
)


def told(outcome: Outcome) -> tuple[str, str | None, list[str]]:
    return outcome.status, outcome.heading, [reason.message for reason in outcome.reasons]


@pytest.mark.parametrize("deadline", [None, 30.0])
@pytest.mark.parametrize("over", ["the same ledger", "another one on the same file"])
def test_a_call_that_its_own_tool_makes_again_is_a_recorded_deny(
    guard_that: Callable[..., Guardrail], ledger: Ledger, tmp_path: Path, over: str, deadline: float | None
):
    """Whoever made it cannot wait for it, since it waits for him."""
    guard = guard_that()
    call = Call.of({}, run="r", id="1", tool=Tool(name="pay", deadline=deadline), agent=Agent(id="clerk"))
    with Ledger.open(tmp_path / "guardrail.db") as other:
        again = guard if over == "the same ledger" else Guardrail(policy=guard.policy, ledger=other)

        def pay(call: Call) -> Any:
            return told(again.perform(Attempt(call=call, invoke=pay)))

        answer = guard.perform(Attempt(call=call, invoke=pay))
    assert (answer.status, answer.value) == ("returned", INSIDE)
    kinds = [record.kind for record in ledger.records("r")]  # of two logs, in no order within a millisecond
    assert sorted(kinds) == ["admitted", "begun", "denied", "settled"]
    assert [listed.state for listed in ledger.calls("r")] == ["returned"]


def test_a_call_that_its_own_coroutine_makes_again_is_a_recorded_deny(
    guard_that: Callable[..., Guardrail], ledger: Ledger
):
    guard = guard_that()

    async def pay(call: Call) -> Any:
        return told(await asyncio.create_task(guard.perform_async(Attempt(call=call, invoke=pay))))

    answer = asyncio.run(guard.perform_async(Attempt(call=CALL, invoke=pay)))
    assert (answer.status, answer.value) == ("returned", INSIDE)
    assert [record.kind for record in ledger.records("r")] == ["begun", "admitted", "denied", "settled"]


def test_a_caller_that_joined_goes_on_when_the_first_one_is_cancelled(guard_that: Callable[..., Guardrail]):
    """The first caller's call reads `unknown`; the second is told so, and runs nothing."""
    guard, effects = guard_that(), list[int]()

    async def pay(call: Call) -> int:
        effects.append(1)
        await asyncio.sleep(30)
        return 1

    async def race() -> Outcome:
        attempt = Attempt(call=CALL, invoke=pay)
        first = asyncio.ensure_future(guard.perform_async(attempt))
        while not effects:
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(guard.perform_async(attempt))
        await asyncio.sleep(0.05)
        first.cancel()
        return await second

    answer = asyncio.run(race())
    assert (effects, answer.status, answer.heading) == ([1], "unknown", "UNKNOWN OUTCOME")


@pytest.fixture(name="ten")
def _ten(tmp_path: Path) -> Guardrail:
    boundaries = Boundaries({"clerk": Boundary(tools=("local/pay",), calls_per_run=10)})
    return Guardrail(boundaries=boundaries, ledger=Ledger.open(tmp_path / "ten.db"))


def test_64_threads_against_a_budget_of_10_run_exactly_10(ten: Guardrail):
    effects: list[int] = []
    start = threading.Barrier(64)
    with ten.run("shared") as run:
        from guardrail.runs import inside

        pay = ten.tool(lambda n: effects.append(n), agent="clerk", name="pay")

        def caller(n: int) -> str:
            start.wait()
            with inside(run, ()):
                try:
                    pay(n)
                except Denied as denied:
                    return denied.outcome.reasons[0].code
            return "ran"

        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(caller, range(64)))
    assert (len(effects), answers.count("ran"), answers.count("budget")) == (10, 10, 54)


def test_64_tasks_against_a_budget_of_10_run_exactly_10(ten: Guardrail):
    effects: list[int] = []

    async def act(n: int) -> None:
        await asyncio.sleep(0)
        effects.append(n)

    pay = ten.tool(act, agent="clerk", name="pay")

    async def caller(n: int) -> str:
        try:
            await pay(n)
        except Denied as denied:
            return denied.outcome.reasons[0].code
        return "ran"

    async def main() -> list[str]:
        return await asyncio.gather(*(caller(n) for n in range(64)))

    with ten.run("shared"):
        answers = asyncio.run(main())
    assert (len(effects), answers.count("ran"), answers.count("budget")) == (10, 10, 54)


def test_a_tool_past_its_deadline_is_unknown_and_its_late_end_is_recorded(
    guard_that: Callable[..., Guardrail], ledger: Ledger
):
    guard, release = guard_that(), threading.Event()
    tool = Tool(name="slow", deadline=0.05)
    call = Call.of({}, run="r", id="1", tool=tool, agent=Agent(id="clerk"))
    outcome = guard.perform(Attempt(call=call, invoke=lambda call: release.wait(10)))
    assert outcome.status == "unknown"
    release.set()
    for _ in range(500):
        late = [record.kind for record in ledger.records("r") if record.kind == "late"]
        if late:
            break
        threading.Event().wait(0.01)
    assert (late, [listed.state for listed in ledger.calls("r")]) == (["late"], ["unknown"])
