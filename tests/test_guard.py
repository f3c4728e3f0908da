"""The whole line through plain functions: what a user meets first."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Decision, Obligation
from guardrail.errors import ConfigError, Denied, InvalidArguments, InvalidTool, Rejected, Waiting
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outcomes import explain
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision

GuardThat = Callable[..., Guardrail]


def deny_mallory(given: PolicyInput) -> Any:
    return "deny" if given.call.arguments["to"] == "mallory" else "allow"


class World:
    """What tools did."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def send(self, to: str, amount: int = 1) -> str:
        """Send money."""
        self.sent.append((to, amount))
        return f"sent {amount} to {to}"

    async def send_async(self, to: str, amount: int = 1) -> str:
        """Send money."""
        await asyncio.sleep(0)
        return self.send(to, amount)


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def test_an_allowed_call_runs_once_and_is_recorded(guard_that: GuardThat, world: World, ledger: Ledger):
    guard = guard_that()
    with guard.run("r1", principal="user:anna"):
        assert guard.tool(world.send, agent="payer")("bob", amount=2) == "sent 2 to bob"
    kinds = [record.kind for record in ledger.records("r1") if record.kind in {"admitted", "settled"}]
    assert (world.sent, kinds) == ([("bob", 2)], ["admitted", "settled"])


@pytest.mark.parametrize("call", [("mallory",), {"to": "mallory"}, ("mallory", 5)])
def test_no_way_of_passing_arguments_gets_past_a_rule(guard_that: GuardThat, world: World, call: Any):
    send = guard_that(deny_mallory).tool(world.send, agent="payer")
    with pytest.raises(Denied) as caught:
        send(**call) if isinstance(call, dict) else send(*call)
    assert world.sent == []
    assert str(caught.value).splitlines()[:2] == [
        f"DENIED (nothing was executed): send amount={5 if len(call) == 2 else 1} to=mallory",
        "Reason: the script says deny [scripted]",
    ]


def test_an_async_function_stays_one_and_is_awaited(guard_that: GuardThat, world: World):
    send = guard_that(deny_mallory).tool(world.send_async, agent="payer")
    assert inspect.iscoroutinefunction(send)
    assert asyncio.run(send("bob")) == "sent 1 to bob"
    with pytest.raises(Denied):
        asyncio.run(send("mallory"))
    assert world.sent == [("bob", 1)]


def test_signature_name_and_documentation_stay(guard_that: GuardThat, world: World):
    send = guard_that().tool(world.send, agent="payer")
    assert (send.__name__, send.__doc__, inspect.signature(send)) == (
        "send", "Send money.", inspect.signature(world.send),
    )  # fmt: skip


def test_a_generator_is_refused_when_it_is_wrapped(guard_that: GuardThat):
    def rows():
        yield 1

    with pytest.raises(InvalidTool):
        guard_that().tool(rows, agent="payer")


def test_what_only_promises_a_result_is_no_result(guard_that: GuardThat, world: World):
    """A plain function around an asynchronous one returns before anything has happened."""
    send = guard_that().tool(lambda to: world.send_async(to), agent="payer", name="send")
    with pytest.raises(InvalidTool, match="acts later"):
        send("bob")
    assert world.sent == []


class Rows:
    """What is read one by one, from the loop."""

    def __aiter__(self) -> "Rows":
        return self

    async def __anext__(self) -> str:
        raise StopAsyncIteration


@pytest.mark.parametrize(
    "lazy",
    [
        lambda to: map(str.upper, [to]),
        lambda to: (to for _ in range(1)),
        lambda to: filter(None, [to]),
        lambda to: iter([to]),
        lambda to: Rows(),
        lambda to: Future(),
    ],
)
def test_what_acts_when_it_is_walked_through_is_no_result(guard_that: GuardThat, lazy: Any):
    with pytest.raises(InvalidTool, match="acts later"):
        guard_that().tool(lazy, agent="payer", name="send")("bob")


@pytest.mark.parametrize(
    ("words", "said", "fix"),
    [
        ({"effect": "harmless"}, "the effect of local/send is 'harmless', which is none of read, write, ", ""),
        ({"effect": "Read"}, "the effect of local/send is 'Read'", "did you mean 'read'?"),
        ({"kinds": {"to": "nonsense"}}, "the kind of 'to' of local/send is 'nonsense'", "write one of "),
        ({"waiting": "never"}, "waiting is 'never', which is none of wait, answer", ""),
        ({"agent": None}, "the agent is a NoneType, not a text", ""),
        ({"agent": ""}, "the agent is empty", ""),
    ],
)  # fmt: skip
def test_a_word_that_a_tool_may_not_have_is_refused_when_it_is_wrapped(
    guard_that: GuardThat, world: World, words: Any, said: str, fix: str
):
    with pytest.raises(InvalidTool) as caught:
        guard_that().tool(world.send, **{"agent": "payer", **words})
    assert (said in caught.value.message, fix in caught.value.fix) == (True, True)


@pytest.mark.parametrize(
    ("words", "said", "fix"),
    [
        ({"mode": "Enforce"}, "mode is 'Enforce', which is none of enforce, observe", "did you mean 'enforce'?"),
        ({"mode": None}, "mode is None, which is none of enforce, observe", ""),
        ({"outcome": "Buffered"}, "outcome is 'Buffered'", "did you mean 'buffered'?"),
        ({"hide": ["password"]}, "hide: 'password' is no JSON pointer: write it as '/argument'", ""),
        ({"hide": "/password"}, "hide is the text '/password'; it is a list of JSON pointers", ""),
        ({"hide": [5]}, "hide: 5 is no text", ""),
    ],
)  # fmt: skip
def test_a_word_that_a_guard_may_not_have_is_refused(guard_that: GuardThat, words: Any, said: str, fix: str):
    with pytest.raises(ConfigError) as caught:
        guard_that(**words)
    assert (said in caught.value.message, fix in caught.value.fix) == (True, True)


@pytest.mark.parametrize("principal", [None, 5, "", ["user:anna"], "user:\ud800", "a\x00"])
def test_whom_a_run_is_for_has_a_name(guard_that: GuardThat, ledger: Ledger, principal: Any):
    with (
        pytest.raises(InvalidArguments, match="the id of the principal"),
        guard_that().run(principal=principal),
    ):
        pass
    assert list(ledger.runs()) == []


def test_a_declared_argument_that_the_tool_does_not_have_is_refused(guard_that: GuardThat, world: World):
    with pytest.raises(InvalidTool, match="has no argument 'pth'"):
        guard_that().tool(world.send, agent="payer", kinds={"pth": "path"})


def test_bad_arguments_are_a_recorded_deny(guard_that: GuardThat, world: World, ledger: Ledger):
    guard = guard_that()
    with guard.run("r1"), pytest.raises(Denied, match="beyond ±"):
        guard.tool(world.send, agent="payer")("bob", 2**70)
    denied = [record for record in ledger.records("r1") if record.kind == "denied"]
    assert (world.sent, len(denied)) == ([], 1)


@pytest.mark.parametrize(
    ("named", "what"),
    [
        ({"id": "\ud800"}, "the id of the run holds a lone surrogate"),
        ({"id": "a\0"}, "the id of the run holds a NUL character"),
        ({"id": 5}, "the id of the run is a int, not a text"),
        ({"principal": "\ud800"}, "the id of the principal holds a lone surrogate"),
        ({"principal": None}, "the id of the principal is a NoneType, not a text"),
    ],
)
def test_a_run_that_nothing_could_be_written_down_under_is_refused_by_name(
    guard_that: GuardThat, ledger: Ledger, named: dict[str, Any], what: str
):
    with pytest.raises(InvalidArguments, match=what), guard_that().run(**named):
        pass
    assert list(ledger.runs()) == []


def test_nothing_that_decides_is_no_guard(ledger: Ledger):
    with pytest.raises(ConfigError, match="no policy"):
        Guardrail(ledger=ledger)


def test_what_was_judged_is_what_runs_whatever_happens_to_the_arguments_meanwhile(
    guard_that: GuardThat, ledger: Ledger
):
    paid: list[Any] = []
    invoice = {"to": "bob", "amount": 1}

    def pay(invoice: dict[str, Any]) -> None:
        paid.append(invoice)

    def change_and_approve(_: Any) -> Any:
        invoice["amount"] = 99_999
        return "approve"

    with ScriptedApprover(ledger, change_and_approve):
        guard_that("ask").tool(pay, agent="payer")(invoice)
    assert paid == [{"to": "bob", "amount": 1}]


def test_an_asked_call_runs_after_the_vote_and_names_the_approver_in_its_records(
    guard_that: GuardThat, world: World, ledger: Ledger
):
    guard = guard_that("ask")
    with guard.run("r1"), ScriptedApprover(ledger, person="eve"):
        guard.tool(world.send, agent="payer")("bob")
    [approval] = ledger.approvals()
    assert (world.sent, approval.state, [vote.person for vote in approval.votes]) == (
        [("bob", 1)], "consumed", ["eve"],
    )  # fmt: skip


def test_a_rejected_call_does_not_run(guard_that: GuardThat, world: World, ledger: Ledger):
    send = guard_that("ask").tool(world.send, agent="payer")
    with ScriptedApprover(ledger, "reject"), pytest.raises(Rejected, match="REJECTED"):
        send("bob")
    assert world.sent == []


def test_silence_is_a_refusal(guard_that: GuardThat, world: World, ledger: Ledger):
    guard = guard_that(lambda given: decision("ask", expires_in=0.2))
    with pytest.raises(Rejected) as caught:
        guard.tool(world.send, agent="payer")("bob")
    assert world.sent == []
    assert caught.value.outcome.reasons[0].code == "approval.expired"
    assert [approval.state for approval in ledger.approvals()] == ["expired"]


def test_who_does_not_wait_is_told_what_is_waited_for(guard_that: GuardThat, world: World, ledger: Ledger):
    send = guard_that("ask").tool(world.send, agent="payer", waiting="answer")
    with pytest.raises(Waiting) as caught:
        send("bob")
    assert (world.sent, [approval.id for approval in ledger.approvals("pending")]) == (
        [], [caught.value.outcome.approval],
    )  # fmt: skip


def test_after_the_vote_todays_policy_decides(ledger: Ledger, world: World):
    said: list[Any] = ["ask", "deny"]
    guard = Guardrail(policy=ScriptedPolicy(lambda given: said.pop(0)), ledger=ledger)
    with ScriptedApprover(ledger), pytest.raises(Denied):
        guard.tool(world.send, agent="payer")("bob")
    assert world.sent == []


def test_a_halt_stops_calls_that_are_approved_but_not_run(
    guard_that: GuardThat, world: World, ledger: Ledger
):
    def approve_then_halt(_: Any) -> Any:
        ledger.halt("tool:local/send", by="op", reason="incident")
        return "approve"

    send = guard_that("ask").tool(world.send, agent="payer")
    with ScriptedApprover(ledger, approve_then_halt), pytest.raises(Denied) as caught:
        send("bob")
    assert (world.sent, caught.value.outcome.reasons[0].code) == ([], "halted")


def test_observe_mode_decides_records_and_enforces_nothing(
    guard_that: GuardThat, world: World, ledger: Ledger
):
    guard = guard_that("deny", mode="observe")
    with guard.run("r1"):
        guard.tool(world.send, agent="payer")("bob")
    [admitted] = [record for record in ledger.records("r1") if record.kind == "admitted"]
    assert (world.sent, admitted.fields["decision"], admitted.fields["observe"]) == (
        [("bob", 1)],
        "deny",
        True,
    )


def test_a_policy_that_raises_is_a_deny_that_names_it(guard_that: GuardThat, world: World):
    def broken(given: PolicyInput) -> Any:
        raise ZeroDivisionError("oops")

    with pytest.raises(Denied, match="ScriptedPolicy failed: ZeroDivisionError: oops"):
        guard_that(broken).tool(world.send, agent="payer")("bob")
    assert world.sent == []


def test_an_obligation_changes_what_runs(guard_that: GuardThat, world: World):
    def capped(given: PolicyInput) -> Decision:
        return replace(decision("allow"), obligations=(Obligation(name="replace", value={"/amount": 1}),))

    guard_that(capped).tool(world.send, agent="payer")("bob", 1000)
    assert world.sent == [("bob", 1)]


def test_masked_arguments_stand_in_no_text(guard_that: GuardThat, world: World):
    send = guard_that("deny", hide=["/to"]).tool(world.send, agent="payer")
    with pytest.raises(Denied) as caught:
        send("s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("pointer", ["", "/*", "/to~1from", "/to~1from/deep"])
def test_a_hidden_argument_is_found_by_its_own_name(guard_that: GuardThat, pointer: str):
    call = Call.of({"to/from": "s3cret"}, run="r", id="1", tool=Tool(name="send"), agent=Agent(id="payer"))
    outcome = guard_that("deny", hide=[pointer]).perform(Attempt(call=call, invoke=lambda call: None))
    assert explain(call, outcome).splitlines()[0] == "DENIED (nothing was executed): send"


def hidden(given: PolicyInput, effect: Any) -> Decision:
    return replace(decision(effect), mask=("/to",))


def test_masked_arguments_stand_in_no_text_whatever_the_outcome(
    guard_that: GuardThat, world: World, ledger: Ledger
):
    told: list[str] = []
    for effect in ("deny", "ask"):
        with pytest.raises(Denied) as caught:
            send = guard_that(lambda given, effect=effect: hidden(given, effect)).tool(
                world.send, agent="payer", waiting="answer"
            )
            send("s3cret")
        told.append(str(caught.value))
    ledger.halt("all", by="op")
    with pytest.raises(Denied) as caught:
        guard_that(lambda given: hidden(given, "allow")).tool(world.send, agent="payer")("s3cret")
    assert not any("s3cret" in text for text in [*told, str(caught.value)])


def test_observe_mode_does_not_hold_a_tool_to_a_deadline_of_the_policy(guard_that: GuardThat, world: World):
    def hurried(given: PolicyInput) -> Decision:
        return replace(decision("allow"), obligations=(Obligation(name="deadline", value=0.000001),))

    assert guard_that(hurried, mode="observe").tool(world.send, agent="payer")("bob") == "sent 1 to bob"


def test_deciding_alone_stores_nothing(guard_that: GuardThat, ledger: Ledger):
    guard = guard_that("ask")
    tool = guard.tool_definition(name="send", server="local")
    call = Call.of({"to": "bob"}, run="r1", id="1", tool=tool, agent=Agent(id="payer"))
    assert guard.decide(call).effect == "ask"
    assert (list(ledger.records("r1")), list(ledger.approvals())) == ([], [])


def test_an_agent_reached_through_another_acts_for_the_whole_chain(guard_that: GuardThat, world: World):
    seen: list[tuple[str, ...]] = []

    def note(given: PolicyInput) -> Any:
        seen.append(given.call.agent.chain)
        return "allow"

    guard = guard_that(note)
    send = guard.tool(world.send, agent="payer")

    def delegate(to: str) -> str:
        return send(to)

    guard.tool(delegate, agent="supervisor")("bob")
    assert seen == [("supervisor",), ("supervisor", "payer")]


def test_the_same_goes_for_async_tools(guard_that: GuardThat, world: World):
    seen: list[tuple[str, ...]] = []

    def note(given: PolicyInput) -> Any:
        seen.append(given.call.agent.chain)
        return "allow"

    guard = guard_that(note)
    send = guard.tool(world.send_async, agent="payer")

    async def delegate(to: str) -> str:
        return await send(to)

    asyncio.run(guard.tool(delegate, agent="supervisor")("bob"))
    assert seen == [("supervisor",), ("supervisor", "payer")]


def test_a_run_that_a_tool_opens_keeps_the_chain_that_leads_to_it(guard_that: GuardThat, world: World):
    seen: list[tuple[str, str, tuple[str, ...]]] = []

    def note(given: PolicyInput) -> Any:
        seen.append((given.call.run, given.call.principal.id, given.call.agent.chain))
        return "allow"

    guard = guard_that(note)
    send = guard.tool(world.send, agent="payer")

    def delegate(to: str) -> str:
        with guard.run("inner", principal="user:otto"):
            return send(to)

    with guard.run("outer", principal="user:anna"):
        guard.tool(delegate, agent="boss")("bob")
    assert seen == [
        ("outer", "user:anna", ("boss",)),
        ("inner", "user:otto", ("boss", "payer")),
    ]


def test_a_tool_that_raises_raises_to_its_caller(guard_that: GuardThat, ledger: Ledger):
    def fail() -> None:
        raise LookupError("no such account")

    guard = guard_that()
    with guard.run("r1"), pytest.raises(LookupError, match="no such account"):
        guard.tool(fail, agent="payer")()
    [call] = ledger.calls("r1")
    assert call.state == "raised"


def test_parallel_callers_do_not_mix_their_answers(guard_that: GuardThat):
    guard = guard_that()

    def echo(number: int) -> int:
        return number

    guarded = guard.tool(echo, agent="a")
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(guarded, range(200))) == list(range(200))


def test_a_task_cancelled_while_people_decide_cancels_the_request(
    guard_that: GuardThat, world: World, ledger: Ledger
):
    send = guard_that("ask").tool(world.send_async, agent="payer")

    async def main() -> None:
        task = asyncio.ensure_future(send("bob"))
        while not ledger.approvals("pending"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (world.sent, [approval.state for approval in ledger.approvals()]) == ([], ["cancelled"])


def test_a_task_cancelled_while_the_tool_runs_leaves_an_unknown_outcome(
    guard_that: GuardThat, ledger: Ledger
):
    started = threading.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(30)

    guard = guard_that()

    async def main() -> None:
        with guard.run("r1"):
            task = asyncio.ensure_future(guard.tool(slow, agent="payer")())
            while not started.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert [call.state for call in ledger.calls("r1")] == ["unknown"]
    assert len(guard.flights) == 0


@pytest.mark.parametrize("turns", range(12))
def test_a_task_cancelled_at_any_turn_leaves_nothing_in_flight(
    guard_that: GuardThat, world: World, ledger: Ledger, turns: int
):
    """Whatever step the cancellation meets, an effect has its intent and the call has an end."""
    guard = guard_that()

    async def main() -> None:
        with guard.run("r1"):
            task = asyncio.ensure_future(guard.tool(world.send_async, agent="payer")("bob"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    states = [call.state for call in ledger.calls("r1")]
    assert len(guard.flights) == 0
    assert states in (["returned"], ["unknown"], ["blocked"], [])
    assert not world.sent or states in (["returned"], ["unknown"])
