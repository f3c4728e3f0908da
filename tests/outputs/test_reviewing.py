"""Checks, rules and sinks together: what agents and users read is what was released, through the whole line."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.decisions import Decision, Obligation, Reason
from guardrail.errors import ConfigError, Denied, InvalidArguments, Unreviewed, Withheld
from guardrail.guard import Guardrail
from guardrail.outputs import Answer, ConfiguredCheck, Output
from guardrail.rego import RegoPolicy
from guardrail.sinks import Sink
from guardrail.testing import ScriptedPolicy

TOKEN = "ghp_" + "a1B2" * 9

RULES = """package guardrail.rules.outputs

allow contains {"rule": "actions", "message": "fine"} if input.point == "action"

found[check.name] := check if {
    input.point == "output"
    some check in input.output.checks
}

deny contains {"rule": "outputs.unlooked", "message": object.get(check, "message", "")} if {
    some check in found
    check.required
    check.verdict == "error"
}

ask contains {"rule": "outputs.personal", "message": "it holds personal data"} if {
    input.output.sink == "user"
    found.personal.verdict == "fail"
}

allow contains {"rule": "outputs.secrets", "message": "without secrets", "obligations": {"redact": ["secrets"]}} if {
    input.point == "output"
    found.secrets.verdict == "fail"
}

allow contains {"rule": "outputs.fine", "message": "fine"} if input.point == "output"
"""


@pytest.fixture
def guarding(tmp_path: Path) -> Iterator[Callable[..., Guardrail]]:
    made: list[Guardrail] = []

    def make(**fields: Any) -> Guardrail:
        policy = fields.pop("policy", None) or RegoPolicy(Bundle.of({"outputs/outputs.rego": RULES}))
        made.append(Guardrail(policy=policy, ledger=tmp_path / "g.db", **fields))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


def returned(guard: Guardrail, content: Any) -> Any:
    """What an agent reads where its tool returns this."""

    def look() -> Any:
        return content

    with guard.run("r"):
        return guard.tool(look, agent="a")()


def kept(guard: Guardrail) -> str:
    return "".join((record.detail or b"").decode() for record in guard.ledger.records("r"))


# --- what tools return --------------------------------------------------------------------------------


def test_an_agent_reads_what_is_left_of_an_output_and_nothing_else_is_kept(
    guarding: Callable[..., Guardrail],
):
    guard = guarding()
    assert returned(guard, {"log": [f"using {TOKEN}"], "n": 1}) == {"log": ["using [redacted]"], "n": 1}
    assert TOKEN not in kept(guard)
    assert guard.ledger.read_run("r").labels == ("untrusted",)  # the secret never reached the run


class Worded:
    """An object that JSON knows no form of."""

    def __repr__(self) -> str:
        return f"the key is {TOKEN}"


def looping() -> list[Any]:
    items: list[Any] = [TOKEN]
    return [*items, items.append(items) or items]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Worded(), "the key is [redacted]"),
        ({"a": Worded()}, {"a": "the key is [redacted]"}),
        (ValueError(TOKEN), "ValueError('[redacted]')"),
        ({"a": b"\xff", "b": TOKEN}, "{'a': b'\\xff', 'b': '[redacted]'}"),
        (looping(), "['[redacted]', ['[redacted]', [...]]]"),
    ],
    ids=["object", "inside", "error", "bytes beside it", "loop"],
)
def test_an_object_without_a_json_form_is_judged_by_its_words(
    content: Any, said: Any, guarding: Callable[..., Guardrail]
):
    assert returned(guarding(), content) == said


def test_what_is_nested_too_deep_to_be_read_is_for_the_rules_to_refuse(guarding: Callable[..., Guardrail]):
    deep: Any = TOKEN
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Withheld, match="nested deeper than 64 levels"):
        returned(guarding(), deep)


def test_an_output_that_cannot_be_looked_at_is_for_the_rules_to_refuse(guarding: Callable[..., Guardrail]):
    with pytest.raises(Withheld, match="holds a NUL character"):
        returned(guarding(), "a\x00b")


class Failing:
    version = "1"

    def look(self, output: Output) -> Answer:
        raise RuntimeError("out of order")


def test_a_required_check_that_fails_to_look_lets_nothing_through(guarding: Callable[..., Guardrail]):
    check = ConfiguredCheck(name="own", check=Failing())
    with pytest.raises(Withheld, match="it raised RuntimeError: out of order"):
        returned(guarding(checks=[check]), "hello")


def test_what_is_redacted_by_a_check_that_is_not_there_is_withheld(guarding: Callable[..., Guardrail]):
    reasons = (Reason(rule="own", message="m"),)
    obliged = Decision(
        effect="allow", reasons=reasons, obligations=(Obligation(name="redact", value=["secrets"]),)
    )
    policy = ScriptedPolicy(lambda given: "allow" if given.point == "action" else obliged)
    policy.reviews = True  # type: ignore[attr-defined]
    with pytest.raises(Withheld, match="no check of that name looked"):
        returned(guarding(policy=policy, checks=[]), "hello")


def test_the_name_of_a_check_means_nothing_among_arguments(guarding: Callable[..., Guardrail]):
    reasons = (Reason(rule="own", message="m"),)
    obliged = Decision(
        effect="allow", reasons=reasons, obligations=(Obligation(name="redact", value=["secrets"]),)
    )
    with pytest.raises(Denied, match="its obligations are not a tuple of well-formed"):
        returned(guarding(policy=ScriptedPolicy(lambda _: obliged)), "hello")


def test_a_slow_check_does_not_hold_up_an_event_loop(guarding: Callable[..., Guardrail]):
    looking, go_on = threading.Event(), threading.Event()

    class Slow:
        version = "1"

        def look(self, output: Output) -> Answer:
            looking.set()
            return Answer(verdict="pass" if go_on.wait(30) else "fail")

    guard = guarding(checks=[ConfiguredCheck(name="slow", check=Slow(), limit=60.0)])

    async def look() -> str:
        return "seen"

    async def both() -> str:
        with guard.run("r"):
            call = asyncio.create_task(guard.tool(look, agent="a")())
            while not looking.is_set():
                await asyncio.sleep(0.01)
            go_on.set()
            return await call

    assert asyncio.run(both()) == "seen"


# --- what users are told ------------------------------------------------------------------------------


def test_a_user_is_told_what_was_released_through_a_sink(guarding: Callable[..., Guardrail]):
    guard, told = guarding(), list[Any]()
    sink = Sink(guard, told.append)
    with guard.run("r"):
        answer = guard.emit(f"the key is {TOKEN}", agent="a")
        sink.tell(answer)
        with pytest.raises(Unreviewed):
            sink.tell(f"the key is {TOKEN}")
    figures = guard.ledger.emissions.figures()
    assert (told, figures.told, figures.reviewed, figures.refused) == (["the key is [redacted]"], 1, 1, 1)
    assert [(tool.tool, dict(tool.released)) for tool in figures.tools] == [
        ("guardrail/emit", {"changed": 1})
    ]
    assert guard.ledger.verify().ok


def test_rules_see_who_would_read_it_and_whose_words_it_may_be(guarding: Callable[..., Guardrail]):
    guard = guarding()
    with guard.run("r"):
        guard.emit("hello", agent="a")
        guard.tool(lambda_read := _read, agent="a")()
        guard.emit("hello", agent="a")
    assert lambda_read() == "what strangers wrote"
    seen = [
        (given["tool"]["name"], given["output"]["sink"], given["output"]["trust"], given["arguments"])
        for record in guard.ledger.records("r")
        if record.kind == "settled"
        for given in [json.loads(record.detail or b"")["review"]["given"]]
    ]
    assert seen == [
        ("emit", "user", "trusted", {"content": "hello"}),
        ("_read", "agent", "untrusted", {}),
        ("emit", "user", "untrusted", {"content": "hello"}),
    ]


def _read() -> str:
    return "what strangers wrote"


def test_what_an_agent_says_vouches_for_nothing_and_labels_nothing(guarding: Callable[..., Guardrail]):
    guard = guarding()

    def pay(to: str) -> str:
        return to

    with guard.run("r"):
        guard.emit("shall I pay DE89370400440532013001?", agent="a")
        assert guard.ledger.read_run("r").labels == ()
        guard.tool(pay, agent="a")("DE89370400440532013001")
    (given,) = [
        json.loads(record.detail or b"")["given"]
        for record in guard.ledger.records("r")
        if record.kind == "admitted" and record.fields["tool"] == "local/pay"
    ]
    assert given["labels"]["arguments"]["/to"] == {
        "trust": "unknown",
        "origins": [],
        "readers": None,
        "whole": False,
    }


def test_what_people_have_to_let_through_is_told_once_they_have(guarding: Callable[..., Guardrail]):
    guard = guarding()
    text = f"write to anna@example.com, with {TOKEN}"
    with guard.run("r"):
        with pytest.raises(Withheld, match="HELD") as held:
            guard.emit(text, agent="a", id="1", waiting="answer")
        (approval,) = guard.ledger.approvals("pending")
        shown = guard.ledger.approval_arguments(approval.id).arguments["output"]
        guard.ledger.vote(approval.id, "zoe", "approve", channel="test")
        again = guard.emit(text, agent="a", id="1", waiting="answer")
        once_more = guard.emit(text, agent="a", id="1", waiting="answer")
    assert "anna@example.com" not in str(held.value)
    assert (shown, again, once_more) == ("write to anna@example.com, with [redacted]",) * 3
    assert [each.state for each in guard.ledger.approvals()] == ["consumed"]


def test_a_halted_agent_says_nothing(guarding: Callable[..., Guardrail]):
    guard = guarding()
    guard.ledger.halt("agent:a", "olaf")
    with guard.run("r"), pytest.raises(Denied, match="DENIED"):
        guard.emit("hello", agent="a")


def test_to_speak_uses_up_no_calls(guarding: Callable[..., Guardrail]):
    from guardrail.boundaries import Boundaries, Boundary

    guard = guarding(boundaries=Boundaries({"a": Boundary(tools=("look",), calls_per_run=1)}))
    with guard.run("r"):
        assert [guard.emit("hello", agent="a") for _ in range(3)] == ["hello"] * 3
    assert returned(guard, "seen") == "seen"


def test_without_rules_for_outputs_nothing_counts_as_reviewed(guarding: Callable[..., Guardrail]):
    guard = guarding(policy=ScriptedPolicy("allow"))
    with guard.run("r"), pytest.raises(ConfigError, match="no policy has anything to say of outputs"):
        guard.emit("hello", agent="a")


@pytest.mark.parametrize(
    ("content", "error"), [(object(), InvalidArguments), (float("nan"), InvalidArguments)]
)
def test_what_has_no_json_form_is_not_told(
    content: Any, error: type[Exception], guarding: Callable[..., Guardrail]
):
    guard = guarding()
    with guard.run("r"), pytest.raises(error, match="this cannot be told"):
        guard.emit(content, agent="a")


def test_nothing_is_said_outside_of_a_run(guarding: Callable[..., Guardrail]):
    with pytest.raises(ConfigError, match="outside of a run"):
        guarding().emit("hello", agent="a")


def test_it_may_be_awaited(guarding: Callable[..., Guardrail]):
    guard = guarding()

    async def say() -> Any:
        with guard.run("r"):
            return await guard.emit_async(f"the key is {TOKEN}", agent="a")

    assert asyncio.run(say()) == "the key is [redacted]"
