"""A tool runs once, and whatever it does has a name."""

import asyncio
import threading
from typing import Any

import pytest

from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Decision
from guardrail.execution import Attempt, Judged, execute, execute_async
from guardrail.outcomes import JsonCodec, Outcome

CALL = Call.of({"amount": 5}, run="r", id="1", tool=Tool(name="pay"), agent=Agent(id="payer"))


def undecided(call: Call) -> Decision:
    raise AssertionError("nothing is judged here")


JUDGED = Judged(call=CALL, given=b"{}", decide=undecided)
SHORT, LONG = 0.05, 30.0


def nobody(outcome: Outcome) -> None:
    raise AssertionError("nothing was late")


def attempt(invoke: Any, **changes: Any) -> Attempt:
    return Attempt(call=CALL, invoke=invoke, **changes)


@pytest.mark.parametrize("deadline", [None, LONG])
def test_the_tool_gets_the_judged_arguments(deadline: float | None):
    assert execute(attempt(lambda call: call.arguments), JUDGED, deadline, nobody).value == {"amount": 5}


@pytest.mark.parametrize("deadline", [None, LONG])
@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("x"), "raised"), (KeyboardInterrupt(), "unknown"), (SystemExit(1), "unknown")],
)
def test_what_it_raises_becomes_an_outcome(error: BaseException, status: str, deadline: float | None):
    def fail(call: Call) -> None:
        raise error

    outcome = execute(attempt(fail), JUDGED, deadline, nobody)
    assert (outcome.status, outcome.error) == (status, error)


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Mute(), "Mute (it cannot be put into words)"),
        (ValueError("half a pair: \ud800"), "ValueError: half a pair: \\ud800"),
    ],
)
def test_an_error_that_cannot_be_shown_is_the_tools_answer_all_the_same(error: Exception, message: str):
    def fail(call: Call) -> None:
        raise error

    outcome = execute(attempt(fail), JUDGED, None, nobody)
    assert outcome == Outcome(status="raised", error=error, message=message)


def test_a_frameworks_control_flow_is_what_the_adapter_says_it_is():
    def pause(call: Call) -> None:
        raise RuntimeError("pause")

    assert (
        execute(attempt(pause, status=lambda error: "suspended"), JUDGED, None, nobody).status == "suspended"
    )


def test_a_tool_that_goes_on_past_its_deadline_is_unknown_and_its_end_is_told():
    release, told = threading.Event(), threading.Event()
    late: list[Outcome] = []

    def slow(call: Call) -> str:
        release.wait(10)
        return "paid after all"

    def tell(outcome: Outcome) -> None:
        late.append(outcome)
        told.set()

    outcome = execute(attempt(slow), JUDGED, SHORT, tell)
    release.set()
    assert told.wait(10)
    assert (outcome.status, late) == ("unknown", [Outcome(status="returned", value="paid after all")])


async def run(invoke: Any, deadline: float | None = None) -> Outcome:
    return await execute_async(attempt(invoke), JUDGED, deadline)


def test_a_coroutine_is_awaited_and_a_plain_value_is_taken():
    async def pay(call: Call) -> str:
        await asyncio.sleep(0)
        return "paid"

    assert asyncio.run(run(pay)).value == "paid"
    assert asyncio.run(run(lambda call: "at once")).value == "at once"


def test_a_coroutine_past_its_deadline_is_cancelled_and_unknown():
    cancelled: list[bool] = []

    async def slow(call: Call) -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert (asyncio.run(run(slow, SHORT)).status, cancelled) == ("unknown", [True])


def test_a_time_out_of_the_tools_own_is_its_own_failure():
    async def fail(call: Call) -> None:
        raise TimeoutError("upstream")

    assert asyncio.run(run(fail, LONG)).status == "raised"


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "é", [1, {"a": [None]}], {}])
def test_plain_json_is_kept(value: Any):
    codec = JsonCodec()
    body = codec.dump(value)
    assert body is not None
    assert codec.load(body) == value


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, {"a": (1,)}, object(), b"x", float("nan"), {"a"}])
def test_what_would_read_back_as_something_else_is_not_kept(value: Any):
    assert JsonCodec().dump(value) is None
