"""The strictest wins, nobody is a deny, and opaque is never allowed unattended."""

import itertools

import pytest

from guardrail.decisions import Ask, Decision, Obligation, Reason, Verdict, attended, refuse, strictest

ORDER: tuple[Verdict, ...] = ("allow", "ask", "deny")


def said(effect: Verdict, rule: str) -> Decision:
    ask = (Ask(rule=rule, message=rule),) if effect == "ask" else ()
    duty = (Obligation(name="deadline", value=float(len(rule))),)
    return Decision(
        effect=effect,
        reasons=(Reason(rule=rule, message=rule),),
        asks=ask,
        obligations=duty,
        mask=(f"/{rule}",),
    )


@pytest.mark.parametrize("effects", list(itertools.product(ORDER, repeat=3)))
def test_the_strictest_wins_with_every_reason_for_it(effects: tuple[Verdict, ...]):
    parts = [said(effect, f"r{index}") for index, effect in enumerate(effects)]
    wins = max(effects, key=ORDER.index)
    assert strictest(parts, revision="v") == Decision(
        effect=wins,
        reasons=tuple(part.reasons[0] for part in parts if part.effect == wins),
        asks=tuple(ask for part in parts for ask in part.asks) if wins == "ask" else (),
        obligations=tuple(duty for part in parts for duty in part.obligations) if wins != "deny" else (),
        mask=("/r0", "/r1", "/r2"),
        revision="v",
    )


def test_nobody_at_all_is_a_deny():
    assert strictest([], revision="v") == refuse("policy.silent", "no policy gave an answer", revision="v")


def test_an_allow_of_what_could_not_be_understood_becomes_an_ask():
    asked = attended(said("allow", "r"), ("/url: two readings",))
    assert (asked.effect, asked.reasons[0].code, asked.asks[0].message) == (
        "ask",
        "facts.opaque",
        "an argument could not be fully understood: /url: two readings",
    )


@pytest.mark.parametrize("effect", ["ask", "deny"])
def test_what_is_not_allowed_anyway_stays_as_it_is(effect: Verdict):
    decision = said(effect, "r")
    assert attended(decision, ("/x: why",)) is decision


def test_what_is_understood_stays_allowed():
    decision = said("allow", "r")
    assert attended(decision, ()) is decision
