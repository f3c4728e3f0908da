"""What is masked stands in nothing that is written, sent, traced or said about a call, wherever on the line that is."""

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from guardrail_slack.blocks import message
from hypothesis import HealthCheck, given, settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail.calls import Agent, Call
from guardrail.decisions import Decision, Obligation, Reason
from guardrail.errors import Conflict, Denied, Withheld
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.masking import mask
from guardrail.outcomes import Outcome
from guardrail.pointers import leaves, places
from guardrail.policy import PolicyInput
from guardrail.sealing import SealingKey
from guardrail.showing import show
from guardrail.testing import ScriptedPolicy, decision
from tests.test_hidden import ARGUMENTS, POINTERS

SECRET = "correct horse battery staple"
Guarded = Callable[..., Guardrail]


def quoting(effect: Any, mask: tuple[str, ...] = ("/secret",), **more: Any) -> Decision:
    """A decision that tells all it can of its call."""
    said = decision(effect, rule="r", message=f"because of {SECRET}", **more)
    reason = Reason(rule="o", message=f"{SECRET} is watched", fix=f"not {SECRET}")
    return Decision(
        effect=said.effect, reasons=(*said.reasons, reason), asks=said.asks, mask=mask, observed=(reason,), revision="1"
    )  # fmt: skip


def act(secret: str, open_: str = "plain") -> str:
    return f"did {open_} with {secret}"


def raised(guard: Guardrail, **given: Any) -> Denied:
    with pytest.raises(Denied) as refused, guard.run("r1"):
        guard.tool(act, agent="a", name="act", waiting="answer")(**{"secret": SECRET, **given})
    return refused.value


def bodies(ledger: Ledger) -> list[Mapping[str, Any]]:
    return [record.fields for record in ledger.records("r1")]


def test_a_denial_says_nothing_of_it(guard_that: Guarded):
    denied = raised(guard_that(lambda _: quoting("deny")))
    told = "\n".join((*traceback.format_exception(denied), repr(denied), repr(denied.outcome.reasons)))
    assert SECRET not in told
    assert "because of [masked]" in str(denied)


def test_the_record_lists_what_it_hides_with_a_keyed_digest(guard_that: Guarded, tmp_path: Path):
    guard = guard_that(lambda _: quoting("deny", ("/secret", "/nothing")))
    raised(guard)
    key = SealingKey.read(tmp_path / "guardrail.db.key").masking
    expected = mask({"secret": SECRET}, ["/secret"], key=key).value["secret"]["masked"]
    (denied,) = (fields for fields in bodies(guard.ledger) if fields["kind"] == "denied")
    assert denied["masked"] == [{"at": "/secret", "digest": expected}]


def test_a_record_names_no_member_that_the_tool_does_not_declare(guard_that: Guarded):
    def store(env: dict[str, Any], rows: list[dict[str, str]]) -> None: ...

    guard = guard_that(lambda _: quoting("deny", ("/env/*", "/rows/*/pin")))
    with pytest.raises(Denied), guard.run("r1"):
        guard.tool(store, agent="a")({SECRET: "v"}, [{"pin": "4711"}])
    (denied,) = (fields for fields in bodies(guard.ledger) if fields["kind"] == "denied")
    assert [item["at"] for item in denied["masked"]] == ["/env/*", "/rows/*/*"]
    assert SECRET not in json.dumps(denied)


def test_nothing_masked_is_no_list(guard_that: Guarded):
    guard = guard_that("allow")
    with guard.run("r1"):
        guard.tool(act, agent="a")(SECRET)
    assert [fields["kind"] for fields in bodies(guard.ledger) if "masked" in fields] == []


def test_a_policy_that_breaks_hides_everything(guard_that: Guarded):
    def broken(_: PolicyInput) -> Decision:
        raise LookupError(f"no entry for {SECRET}")

    denied = raised(guard_that(broken))
    assert (SECRET in str(denied), denied.outcome.mask) == (False, ("",))
    assert "open_=plain" not in str(denied)


def test_a_ledger_that_is_lost_hides_everything_since_no_policy_was_asked(guard_that: Guarded):
    guard = guard_that(lambda _: quoting("allow"))
    tool = guard.tool(act, agent="a")
    with pytest.raises(Denied) as refused, guard.run("r1"):
        guard.ledger.close()
        tool(SECRET)
    assert (SECRET in str(refused.value), "open_=plain" in str(refused.value)) == (False, False)


def test_a_change_that_does_not_fit_leaves_it_masked_in_the_record_that_says_so(guard_that: Guarded):
    change = Obligation(name="replace", value={"/open_": 7})
    said = quoting("allow")
    said = Decision(effect="allow", reasons=said.reasons, obligations=(change,), mask=said.mask, revision="1")
    guard = guard_that(lambda _: said)
    assert SECRET not in str(raised(guard))
    (denied,) = (record for record in guard.ledger.records("r1") if record.kind == "denied")
    assert json.loads(denied.detail or b"")["decision"]["mask"] == ["/secret"]


def test_arguments_that_do_not_validate_are_quoted_by_nothing_that_is_raised(guard_that: Guarded):
    def pay(secret: int) -> None: ...

    guard = guard_that("allow", hide=["/secret"])
    with pytest.raises(Denied) as refused, guard.run("r1"):
        guard.tool(pay, agent="a")(SECRET)
    told = "".join(traceback.format_exception(refused.value))
    assert (SECRET in told, "Input should be a valid integer" in told) == (False, True)


class Grumbling(ScriptedPolicy):
    """Reviews outputs, and quotes them."""

    reviews = True


def reviewing(effect: Any) -> Callable[[PolicyInput], Decision]:
    """What is said of an output quotes it; the call itself is allowed."""
    return lambda given: quoting("allow" if given.point == "action" else effect)


@pytest.mark.parametrize("effect", ["ask", "deny"])
def test_what_is_said_of_an_output_tells_nothing_of_the_arguments(ledger: Ledger, effect: Any):
    guard = Guardrail(policy=Grumbling(reviewing(effect)), ledger=ledger)
    with pytest.raises(Withheld) as withheld, guard.run("r1"):
        guard.tool(act, agent="a", waiting="answer")(SECRET)
    assert SECRET not in str(withheld.value)


def test_an_output_that_repeats_it_is_not_shown_to_whoever_is_asked(ledger: Ledger):
    guard = Guardrail(policy=Grumbling(reviewing("ask")), ledger=ledger)
    with pytest.raises(Withheld), guard.run("r1"):
        guard.tool(act, agent="a", waiting="answer")(SECRET)
    (request,) = ledger.approvals("pending")
    seen = show(ledger, request.id, key=b"key")
    assert (seen.hidden, SECRET in repr(seen)) == (("/output",), False)


def asked(guard: Guardrail, **arguments: Any) -> tuple[str, Outcome]:
    """Ask people about the call `c1`; answers the request, and what the agent gets."""
    tool = guard.tool_definition(
        name="act", server="s", schema={"properties": {name: {} for name in arguments}}
    )
    call = Call.of(arguments, run="r1", id="c1", tool=tool, agent=Agent(id="a"))
    outcome = guard.perform(
        Attempt(call=call, invoke=lambda judged: dict(judged.arguments)), waiting="answer"
    )
    return outcome.approval or "", outcome


def test_the_words_of_who_was_shown_it_are_kept_without_it(guard_that: Guarded):
    guard = guard_that(lambda _: quoting("ask"))
    request, _ = asked(guard, secret=SECRET)
    voted = guard.ledger.vote(request, "ben", "reject", channel="test", reason=f"who sends {SECRET.upper()}?")
    assert [vote.reason for vote in voted.votes] == ["who sends [masked]?"]
    _, outcome = asked(guard, secret=SECRET)
    assert "who sends [masked]?" in repr(outcome.reasons)


def test_the_words_about_an_edited_request_are_kept_without_what_the_first_one_hid(guard_that: Guarded):
    guard = guard_that(lambda _: quoting("ask"))
    request, _ = asked(guard, secret=SECRET)
    guard.ledger.edit(request, "ben", {"secret": "another one"}, channel="test", reason=f"not {SECRET}")
    second, outcome = asked(guard, secret=SECRET)
    assert second != request
    assert "ben changed the arguments: not [masked]" in repr(outcome.reasons)
    voted = guard.ledger.vote(
        second, "ben", "reject", channel="test", reason=f"neither {SECRET} nor another one"
    )
    assert [vote.reason for vote in voted.votes] == ["neither [masked] nor [masked]"]
    seen = show(guard.ledger, second, key=b"key")
    assert [SECRET in repr(part) for part in (seen.changes, seen.arguments, seen.lines)] == [False] * 3


@pytest.mark.parametrize("unknown", [True, False])
def test_a_reason_for_a_request_that_cannot_be_read_is_kept_as_it_is(guard_that: Guarded, unknown: bool):
    guard = guard_that(lambda _: quoting("ask", ()))
    request, _ = asked(guard, secret=SECRET)
    if unknown:
        with pytest.raises(Conflict):
            guard.ledger.vote("0" * 32, "ben", "reject", channel="test", reason="why")
    else:
        voted = guard.ledger.vote(request, "ben", "reject", channel="test", reason="why")
        assert [vote.reason for vote in voted.votes] == ["why"]


def test_what_was_erased_leaves_the_keyed_digest_and_no_value(guard_that: Guarded):
    guard = guard_that(lambda _: quoting("deny"))
    raised(guard)
    before = [fields.get("masked") for fields in bodies(guard.ledger)]
    guard.ledger.erasing.erase("r1", by="anna", reason="asked to")
    after = bodies(guard.ledger)
    assert [fields.get("masked") for fields in after][: len(before)] == before
    assert [record.detail for record in guard.ledger.records("r1") if record.kind == "denied"] == [None]
    verified = guard.ledger.verify()
    assert (verified.ok, after[-1]["kind"]) == (True, "erased")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=ARGUMENTS, pointers=POINTERS)
def test_nothing_masked_is_found_in_any_record_span_or_slack_body(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], pointers: list[str]
):
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr("guardrail.spans._TRACER", provider.get_tracer("guardrail"))

    def judged(given: PolicyInput) -> Decision:
        told = json.dumps(given.call.arguments, ensure_ascii=False)
        said = decision("ask", rule="r", message=f"about {told}")
        return Decision(
            effect="ask", reasons=said.reasons, asks=said.asks, mask=tuple(pointers), revision="1"
        )

    guard = Guardrail(policy=ScriptedPolicy(judged), ledger=ledger)
    with guard.run() as run:
        call = Call.of(
            arguments,
            run=run.id,
            id="c",
            tool=guard.tool_definition(name="act", server="s"),
            agent=Agent(id="a"),
        )
        attempt = Attempt(call=call, invoke=lambda _: None)
        outcome = guard.perform(attempt, waiting="answer")
        said = guard.explain(call, outcome)
    seen = show(ledger, outcome.approval or "", key=b"key")
    body = json.dumps(message(seen).body, ensure_ascii=False)
    records = "".join(record.body.decode() for record in ledger.records(run.id))
    traced = "".join(span.to_json() for span in spans.get_finished_spans())
    assert traced
    masked = [place.value for pointer in pointers for place in places(arguments, pointer)]
    hidden = [leaf.value for value in masked for leaf in leaves(value) if isinstance(leaf.value, str)]
    for text in (text for text in hidden if len(text) >= 8 and text.strip()):
        spelled = json.dumps(text, ensure_ascii=False)[1:-1]
        assert [spelled in where for where in (body, records, traced, said)] == [False] * 4
