"""A span for a call and one for each step of its line, with links over waits, and nothing that anybody wrote."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

from guardrail.calls import Agent, Call, Principal
from guardrail.decisions import Obligation, Reason
from guardrail.errors import Denied
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.people import People
from guardrail.telemetry import contexts, names
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision
from guardrail.voting import Voting
from tests.telemetry import sdk


def send(to: str) -> str:
    return f"sent to {to}"


async def send_async(to: str) -> str:
    return f"sent to {to}"


def fail(to: str) -> str:
    raise LookupError(f"no account {to}")


LINE = ["", " > guardrail.decide", " > guardrail.admit", " > guardrail.execute", " > guardrail.review",
        " > guardrail.record"]  # fmt: skip


def below(call: str, steps: list[str] = LINE) -> list[str]:
    return [f"{call}{step}" for step in steps]


def attempt(guard: Guardrail, number: int = 1, invoke: Callable[[Call], Any] = lambda _: "done") -> Attempt:
    """The same number is the same call, whichever guard walks it."""
    tool = guard.tool_definition(name="send", server="local")
    call = Call.of(
        {"number": number}, run="r1", id=f"c{number}", tool=tool, agent=Agent(id="payer"),
        principal=Principal(id="user:anna"),
    )  # fmt: skip
    return Attempt(call=call, invoke=invoke)


def answered(guard: Guardrail, answer: Any = "approve", **said: Any) -> str:
    [request] = guard.ledger.approvals(state="pending")
    guard.voting.vote(request.id, "ben", answer, channel="http", **said)
    return request.id


@pytest.mark.parametrize("tool", [send, send_async], ids=["sync", "async"])
def test_an_allowed_call_is_a_span_with_one_for_every_step(guard_that: Callable[..., Guardrail], tool: Any):
    guard = guard_that()
    with guard.run("r1"):
        answer = guard.tool(tool, agent="payer", name="send")("bob")
        assert (asyncio.run(answer) if asyncio.iscoroutine(answer) else answer) == "sent to bob"
    assert sdk.tree() == below("execute_tool send")
    told = {span.name: dict(span.attributes) for span in sdk.spans()}
    call = told["execute_tool send"]
    reference, number = call.pop("guardrail.call"), call.pop("gen_ai.tool.call.id")
    assert (reference[:5], len(number)) == ("call_", 16)
    assert told == {
        "execute_tool send": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "send",
            "gen_ai.tool.type": "function",
            "gen_ai.agent.name": "payer",
            "gen_ai.conversation.id": "r1",
            "guardrail.agent.chain": ("payer",),
            "guardrail.outcome": "returned",
            "guardrail.mode": "enforce",
            "guardrail.rules": (),
        },
        "guardrail.decide": {
            "guardrail.point": "action",
            "guardrail.effect": "allow",
            "guardrail.rules": ("scripted",),
            "guardrail.observed": (),
            "guardrail.policy.revision": guard.policy.revision,
            "guardrail.mode": "enforce",
        },
        "guardrail.admit": {"guardrail.admission": "admitted"},
        "guardrail.execute": {"guardrail.outcome": "returned"},
        "guardrail.review": {"guardrail.point": "output", "guardrail.released": "unreviewed"},
        "guardrail.record": {"guardrail.record": "settled", "guardrail.outcome": "returned"},
    }


@pytest.mark.parametrize(
    ("script", "tool", "error", "steps"),
    [
        ("deny", send, "guardrail.denied", ["", " > guardrail.decide", " > guardrail.record"]),
        ("ask", send, "guardrail.waiting", ["", " > guardrail.decide", " > guardrail.admit"]),
        ("allow", fail, "LookupError", LINE),
    ],
)
def test_every_other_end_says_what_kind_of_error_it_is(
    guard_that: Callable[..., Guardrail], script: str, tool: Any, error: str, steps: list[str]
):
    with pytest.raises((Denied, LookupError)):
        guard_that(script).tool(tool, agent="payer", name="send", waiting="answer")("bob")
    span = sdk.one("execute_tool")
    assert (span.attributes["error.type"], span.status.is_ok, sdk.tree()) == (
        error, False, below("execute_tool send", steps)
    )  # fmt: skip


def test_what_cannot_be_stated_as_a_call_has_a_span_and_a_model_s_word_for_a_tool_is_not_its_name(
    guard_that: Callable[..., Guardrail],
):
    guard = guard_that()
    with guard.run("r1") as run:
        guard.refuse(
            run=run, call_id="please ignore all that", agent=guard.agent("payer", ("payer",)),
            tool=guard.tool_definition(name="my_password_is_hunter2", server="local"), code="tool.unknown",
            message="there is no tool my_password_is_hunter2",
        )  # fmt: skip
    span = sdk.one("execute_tool")
    assert (span.name, span.attributes["gen_ai.tool.name"], span.attributes["gen_ai.tool.call.id"]) == (
        "execute_tool _OTHER", "_OTHER", "_OTHER"
    )  # fmt: skip
    assert (span.attributes["error.type"], span.attributes["guardrail.rules"]) == (
        "guardrail.denied",
        ("guardrail.tool.unknown",),
    )
    assert "hunter2" not in span.to_json()


def test_spans_of_the_host_stand_around_the_call_and_those_of_a_tool_below_its_execution(
    guard_that: Callable[..., Guardrail],
):
    guard = guard_that()
    inner = guard.tool(send, agent="payer")

    def delegate(to: str) -> str:
        with sdk.TRACER.start_as_current_span("the tool's own"):
            return inner(to)

    with sdk.TRACER.start_as_current_span("host"):
        guard.tool(delegate, agent="supervisor")("bob")
    outer = "host > execute_tool delegate"
    assert sorted(sdk.tree()) == sorted([
        "host",
        *below(outer),
        f"{outer} > guardrail.execute > the tool's own",
        *below(f"{outer} > guardrail.execute > the tool's own > execute_tool send"),
    ])  # fmt: skip


def test_a_tool_with_a_deadline_runs_in_a_thread_below_its_execution(guard_that: Callable[..., Guardrail]):
    def limited(_: Any) -> Any:
        return replace(decision("allow"), obligations=(Obligation(name="deadline", value=30.0),))

    def act(to: str) -> str:
        with sdk.TRACER.start_as_current_span("the tool's own"):
            return to

    guard_that(limited).tool(act, agent="payer")("bob")
    assert sdk.path(sdk.one("the tool's own")) == "execute_tool act > guardrail.execute > the tool's own"


def test_a_wait_in_place_is_a_span_of_the_call(guard_that: Callable[..., Guardrail]):
    guard = guard_that(lambda _: decision("ask", quorum=1, expires_in=600.0))
    with ScriptedApprover(guard.ledger):
        guard.tool(send, agent="payer")("bob")
    span = sdk.one("guardrail.approval")
    [request] = guard.ledger.approvals()
    assert (sdk.path(span), dict(span.attributes)) == (
        "execute_tool send > guardrail.approval",
        {
            "guardrail.approval.request_id": request.id,
            "guardrail.approval.state": "approved",
            "guardrail.approval.quorum.required": 1,
            "guardrail.approval.quorum.reached": 1,
            "guardrail.approval.expires_at": request.expires_at,
            "guardrail.approval.channel": "scripted",
        },
    )
    assert (sdk.linked(sdk.one("execute_tool")), sdk.one("execute_tool").attributes["guardrail.outcome"]) == (
        [], "returned"
    )  # fmt: skip


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_a_call_that_goes_on_after_a_restart_is_linked_to_the_one_that_asked(tmp_path: Path, answer: str):
    def opened() -> Guardrail:
        return Guardrail(policy=ScriptedPolicy("ask"), ledger=tmp_path / "guardrail.db")

    with opened() as guard:
        guard.perform(attempt(guard), waiting="answer")
        asked = sdk.one("execute_tool")
    with opened() as guard, sdk.TRACER.start_as_current_span("the service"):
        request = answered(guard, answer)
    with opened() as guard:
        outcome = guard.perform(attempt(guard), waiting="answer")
    _, resumed = sdk.spans("execute_tool")
    approval, vote = sdk.one("guardrail.approval"), sdk.one("guardrail.vote")
    assert outcome.status == ("returned" if answer == "approve" else "blocked")
    assert [link.context.span_id for link in resumed.links] == [
        asked.context.span_id,
        approval.context.span_id,
    ]
    assert [link.context.span_id for link in approval.links] == [asked.context.span_id]
    assert (approval.parent, resumed.attributes["guardrail.approval.request_id"]) == (None, request)
    assert (
        approval.attributes["guardrail.approval.state"],
        approval.attributes["guardrail.approval.channel"],
    ) == (
        {"approve": "approved", "reject": "rejected"}[answer],
        "http",
    )
    assert approval.end_time >= approval.start_time
    assert (sdk.path(vote), [link.context.span_id for link in vote.links]) == (
        "the service > guardrail.vote",
        [asked.context.span_id],
    )
    assert dict(vote.attributes)["guardrail.approval.answer"] == answer


def test_silence_is_told_as_long_as_it_lasted(tmp_path: Path):
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    with Ledger.open(tmp_path / "guardrail.db", clock=lambda: now[0]) as ledger:
        guard = Guardrail(policy=ScriptedPolicy(lambda _: decision("ask", expires_in=60.0)), ledger=ledger)
        guard.perform(attempt(guard), waiting="answer")
        now[0] = datetime(2026, 1, 2, tzinfo=UTC)
        guard.perform(attempt(guard), waiting="answer")
    span = sdk.one("guardrail.approval")
    assert (span.attributes["guardrail.approval.state"], span.end_time - span.start_time) == (
        "expired",
        60 * 10**9,
    )
    assert sdk.linked(span) == ["execute_tool send"]


def test_the_trace_stands_in_the_record_of_the_request_and_in_no_other(guard_that: Callable[..., Guardrail]):
    guard = guard_that("ask")
    guard.perform(attempt(guard), waiting="answer")
    answered(guard)
    guard.perform(attempt(guard), waiting="answer")
    asked = sdk.spans("execute_tool")[0].context
    traced = {record.kind: record.fields.get("traceparent") for record in guard.ledger.records()}
    assert {kind: trace for kind, trace in traced.items() if trace is not None} == {
        "asked": f"00-{asked.trace_id:032x}-{asked.span_id:016x}-{asked.trace_flags:02x}"
    }
    assert guard.ledger.verify().faults == ()


def test_a_call_that_suspends_ends_its_span_and_no_approval_is_told_before_there_is_one(
    guard_that: Callable[..., Guardrail],
):
    guard = guard_that("ask")
    with pytest.raises(BaseException, match="waiting for approval"):
        guard.perform(attempt(guard), waiting="suspend")
    assert sdk.tree() == below("execute_tool send", ["", " > guardrail.decide", " > guardrail.admit"])
    assert sdk.one("execute_tool").attributes["error.type"] == "guardrail.waiting"


def test_a_cancelled_call_is_unknown_and_says_so(guard_that: Callable[..., Guardrail]):
    guard = guard_that()

    async def walk() -> None:
        begun = asyncio.Event()

        async def never() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(guard.perform_async(attempt(guard, invoke=lambda _: never())))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(walk())
    span = sdk.one("execute_tool")
    assert (span.attributes["guardrail.outcome"], span.attributes["error.type"]) == (
        "unknown",
        "guardrail.unknown",
    )
    assert sdk.measured()["guardrail.calls"] == {"name=send mode=enforce outcome=unknown": 1}


def test_observe_mode_stands_on_the_call_and_on_the_decision(guard_that: Callable[..., Guardrail]):
    guard_that("deny", mode="observe").tool(send, agent="payer")("bob")
    call, decided = sdk.one("execute_tool").attributes, sdk.one("guardrail.decide").attributes
    assert (call["guardrail.mode"], call["guardrail.outcome"]) == ("observe", "returned")
    assert (decided["guardrail.mode"], decided["guardrail.effect"]) == ("observe", "deny")


def test_a_rule_in_observe_mode_is_named(guard_that: Callable[..., Guardrail]):
    told = replace(decision("allow"), observed=(Reason(rule="urls.open", message="never told"),))
    guard_that(lambda _: told).tool(send, agent="payer")("bob")
    assert sdk.one("guardrail.decide").attributes["guardrail.observed"] == ("urls.open",)


def test_votes_that_do_not_count_say_what_kind_of_error_it_was(ledger: Ledger):
    guard = Guardrail(
        policy=ScriptedPolicy("ask"), ledger=ledger, voting=Voting(ledger, People())
    )  # fmt: skip
    guard.perform(attempt(guard), waiting="answer")
    request = answered(guard)
    with pytest.raises(Exception, match="already approved"):
        guard.voting.vote(request, "carl", "approve", channel="slack", reason="the secret reason")
    first, second = sdk.spans("guardrail.vote")
    assert (dict(second.attributes), second.events) == (
        {
            "guardrail.approval.request_id": request,
            "guardrail.approval.answer": "approve",
            "guardrail.approval.channel": "slack",
            "error.type": "Conflict",
        },
        (),
    )
    assert first.attributes["guardrail.approval.quorum.reached"] == 1


class Broken(SpanProcessor):
    """Somebody else's code, which fails at one moment of spans of one name."""

    at: tuple[str, str] = ("", "")

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.fail("start", span.name)

    def on_end(self, span: Any) -> None:
        self.fail("end", span.name)

    def fail(self, moment: str, name: str) -> None:
        if moment == self.at[0] and name.startswith(self.at[1]):
            raise RuntimeError("the secret argument")


BROKEN = Broken()


@pytest.fixture(name="broken")
def _broken() -> Iterator[Broken]:
    provider: Any = trace.get_tracer_provider()
    if BROKEN not in provider._active_span_processor._span_processors:
        provider.add_span_processor(BROKEN)
    yield BROKEN
    BROKEN.at = ("", "")


@pytest.mark.parametrize("moment", ["start", "end"])
@pytest.mark.parametrize("name", ["execute_tool send", *(line.removeprefix(" > ") for line in LINE[1:])])
@pytest.mark.parametrize("tool", [send, send_async], ids=["sync", "async"])
def test_telemetry_that_raises_changes_no_call(
    guard_that: Callable[..., Guardrail], ledger: Ledger, broken: Broken, caplog: pytest.LogCaptureFixture,
    tool: Any, name: str, moment: str,
):  # fmt: skip
    broken.at = (moment, name)
    guarded = guard_that("allow").tool(tool, agent="payer")
    told = guarded("bob")
    assert (asyncio.run(told) if asyncio.iscoroutine(told) else told) == "sent to bob"
    settled = [record.fields["status"] for record in ledger.records() if record.kind == "settled"]
    assert (settled, ledger.status().unknown) == (["returned"], 0)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert "secret" not in caplog.text


@pytest.mark.parametrize("moment", ["start", "end"])
def test_telemetry_that_raises_changes_no_vote(ledger: Ledger, broken: Broken, moment: str):
    guard = Guardrail(policy=ScriptedPolicy("ask"), ledger=ledger, voting=Voting(ledger, People()))
    guard.perform(attempt(guard), waiting="answer")
    broken.at = (moment, "guardrail.vote")
    request = answered(guard)
    assert ledger.approval(request).state == "approved"


def test_the_names_of_the_draft_are_used_where_the_host_wants_them():
    given: Mapping[str, Any] = {"call": "c1", "run": "r1", "revision": "abc", "code": "rule"}
    assert names.drafted("action", "deny", ("urls.open",), **given, changed=False, latest=False) == {}
    assert names.drafted("action", "deny", ("urls.open",), **given, changed=False, latest=True) == {
        "gen_ai.operation.name": "run_guardrail",
        "gen_ai.guardrail.component.name": "guardrail.action",
        "gen_ai.guardrail.target.type": "input",
        "gen_ai.guardrail.target.subtype": "tool_call",
        "gen_ai.guardrail.target.id": "c1",
        "gen_ai.guardrail.verdict.type": "deny",
        "gen_ai.guardrail.verdict.code": "rule",
        "gen_ai.guardrail.action.type": "block",
        "gen_ai.guardrail.security.policy.id": "abc",
        "gen_ai.guardrail.security.policy.rule.id": "urls.open",
        "gen_ai.guardrail.security.content.modified": False,
        "gen_ai.conversation.id": "r1",
    }
    changed = names.drafted("output", "allow", (), **given, changed=True, latest=True)
    assert [changed[f"gen_ai.guardrail.{name}"] for name in ("target.type", "verdict.type", "action.type")] == [
        "output", "modify", "modify"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "name"),
    [("", "guardrail.decide"), ("http, gen_ai_latest_experimental", "run_guardrail guardrail.action")],
)
def test_the_host_says_so_in_its_environment(told: str, name: str):
    answer = subprocess.run(
        [sys.executable, "-c", "from guardrail.spans import _NAMES, Decide; print(_NAMES[Decide])"],
        env={"OTEL_SEMCONV_STABILITY_OPT_IN": told}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout == f"{name}\n"


@pytest.mark.parametrize("told", ["", "00-0", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-x-y-z", "é"])
def test_a_malformed_trace_is_no_trace(told: str):
    assert contexts.link_to(told) is None
