"""What is masked stands in no text about a call, however a rule, a tool or a person quotes it."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.canonical import canonical
from guardrail.decisions import Ask, Decision, Obligation, Reason
from guardrail.hidden import MARK, Hidden
from guardrail.pointers import leaves, places

SECRET = 'Tr0ub4dor&"3/é+'


def hiding(value: Any) -> Hidden:
    return Hidden.of({"secret": value, "open": "plain"}, ["/secret"])


@pytest.mark.parametrize(
    "quoted",
    [
        SECRET,
        SECRET.upper(),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        repr(SECRET)[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        SECRET.encode().hex(),
        SECRET[3:12],
    ],
)
def test_a_secret_is_found_however_it_is_spelled(quoted: str):
    assert hiding(SECRET).text(f"not {quoted}, please") == f"not {MARK}, please"


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_a_secret_inside_of_base64_is_found_wherever_it_begins(before: str):
    said = base64.b64encode(f"{before}{SECRET} and more".encode()).decode()
    told = hiding(SECRET).text(f"Basic {said}")
    shown = base64.b64encode(SECRET.encode()).decode()[4:-4]
    assert (MARK in told, shown in told) == (True, False)


@pytest.mark.parametrize(
    ("value", "said", "told"),
    [
        (4711, "4711 is over 47", "[masked] is over 47"),
        (4711, "4,711 is over 14711", "[masked] is over 14711"),
        (0.5, "0.5 of it", "[masked] of it"),
        ("pin", "the pin in the spinning wheel", "the [masked] in the spinning wheel"),
        ("rosebud", "it is rosebud!", "it is [masked]!"),
        (["a-long-word", {"deep": "another-word"}], "a-long-word, another-word", "[masked], [masked]"),
        ({"a-name-that-is-long": True}, "there is a-name-that-is-long", "there is [masked]"),
        ({"name": True}, "the name is true", "the name is true"),
        (None, "None, null", "None, null"),
        ("  ", "two  blanks", "two  blanks"),
        ("", "anything", "anything"),
    ],
)
def test_short_values_are_found_where_they_stand_alone_and_long_ones_anywhere(
    value: Any, said: str, told: str
):
    assert hiding(value).text(said) == told


def test_pieces_of_a_long_value_are_found():
    url = "https://bank.example/accounts/8127364/transfer?to=mallory"
    assert hiding(url).text("the host bank.example, path /accounts/8127364") == (
        f"the host {MARK}, path {MARK}"
    )


def test_what_is_not_masked_stays():
    assert hiding(SECRET).text("plain words about something else") == "plain words about something else"
    assert not Hidden.of({"a": "secret-value"}, ["/b"])
    assert Hidden().text("secret-value") == "secret-value"


def test_a_decision_keeps_its_effect_its_rules_and_whom_it_asks():
    reason = Reason(rule="r.secret-value", message="secret-value is bad", fix="not secret-value")
    ask = Ask(rule="r", message="pay to secret-value?", approvers=("anna",), quorum=1, expires_in=60.0)
    said = Decision(
        effect="ask",
        reasons=(reason,),
        asks=(ask,),
        obligations=(Obligation(name="deadline", value=1),),
        mask=("/secret",),
        observed=(reason,),
        revision="1",
    )
    told = Reason(rule="r.secret-value", message="[masked] is bad", fix="not [masked]")
    assert hiding("secret-value").decision(said) == Decision(
        effect="ask",
        reasons=(told,),
        asks=(Ask(rule="r", message="pay to [masked]?", approvers=("anna",), quorum=1, expires_in=60.0),),
        obligations=(Obligation(name="deadline", value=1),),
        mask=("/secret",),
        observed=(told,),
        revision="1",
    )


def test_a_json_value_loses_texts_numbers_and_names():
    hidden = hiding(["secret-value", 4711])
    assert hidden.value({"a": ["my secret-value", 4711, 1, True, None], "secret-value": {"n": 4711}}) == {
        "a": ["my [masked]", "[masked]", 1, True, None],
        "[masked]": {"n": "[masked]"},
    }


def test_where_a_value_holds_it():
    hidden = hiding(["secret-value", 4711])
    assert hidden.within({"a": ["x", "my secret-value"], "n/m": 4711, "b": 1}) == ("/a/1", "/n~1m")
    assert hidden.within({"a": {"secret-value": 1}}) == ("",)
    assert hidden.within("secret-value") == ("",)
    assert Hidden().within("secret-value") == ()


NAMES = st.sampled_from(["a", "b", "a/b", "m~n", "a-name-of-some-length"])
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)
POINTERS = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "a~1b", "m~0n", "a-name-of-some-length", "0", "1", "*"]), max_size=3
    ).map(lambda parts: "".join(f"/{part}" for part in parts)),
    min_size=1,
    max_size=3,
)
SAYING: list[Callable[[Any], str]] = [
    str,
    repr,
    lambda value: json.dumps(value),
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: f"<{value}>",
]


@settings(deadline=None)
@given(arguments=ARGUMENTS, pointers=POINTERS, say=st.sampled_from(SAYING))
def test_whatever_is_masked_no_sentence_about_the_arguments_holds_a_long_piece_of_it(
    arguments: dict[str, Any], pointers: list[str], say: Callable[[Any], str]
):
    hidden = Hidden.of(arguments, pointers)
    told = hidden.text(f"these: {say(arguments)}, and that: {say(list(arguments.values()))}")
    masked = [place.value for pointer in pointers for place in places(arguments, pointer)]
    texts = [leaf.value for value in masked for leaf in leaves(value) if isinstance(leaf.value, str)]
    assert [text for text in texts if len(text) >= 8 and text.strip() and text in told] == []


@settings(deadline=None)
@given(arguments=ARGUMENTS, pointers=POINTERS)
def test_a_value_is_a_json_value_afterwards_and_one_without_anything_masked_is_the_same(
    arguments: dict[str, Any], pointers: list[str]
):
    hidden = Hidden.of(arguments, pointers)
    canonical(hidden.value({"plain": "value"}))
    assert Hidden().value(arguments) == arguments
    assert json.loads(json.dumps(hidden.value(arguments))) == hidden.value(arguments)
