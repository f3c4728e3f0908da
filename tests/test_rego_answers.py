"""The contract of `data.guardrail.decision`: what an answer means, and that nothing else means allow."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.decisions import Ask, Decision, Obligation, Reason
from guardrail.rego.answers import MAX_MESSAGE, decision_of
from guardrail.rego.interpreter import UNDEFINED


def rule(name: str, **more: Any) -> dict[str, Any]:
    return {"rule": name, "message": f"because of {name}", **more}


def reason(name: str, fix: str | None = None) -> Reason:
    return Reason(rule=name, message=f"because of {name}", fix=fix)


def decide(observe: frozenset[str] = frozenset(), **answer: Any) -> Decision:
    return decision_of(json.dumps(answer), revision="v", observe=observe)


def test_a_deny_wins_and_keeps_no_asks_or_obligations():
    allow = rule("c", obligations={"deadline": 5})
    decision = decide(deny=[rule("a", fix="stop"), rule("b")], ask=[rule("c")], allow=[allow], mask=["/x"])
    assert decision == Decision(
        effect="deny", reasons=(reason("a", "stop"), reason("b")), mask=("/x",), revision="v"
    )


def test_an_ask_wins_over_an_allow_and_keeps_its_obligations():
    ask = rule("a", fix="wait", approvers=["user:anna", "user:ben"], quorum=2, expires_in="15m")
    duties = {"redact": ["/iban"], "replace": {"/amount": 1.5}, "deadline": 30}
    decision = decide(ask=[ask, rule("b")], allow=[rule("c", obligations=duties)])
    assert decision == Decision(
        effect="ask",
        reasons=(reason("a", "wait"), reason("b")),
        asks=(
            Ask(
                rule="a",
                message="because of a",
                fix="wait",
                approvers=("user:anna", "user:ben"),
                quorum=2,
                expires_in=900.0,
            ),
            Ask(rule="b", message="because of b"),
        ),
        obligations=(
            Obligation(name="redact", value=["/iban"]),
            Obligation(name="replace", value={"/amount": 1.5}),
            Obligation(name="deadline", value=30.0),
        ),
        revision="v",
    )


def test_every_allow_keeps_its_obligations():
    decision = decide(
        allow=[rule("a", obligations={"deadline": 5}), rule("b"), rule("c", obligations={"redact": ["/x"]})]
    )
    assert decision == Decision(
        effect="allow",
        reasons=(reason("a"), reason("b"), reason("c")),
        obligations=(Obligation(name="deadline", value=5.0), Obligation(name="redact", value=["/x"])),
        revision="v",
    )


@pytest.mark.parametrize("answer", [{}, {"deny": [], "ask": [], "allow": [], "mask": []}])
def test_silence_is_a_deny(answer: dict[str, Any]):
    decision = decide(**answer)
    assert (decision.effect, decision.reasons[0].code, decision.revision) == ("deny", "policy.silent", "v")


def test_no_value_is_a_deny_of_its_own():
    decision = decision_of(UNDEFINED, revision="v")
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.undefined")


GOOD = rule("a")
MALFORMED = [
    False,
    True,
    None,
    0,
    1,
    "",
    "allow",
    "<undefined!>",
    [],
    [GOOD],
    {"allow": False},
    {"allow": True},
    {"allow": None},
    {"allow": 1},
    {"allow": "yes"},
    {"allow": {}},
    {"allow": GOOD},
    {"allow": [True]},
    {"allow": ["a"]},
    {"allow": [None]},
    {"allow": [[]]},
    {"allow": [{}]},
    {"result": {"allow": [GOOD]}},
    {"alow": [GOOD]},
    {"allow": [GOOD], "extra": 1},
    {"allowed": True},
    {"allow": [GOOD], "deny": None},
    {"allow": [GOOD], "deny": {}},
    {"allow": [GOOD], "deny": ""},
    {"allow": [GOOD], "deny": [{"rule": "d"}]},
    {"allow": [GOOD], "ask": [{"message": "m"}]},
    {"allow": [rule("a", extra=1)]},
    {"allow": [rule("a", approvers=["x"])]},
    {"deny": [rule("a", obligations={})]},
    {"allow": [{"rule": "", "message": "m"}]},
    {"allow": [{"rule": "a", "message": ""}]},
    {"allow": [{"rule": 5, "message": "m"}]},
    {"allow": [{"rule": "a", "message": ["m"]}]},
    {"allow": [rule("a" * 201)]},
    {"allow": [rule("a", fix=None)]},
    {"allow": [rule("a", fix="")]},
    {"allow": [rule("a", obligations=None)]},
    {"allow": [rule("a", obligations=[])]},
    {"allow": [rule("a", obligations={"log": True})]},
    {"allow": [rule("a", obligations={"redact": "/x"})]},
    {"allow": [rule("a", obligations={"redact": []})]},
    {"allow": [rule("a", obligations={"redact": ["X"]})]},
    {"allow": [rule("a", obligations={"redact": ["/~2"]})]},
    {"allow": [rule("a", obligations={"redact": ["/~2"]})]},
    {"allow": [rule("a", obligations={"replace": {}})]},
    {"allow": [rule("a", obligations={"replace": {"x": 1}})]},
    {"allow": [rule("a", obligations={"replace": {"x": {}}})]},
    {"allow": [rule("a", obligations={"replace": ["/x"]})]},
    {"allow": [rule("a", obligations={"deadline": 0})]},
    {"allow": [rule("a", obligations={"deadline": -1})]},
    {"allow": [rule("a", obligations={"deadline": "5s"})]},
    {"allow": [rule("a", obligations={"deadline": True})]},
    {"ask": [rule("a", approvers=[])]},
    {"ask": [rule("a", approvers="user:anna")]},
    {"ask": [rule("a", approvers=[1])]},
    {"ask": [rule("a", approvers=[""])]},
    {"ask": [rule("a", approvers=["x"], quorum=2)]},
    {"ask": [rule("a", approvers=["x", "x"], quorum=2)]},
    {"ask": [rule("a", quorum=0)]},
    {"ask": [rule("a", quorum=101)]},
    {"ask": [rule("a", quorum=True)]},
    {"ask": [rule("a", quorum="1")]},
    {"ask": [rule("a", quorum=1.5)]},
    {"ask": [rule("a", expires_in=15)]},
    {"ask": [rule("a", expires_in="")]},
    {"ask": [rule("a", expires_in="0s")]},
    {"ask": [rule("a", expires_in="15")]},
    {"ask": [rule("a", expires_in="366d")]},
    {"ask": [rule("a", expires_in=None)]},
    {"allow": [GOOD], "mask": ["x"]},
    {"allow": [GOOD], "mask": [""]},
    {"allow": [GOOD], "mask": "/x"},
    {"allow": [GOOD], "mask": [1]},
]


@pytest.mark.parametrize("answer", MALFORMED, ids=json.dumps)
def test_anything_but_a_well_formed_decision_is_a_deny(answer: Any):
    decision = decision_of(json.dumps(answer), revision="v")
    assert (decision.effect, [found.code for found in decision.reasons]) == ("deny", ["policy.malformed"])
    assert decision.reasons[0].message.startswith("the policy gave no well-formed decision: ")
    assert decision.reasons[0].fix


@pytest.mark.parametrize(
    "text", ["", "{", "allow", '{"allow": [}', "\x00", '{"allow": [{"rule": "a", "message": "\ud800"}]}']
)
def test_what_is_no_json_is_a_deny(text: str):
    assert decision_of(text, revision="v").reasons[0].code == "policy.malformed"


def test_the_message_names_the_place_and_not_the_value():
    decision = decide(allow=[rule("a", obligations={"deadline": "secret"})])
    _, _, problem = decision.reasons[0].message.partition(": ")
    assert problem == "allow.0.obligations.deadline: Input should be a valid number"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "deny",
                    "ask",
                    "allow",
                    "mask",
                    "rule",
                    "message",
                    "fix",
                    "obligations",
                    "redact",
                    "quorum",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_only_a_well_formed_allow_ever_allows(answer: Any):
    decision = decision_of(json.dumps(answer), revision="v")
    assert decision.reasons
    if decision.effect != "deny":
        assert not answer.get("deny")
        assert answer.get("ask") or answer.get("allow")
        assert {found.rule for found in decision.reasons} <= {
            said["rule"] for said in (*answer.get("ask", ()), *answer.get("allow", ()))
        }


def test_a_long_message_is_cut():
    decision = decide(deny=[{"rule": "a", "message": "x" * 5_000, "fix": "y" * 5_000}])
    assert decision.reasons == (Reason(rule="a", message="x" * MAX_MESSAGE, fix="y" * MAX_MESSAGE),)


def test_an_observed_deny_is_recorded_and_not_enforced():
    decision = decide(frozenset({"a"}), deny=[rule("a", fix="f")], allow=[rule("b")])
    assert decision == Decision(
        effect="allow", reasons=(reason("b"),), observed=(reason("a", "f"),), revision="v"
    )


def test_an_observed_ask_is_recorded_and_not_enforced():
    decision = decide(frozenset({"a"}), ask=[rule("a", quorum=2)], allow=[rule("b")])
    assert decision == Decision(effect="allow", reasons=(reason("b"),), observed=(reason("a"),), revision="v")


def test_an_observed_allow_allows_nothing():
    decision = decide(frozenset({"a"}), allow=[rule("a", obligations={"deadline": 1})])
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.silent")
    assert (decision.observed, decision.obligations) == ((reason("a"),), ())


@pytest.mark.parametrize("verdict", ["deny", "ask"])
def test_silence_stays_a_deny_where_only_observed_rules_spoke(verdict: str):
    decision = decide(frozenset({"a"}), **{verdict: [rule("a")]})
    assert (decision.effect, decision.reasons[0].code, decision.observed) == (
        "deny",
        "policy.silent",
        (reason("a"),),
    )


def test_other_rules_are_enforced_beside_an_observed_one():
    decision = decide(frozenset({"a"}), deny=[rule("a"), rule("b")], allow=[rule("c")])
    assert decision == Decision(effect="deny", reasons=(reason("b"),), observed=(reason("a"),), revision="v")


def test_a_role_may_be_asked_for_more_than_one_person():
    decision = decide(ask=[rule("a", approvers=["role:finance"], quorum=2)])
    assert [(ask.approvers, ask.quorum) for ask in decision.asks] == [(("role:finance",), 2)]


def test_an_allow_may_take_the_place_of_asks_that_it_names_and_says_so():
    allow = rule("c", instead_of=["b", "a", "b", "z"])
    decision = decide(ask=[rule("a"), rule("b")], allow=[allow, rule("d")])
    told = Reason(rule="c", message="because of c (instead of: b, a)")
    assert decision == Decision(effect="allow", reasons=(told, reason("d")), revision="v")


def test_an_ask_that_no_allow_names_is_asked():
    allow = rule("c", instead_of=["a"], obligations={"deadline": 5})
    decision = decide(ask=[rule("a"), rule("b")], allow=[allow])
    assert (decision.effect, decision.reasons, decision.asks) == (
        "ask",
        (reason("b"),),
        (Ask(rule="b", message="because of b"),),
    )
    assert decision.obligations == (Obligation(name="deadline", value=5.0),)


def test_an_allow_takes_the_place_of_no_deny():
    decision = decide(deny=[rule("a")], ask=[rule("a")], allow=[rule("c", instead_of=["a"])])
    assert (decision.effect, decision.reasons) == ("deny", (reason("a"),))


def test_an_observed_allow_takes_the_place_of_nothing():
    decision = decide(frozenset({"c"}), ask=[rule("a")], allow=[rule("c", instead_of=["a"])])
    assert (decision.effect, decision.observed) == ("ask", (reason("c"),))


@pytest.mark.parametrize("named", [[], "a", [1], [""], None, {"a": 1}, ["a" * 201]])
def test_what_an_allow_takes_the_place_of_is_a_list_of_rules(named: Any):
    decision = decide(ask=[rule("a")], allow=[rule("c", instead_of=named)])
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.malformed")


@pytest.mark.parametrize("verdict", ["deny", "ask"])
def test_only_an_allow_takes_the_place_of_anything(verdict: str):
    decision = decide(**{verdict: [rule("a", instead_of=["b"])]})
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.malformed")
