"""Policies of somebody else's: whatever they answer or raise, nothing runs that they did not clearly allow."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import MAX_EXPIRY, Ask, Decision, Obligation, Reason, fault
from guardrail.errors import Denied
from guardrail.facts import Facts
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.policy import AllOf, PolicyInput, RunState

REASON = Reason(rule="own.rule", message="m")
ALLOW = Decision(effect="allow", reasons=(REASON,))
ASK = replace(ALLOW, effect="ask", asks=(Ask(rule="own.rule", message="m"),))


class Own:
    """A policy that somebody wrote."""

    def __init__(self, answer: Any, *, revision: Any = "own-1", bundle: Any = None) -> None:
        self._answer = answer
        self.revision = revision
        self.bundle: Mapping[str, Any] = {"own": 1} if bundle is None else bundle

    def decide(self, given: object) -> Any:
        return self._answer


class Nameless:
    """A policy that cannot say which it is."""

    bundle: Mapping[str, Any] = {}

    def decide(self, given: object) -> Decision:
        return ALLOW


class Closed(Own):
    """A policy that keeps its text to itself."""

    @property
    def bundle(self) -> Any:
        raise RuntimeError("not for you")

    @bundle.setter
    def bundle(self, value: Any) -> None:
        pass


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Failing(Own):
    """A policy that raises."""

    def decide(self, given: object) -> Any:
        raise Mute


def obliged(name: Any, value: Any) -> Decision:
    return replace(ALLOW, obligations=(Obligation(name=name, value=value),))


def asking(**fields: Any) -> Decision:
    return replace(ASK, asks=(replace(ASK.asks[0], **fields),))


NAN, INFINITY = float("nan"), float("inf")
EFFECT, REASONS, ASKS = "its effect is ", "its reasons are not ", "an ask has "
OBLIGATIONS, MASK = "its obligations are not ", "its mask is not "
MALFORMED: dict[str, tuple[Any, str]] = {
    "None": (None, "it is a NoneType, not a Decision"),
    "a yes": (True, "it is a bool, not a Decision"),
    "a dict": ({"allow": True}, "it is a dict, not a Decision"),
    "Allow": (replace(ALLOW, effect="Allow"), EFFECT),  # type: ignore[arg-type]
    "no effect": (replace(ALLOW, effect=None), EFFECT),  # type: ignore[arg-type]
    "a list as effect": (replace(ALLOW, effect=["allow"]), EFFECT),  # type: ignore[arg-type]
    "no reason": (replace(ALLOW, reasons=()), REASONS),
    "reasons that are None": (replace(ALLOW, reasons=None), REASONS),  # type: ignore[arg-type]
    "reasons that are texts": (replace(ALLOW, reasons=("no",)), REASONS),  # type: ignore[arg-type]
    "a reason without words": (replace(ALLOW, reasons=(replace(REASON, message=""),)), REASONS),
    "a message that cannot be written": (replace(ALLOW, reasons=(replace(REASON, message="\ud800"),)), REASONS),
    "an unknown code": (replace(ALLOW, reasons=(replace(REASON, code="x"),)), REASONS),  # type: ignore[arg-type]
    "observed texts": (replace(ALLOW, observed=("no",)), "what it observed is not "),  # type: ignore[arg-type]
    "an ask of nobody": (replace(ALLOW, effect="ask"), ASKS),
    "an allow that asks": (replace(ASK, effect="allow"), ASKS),
    "a quorum of nobody": (asking(quorum=0), ASKS),
    "a quorum of True": (asking(quorum=True), ASKS),
    "a quorum that cannot be met": (asking(quorum=2, approvers=("user:anna", "user:anna")), ASKS),
    "approvers in one text": (asking(approvers="user:anna"), ASKS),
    "no time to answer": (asking(expires_in=0), ASKS),
    "an ask until NaN": (asking(expires_in=NAN), ASKS),
    "an ask without end": (asking(expires_in=INFINITY), ASKS),
    "an ask for years": (asking(expires_in=MAX_EXPIRY + 1), ASKS),
    "an unknown obligation": (obliged("delete", 1), OBLIGATIONS),
    "an obligation without a name": (obliged(["redact"], []), OBLIGATIONS),
    "a text as obligation": (replace(ALLOW, obligations=("redact",)), OBLIGATIONS),  # type: ignore[arg-type]
    "redact 5": (obliged("redact", 5), OBLIGATIONS),
    "redact what is no pointer": (obliged("redact", ["to"]), OBLIGATIONS),
    "replace everything": (obliged("replace", {"": {}}), OBLIGATIONS),
    "a negative deadline": (obliged("deadline", -1), OBLIGATIONS),
    "a deadline of NaN": (obliged("deadline", NAN), OBLIGATIONS),
    "a deadline of True": (obliged("deadline", True), OBLIGATIONS),
    "a mask that is no pointer": (replace(ALLOW, mask=("to",)), MASK),
    "a mask in one text": (replace(ALLOW, mask="/to"), MASK),  # type: ignore[arg-type]
    "a revision that is none": (replace(ALLOW, revision=5), "its revision is no text"),  # type: ignore[arg-type]
}  # fmt: skip
BROKEN: dict[str, tuple[Any, str]] = {
    "no revision": (Nameless(), "Nameless failed: AttributeError: "),
    "a revision that is a number": (Own(ALLOW, revision=5), "Own failed: AttributeError: "),
    "a bundle that raises": (Closed(ALLOW), "Closed failed: RuntimeError: not for you"),
    "a bundle without a JSON form": (Own(ALLOW, bundle={"own": {1}}), "Own failed: TypeError: "),
    "an error without words": (Failing(ALLOW), "Failing failed: Mute (it cannot be put into words)"),
}


def refused(policy: Any, path: Path) -> tuple[str, str, list[str]]:
    """Code and message of the reason for which a call under this policy was refused, and what ran."""
    ran: list[str] = []
    with Ledger.open(path / "g.db") as ledger:
        guard = Guardrail(policy=policy, ledger=ledger)
        with pytest.raises(Denied) as caught:
            guard.tool(ran.append, agent="payer", name="send", waiting="answer")("bob")
    (reason,) = caught.value.outcome.reasons
    return reason.code, reason.message, ran


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_well_formed_decision_is_a_deny(case: str, tmp_path: Path):
    answer, wrong = MALFORMED[case]
    code, message, ran = refused(Own(answer), tmp_path)
    assert (code, ran) == ("policy.malformed", [])
    assert message.startswith(f"Own gave no well-formed decision: {wrong}")


def test_of_a_decision_that_is_not_well_formed_nothing_is_shown(ledger: Ledger):
    guard = Guardrail(policy=Own(replace(ALLOW, reasons=(), mask=("/object",))), ledger=ledger)
    with pytest.raises(Denied) as caught:
        guard.tool([].append, agent="payer", name="send")("s3cret")
    assert str(caught.value).splitlines()[0] == "DENIED (nothing was executed): send"


@pytest.mark.parametrize("case", BROKEN)
def test_a_policy_that_cannot_say_what_it_is_or_decides_is_a_deny(case: str, tmp_path: Path):
    policy, wrong = BROKEN[case]
    code, message, ran = refused(policy, tmp_path)
    assert (code, ran) == ("policy.error", [])
    assert message.startswith(wrong)


@pytest.mark.parametrize(
    "decision",
    [
        ALLOW,
        ASK,
        replace(ALLOW, effect="deny", revision="r1", observed=(REASON,)),
        replace(ALLOW, mask=("/password", "/*/pin", "")),
        asking(quorum=2, approvers=("role:finance",)),
        asking(quorum=2, approvers=["user:anna", "user:ben"]),
        asking(quorum=2, approvers=("user:anna", "user:ben"), expires_in=MAX_EXPIRY, fix="ask for less"),
        obliged("redact", ["/to", "/list/*"]),
        obliged("replace", {"/to": None}),
        obliged("deadline", 5),
    ],
)
def test_a_well_formed_decision_is_none_of_that(decision: Decision):
    assert fault(decision) == ""


@pytest.mark.parametrize(
    ("obligation", "of_arguments", "of_output"),
    [
        (obliged("redact", ["/to"]), True, True),
        (obliged("redact", ["secrets", ""]), False, True),
        (obliged("replace", {"": "gone"}), False, True),
        (obliged("redact", ["Not A Name"]), False, False),
        (obliged("replace", {"secrets": 1}), False, False),
    ],
)
def test_names_of_checks_and_the_whole_are_meant_of_outputs_only(
    obligation: Decision, of_arguments: bool, of_output: bool
):
    assert (fault(obligation) == "", fault(obligation, of_output=True) == "") == (of_arguments, of_output)


def test_those_that_are_not_asked_about_outputs_count_in_the_revision():
    class Reviewing(Own):
        reviews = True

    everybody = AllOf([Own(ALLOW), Reviewing(ALLOW, revision="own-2")])
    call = Call.of({}, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t"))
    asked = PolicyInput(call=call, facts=Facts(), run=RunState(id="r", started=""), now="")
    decisions = [everybody.decide(asked), everybody.decide(replace(asked, point="output"))]
    assert [decision.revision for decision in decisions] == [everybody.revision] * 2
    assert [len(decision.reasons) for decision in decisions] == [2, 1]


def test_what_is_hidden_whatever_the_policies_say_is_a_part_of_the_revision():
    call = Call.of({}, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t"))
    asked = PolicyInput(call=call, facts=Facts(), run=RunState(id="r", started=""), now="")
    own = Own(replace(ALLOW, mask=("/b",)))
    several = {hide: AllOf([own], hide=hide) for hide in ((), ("/a",), ("/b", "/a"), ("/a/b",))}
    assert [policy.decide(asked).mask for policy in several.values()] == [
        ("/b",), ("/b", "/a"), ("/b", "/a"), ("/b", "/a/b"),
    ]  # fmt: skip
    assert [policy.bundle.get("hide") for policy in several.values()] == [
        None,
        ["/a"],
        ["/b", "/a"],
        ["/a/b"],
    ]
    assert len({policy.revision for policy in several.values()}) == len(several)
    assert all(policy.decide(asked).revision == policy.revision for policy in several.values())
