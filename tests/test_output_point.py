"""The second decision: what becomes of a result before anybody reads it, through the whole line."""

from pathlib import Path
from typing import Any

import pytest

from guardrail import Guardrail
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call
from guardrail.calls import Tool as Definition
from guardrail.errors import Withheld
from guardrail.execution import Attempt
from guardrail.rego import RegoPolicy

POLICY = """package guardrail.rules.outputs

allow contains {"rule": "action", "message": "fine"} if input.point == "action"

deny contains {"rule": "output.bad", "message": "it is bad", "fix": "ask for less"} if {
    input.point == "output"
    input.output.content == "bad"
}

ask contains {"rule": "output.big", "message": "it is long"} if {
    input.point == "output"
    input.output.bytes > 100
}

allow contains {
    "rule": "output.cut", "message": "without the name", "obligations": {"redact": ["/name"]},
} if {
    input.point == "output"
    is_object(input.output.content)
}

allow contains {"rule": "output.fine", "message": "fine"} if {
    input.point == "output"
    input.output.bytes <= 100
}
"""


class Tool:
    def __init__(self) -> None:
        self.ran = 0

    def say(self, what: Any) -> Any:
        self.ran += 1
        return what


@pytest.fixture(name="guard")
def _guard(tmp_path: Path) -> Any:
    policy = RegoPolicy(Bundle.of({"outputs/outputs.rego": POLICY}))
    with Guardrail(policy=policy, ledger=tmp_path / "l.db") as guard:
        yield guard


def stored(guard: Guardrail, run: str) -> str:
    return "".join(
        (record.detail or b"").decode() for record in guard.ledger.records(run) if record.kind == "settled"
    )


def test_what_nothing_speaks_against_is_handed_on(guard: Guardrail):
    with guard.run("r"):
        assert guard.tool(Tool().say, agent="a")("good") == "good"
    (settled,) = [record for record in guard.ledger.records("r") if record.kind == "settled"]
    assert settled.fields["released"] == "whole"


def test_what_is_withheld_ran_and_is_neither_told_nor_kept(guard: Guardrail):
    tool = Tool()
    with guard.run("r"), pytest.raises(Withheld) as raised:
        guard.tool(tool.say, agent="a")("bad")
    assert tool.ran == 1
    assert str(raised.value).splitlines()[:3] == [
        "WITHHELD (it ran; what it returned is not shown): say what=bad",
        "Reason: it is bad [output.bad]",
        "You may: ask for less",
    ]
    (settled,) = [record for record in guard.ledger.records("r") if record.kind == "settled"]
    assert (settled.fields["released"], settled.fields["state"]) == ("withheld", "returned")
    assert '"content":null' in stored(guard, "r")
    assert '"content":"bad"' not in stored(guard, "r")


def test_what_is_changed_is_handed_on_and_kept_as_changed(guard: Guardrail):
    with guard.run("r"):
        said = guard.tool(Tool().say, agent="a")({"name": "anna", "age": 3})
    assert said == {"name": "[redacted]", "age": 3}
    assert '"result":"{\\"age\\": 3, \\"name\\": \\"[redacted]\\"}"' in stored(guard, "r")


def test_what_people_have_to_let_through_is_held_until_they_do(guard: Guardrail):
    tool, text = Tool(), "long " * 50
    say = guard.tool(tool.say, agent="a", waiting="answer")
    with guard.run("r"):
        with pytest.raises(Withheld, match="HELD"):
            say(text)
        (waiting,) = guard.ledger.approvals("pending")
        shown = guard.ledger.approval_arguments(waiting.id).arguments
        assert (waiting.tool, shown["tool"], shown["output"]) == ("guardrail/release", "local/say", text)
    assert guard.ledger.read_run("r").labels == ()  # nobody has seen it yet


@pytest.mark.parametrize(("answer", "kind"), [("approve", "value"), ("reject", "withheld")])
def test_a_held_result_is_handed_on_once_people_have_said_so(guard: Guardrail, answer: Any, kind: str):
    import threading

    tool, text, said = Tool(), "long " * 50, []

    def call() -> None:
        with guard.run("r"):
            try:
                said.append(("value", guard.tool(tool.say, agent="a")(text)))
            except Withheld as error:
                said.append(("withheld", str(error)))

    thread = threading.Thread(target=call)
    thread.start()
    while not (pending := guard.ledger.approvals("pending")):
        thread.join(0.02)
    guard.ledger.vote(pending[0].id, "zoe", answer, channel="test")
    thread.join(20)
    assert (said[0][0], tool.ran) == (kind, 1)
    if answer == "approve":
        assert said[0][1] == text
        assert guard.ledger.read_run("r").labels == ("untrusted",)
    assert guard.ledger.verify().ok


LONG = "long " * 50
TOOL = Definition(name="say")


def held(folder: Path, policy: str) -> Guardrail:
    return Guardrail(policy=RegoPolicy(Bundle.of({"outputs/outputs.rego": policy})), ledger=folder / "l.db")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (POLICY.replace("> 100", "> 1000").replace("<= 100", "<= 1000"), LONG),
        ('package guardrail.rules.actions\n\nallow contains {"rule": "ok", "message": "fine"}\n', LONG),
        (POLICY.replace('content == "bad"', "bytes > 100"), None),
    ],
    ids=["allows it now", "says nothing of outputs now", "denies it now"],
)
def test_what_is_held_goes_by_the_policy_of_the_day(tmp_path: Path, policy: str, said: str | None):
    """It is handed on by a call of its own, so the run is labelled and later calls know where values come from."""
    call = Call.of({"what": LONG}, run="r", id="1", tool=TOOL, agent=Agent(id="a"))
    attempt = Attempt(call=call, invoke=lambda judged: judged.arguments["what"])
    with held(tmp_path, POLICY) as guard:
        assert guard.perform(attempt, waiting="answer").heading == "HELD"
        assert guard.ledger.read_run("r").labels == ()
    with held(tmp_path, policy) as guard:
        outcome = guard.perform(attempt, waiting="answer")
        assert (outcome.value, outcome.heading) == (said, None if said else "WITHHELD")
        assert guard.ledger.read_run("r").labels == (("untrusted",) if said else ())
        assert [source.content for _, source in guard.ledger.sources("r", {})] == ([LONG] if said else [])
        assert guard.ledger.verify().ok
