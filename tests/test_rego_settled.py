"""What a bundle says whatever it is asked is evaluated once; no decision becomes another one by that."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.bundles import Bundle
from guardrail.rego.interpreter import Interpreter
from guardrail.rego.settled import settled

PACK = """package guardrail.rules.pay
import data.guardrail.limits

deny contains {"rule": "pay.limit", "message": sprintf("at most %v", [limits.most])} if {
	input.arguments.amount > limits.most
}

allow contains {"rule": "pay.small", "message": "small"} if input.arguments.amount <= limits.most
"""
LIMITS = """package guardrail.limits

default most := 100

most := data.settings.most

default currencies := ["EUR"]

reserve := data.settings.reserve

approval := object.filter(data.settings.approval, ["quorum"])
"""


def bundle(limits: str = LIMITS, *more: str, **settings: Any) -> Bundle:
    modules = {"pay.rego": PACK, "limits.rego": limits}
    modules |= {f"more{index}.rego": source for index, source in enumerate(more)}
    return Bundle.of(modules, {"settings": settings} if settings else {})


def decisions(of: Bundle) -> list[Any]:
    interpreter = Interpreter.of(of)
    inputs = [{"arguments": {"amount": amount}} for amount in (1, 100, 101, 5000)]
    return [json.loads(interpreter.answer(json.dumps(asked))) for asked in inputs]


def test_settings_with_their_defaults_stand_as_data():
    made = settled(bundle(most=500, approval={"quorum": 2, "other": 1}))
    assert made.data["guardrail"] == {
        "limits": {"most": 500, "currencies": ["EUR"], "approval": {"quorum": 2}}  # no reserve is configured
    }
    assert "limits.rego" not in made.modules
    assert decisions(made) == decisions(bundle(most=500))


def test_the_shipped_settings_are_settled():
    made = settled(Bundle.shipped())
    assert set(Bundle.shipped().rules) - set(made.rules) == {"settings.rego"}


@given(
    most=st.none()
    | st.integers(-1000, 1000)
    | st.floats(-1e6, 1e6)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)
    | st.lists(st.booleans())
)
def test_whatever_is_configured_the_decisions_stay_the_same(most: Any):
    of = bundle(most=most)
    assert decisions(settled(of)) == decisions(of)


@pytest.mark.parametrize(
    "limits",
    [
        "package guardrail.limits\n\nmost := input.arguments.limit",
        "package guardrail.limits\n\nmost := 100 if input.run.step < 5",
        "package guardrail.limits\n\nmost := count(data.guardrail.rules)",
        "package guardrail.limits\n\nmost := data.guardrail.other.most",
        "package guardrail.limits\n\nmost := 100\n\nnames := {1, 2}",
        "package guardrail.limits\n\nmost := 100\n\nnames contains 1",
        "package guardrail.limits\n\nmost := 100\n\ntwice(x) := x * 2",
        "package guardrail.limits\n\nmost := 100\n\nby.name.x := 1",
        "package guardrail.limits\n\nmost := 9007199254740993",
    ],
)
def test_what_asks_for_more_than_data_is_left_as_it_is(limits: str):
    other = "package guardrail.other\n\nmost := 5 if input.arguments.amount > 1"
    of = bundle(limits, other)
    assert settled(of) == of


def test_a_package_of_two_modules_and_one_that_is_replaced_are_left_as_they_are():
    second = "package guardrail.limits\n\nleast := 1 if input.arguments.amount > 1"
    assert settled(bundle(LIMITS, second)) == bundle(LIMITS, second)
    replacing = "package guardrail.rules.b\n\nask contains x if x = data.guardrail.limits.most with data.settings as {}"
    assert settled(bundle(LIMITS, replacing)) == bundle(LIMITS, replacing)


def test_settings_that_cannot_be_evaluated_are_left_to_the_decision_to_report():
    of = bundle(approval="nobody")
    assert settled(of) == of
