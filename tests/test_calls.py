"""A call is what was judged, and stays it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.errors import InvalidArguments, InvalidTool

SEND = Tool(name="send_money", server="bank", effect="irreversible", schema={"type": "object"})


def call(**changes: object) -> Call:
    fields = {"run": "r1", "id": "c1", "scope": "s", "tool": SEND, "agent": Agent(id="payer"), **changes}
    arguments = fields.pop("arguments", {"amount": 5})
    return Call.of(arguments, **fields)


def test_arguments_are_a_copy_of_what_was_given_and_a_fresh_one_each_time():
    given = {"to": ["a"]}
    made = call(arguments=given)
    given["to"].append("mallory")
    made.arguments["to"].append("mallory")
    assert made.arguments == {"to": ["a"]}


@pytest.mark.parametrize(
    "change",
    [
        {"principal": Principal(id="user:bob")},
        {"agent": Agent(id="payer", chain=("supervisor", "payer"))},
        {"tool": dataclasses.replace(SEND, description="other")},
        {"tool": dataclasses.replace(SEND, effect="write")},
        {"arguments": {"amount": 6}},
    ],
)
def test_an_approval_of_one_call_does_not_fit_another(change: dict[str, object]):
    assert call(**change).digest != call().digest


@pytest.mark.parametrize(
    "change", [{"run": "r2"}, {"id": "c2"}, {"scope": "t"}, {"arguments": {"amount": 6}}]
)
def test_the_key_is_of_run_scope_id_and_digest(change: dict[str, object]):
    assert call(**change).key != call().key


def test_the_run_does_not_change_what_an_approval_binds_to():
    assert call(run="r2").digest == call().digest


@pytest.mark.parametrize("field", ["run", "id", "scope"])
@pytest.mark.parametrize("text", ["a\x00b\u00e9", "\ud800"])
def test_names_that_not_every_reader_takes_for_the_same_are_refused(field: str, text: str):
    with pytest.raises(InvalidArguments):
        call(**{field: text})


@pytest.mark.parametrize("name", ["sеnd_money", "send\u200bmoney", "ｓend", "", "a b", "x" * 129, "a/b"])
def test_a_look_alike_or_malformed_tool_name_is_refused(name: str):
    with pytest.raises(InvalidTool, match="ASCII"):
        Tool(name=name)


def test_an_undeclared_effect_counts_as_irreversible():
    assert Tool(name="x").effect == "irreversible"


def test_a_chain_ends_in_the_acting_agent():
    with pytest.raises(InvalidTool, match="does not end in"):
        Agent(id="payer", chain=("supervisor",))


def test_arguments_are_one_object():
    with pytest.raises(InvalidArguments, match="one JSON object"):
        Call(run="r", id="c", tool=SEND, agent=Agent(id="payer"), body=b"[1]")


@given(st.dictionaries(st.text("ab", max_size=3), st.integers(-9, 9)))
def test_the_order_of_arguments_does_not_matter(arguments: dict[str, int]):
    assert call(arguments=dict(reversed(arguments.items()))).key == call(arguments=arguments).key
