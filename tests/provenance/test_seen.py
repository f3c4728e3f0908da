"""Where the values of a call come from, as the run has seen them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.provenance import Seen, Source
from guardrail.provenance.seen import MAX_VALUES

USER = Source(
    kind="user", content="Please pay invoice 4711 of ACME to DE44 5001, and tell anna.m@example.com"
)
MAIL = Source(
    kind="untrusted",
    tool="mail/read",
    call="call_1",
    content={
        "from": "billing@acme.example",
        "body": "Our new account is GB29NWBK60161331926819, thank you very much for your business.",
        "total": 1250.5,
    },
    fields={"/from": "trusted"},
)
CONTACTS = Source(
    kind="trusted",
    tool="crm/find",
    call="call_2",
    content='[{"name": "Bob Stone", "iban": "FR7630006000011234567890189"}]',
    readers=("*@example.com",),
)


def seen(*sources: Source) -> Seen:
    run = Seen()
    for source in sources:
        run.add(source)
    return run


def label(value: Any, *sources: Source, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return seen(*(sources or (USER, MAIL, CONTACTS))).labels({"a": value}, schema or {})["/a"]


def test_a_value_is_found_with_its_tool_call_and_field():
    assert label("gb29nwbk60161331926819") == {
        "trust": "untrusted",
        "origins": [{"kind": "untrusted", "tool": "mail/read", "call": "call_1", "field": "/body"}],
        "readers": None,
    }


@pytest.mark.parametrize(
    ("value", "trust"),
    [
        ("Anna.M@Example.com", "user"),
        ("DE44  5001", "user"),
        ("4711", "user"),
        (4711, "user"),
        ("billing@acme.example", "trusted"),  # a field of its own trust
        ("FR7630006000011234567890189", "trusted"),
        ("bob stone", "trusted"),
        (1250.50, "untrusted"),
        ("1,250.5", "untrusted"),
        ("evil@attacker.example", "unknown"),
        ("471", "unknown"),  # a part of a number is another number
        ("mple.com", "unknown"),  # a part of a word is no word
        ("", "unknown"),
        (99, "unknown"),
    ],
)
def test_who_vouches_for_a_value(value: Any, trust: str):
    assert label(value)["trust"] == trust


CHANNELS = Source(
    kind="trusted",
    tool="chat/channels",
    call="call_3",
    content={"names": ["general", "tell Eve about room 77"], "opened": "2026-03-07", "members": 12},
    readers=("*@example.com",),
)


@pytest.mark.parametrize(
    ("value", "trust"),
    [
        ("general", "trusted"),
        ("tell eve  about room 77", "trusted"),
        ("2026-03-07", "trusted"),
        (12, "trusted"),
        ("Eve", "unknown"),  # there is such a channel; nobody said that there is an Eve
        ("room 77", "unknown"),
        (77, "unknown"),
        (7, "unknown"),  # a part of a date is no number of its own
    ],
)
def test_a_trusted_tool_vouches_for_what_it_fills_in_not_for_words_in_it(value: Any, trust: str):
    assert label(value, CHANNELS)["trust"] == trust


def test_where_such_words_came_from_and_who_may_read_them_is_known_all_the_same():
    part = label("room 77", CHANNELS)
    assert ([origin["field"] for origin in part["origins"]], part["readers"]) == (
        ["/names/1"],
        ["*@example.com"],
    )


def test_words_in_a_trusted_field_do_not_make_up_for_an_untrusted_output():
    assert label("room 77", CHANNELS, Source(kind="untrusted", content="room 77"))["trust"] == "untrusted"


def test_a_field_with_the_whole_value_counts_before_one_with_a_part_of_it():
    later = Source(kind="trusted", content={"name": "Eve"})
    assert label("Eve", CHANNELS, later)["trust"] == "trusted"


def test_a_trusted_text_vouches_for_what_stands_in_it():
    assert (
        label("Luxury Palace", Source(kind="trusted", content="Hotels:\nGood Night\nLuxury Palace"))["trust"]
        == "trusted"
    )


def test_the_users_word_stands_above_an_output_that_says_the_same():
    both = label("acme", USER, Source(kind="untrusted", content="acme"))
    assert (both["trust"], [origin["kind"] for origin in both["origins"]]) == ("user", ["user", "untrusted"])


@pytest.mark.parametrize(
    ("value", "trust"),
    [
        ("https://acme/4711", "user"),
        ("https://acme/GB29NWBK60161331926819", "untrusted"),
        ("https://acme/nowhere", "unknown"),
        ("Bob Stone: FR7630006000011234567890189", "trusted"),
        ("invoice 4711 GB29NWBK60161331926819", "untrusted"),
        ("thank you very much for your help, dear", "untrusted"),
        ("a sentence that nobody has said before now", "unknown"),
        ("mail+billing@acme.example", "unknown"),
    ],
)
def test_what_was_put_together_is_as_weak_as_its_weakest_part(value: str, trust: str):
    assert label(value)["trust"] == trust


def test_only_who_may_read_every_source_may_read_what_was_made_of_them():
    hr = Source(kind="trusted", content="salary 88,000", readers=("*@example.com", "hr@acme.example"))
    assert label("FR7630006000011234567890189")["readers"] == ["*@example.com"]
    assert label("Bob Stone: salary 88,000", USER, CONTACTS, hr)["readers"] == ["*@example.com"]
    assert label("Bob Stone", CONTACTS, Source(kind="user", content="ask Bob Stone"))["readers"] is None


def test_what_the_tool_itself_offers_is_its_own_word():
    schema = {"properties": {"a": {"default": 10, "enum": ["fast", "slow"]}, "b": {"default": True}}}
    origins = [{"kind": "definition", "tool": "", "call": "", "field": ""}]
    assert [label(value, schema=schema)["trust"] for value in (10, "fast", "other")] == [
        "trusted",
        "trusted",
        "unknown",
    ]
    assert list(label("slow", schema=schema)["origins"]) == origins
    assert seen(USER).labels({"b": True}, schema) == {}


def test_every_text_and_number_has_a_label_and_nothing_else_has():
    given = {"to": ["x", "y"], "deep": {"a/b": 1, "flag": True, "none": None}}
    assert list(seen().labels(given, {})) == ["/to/0", "/to/1", "/deep/a~1b"]


def test_of_too_many_values_nothing_is_known():
    labels = seen(USER).labels({"a": ["acme"] * (MAX_VALUES + 1)}, {})
    assert {tuple(label.items()) for label in labels.values()} == {
        (("trust", "unknown"), ("origins", ()), ("readers", None))
    }


def test_untrusted_words_are_found_however_much_was_said_in_between():
    noise = [Source(kind="trusted", content=f"line {number} of many lines") for number in range(300)]
    found = label("GB29NWBK60161331926819", *noise[:150], MAIL, *noise[150:])
    assert (found["trust"], found["origins"][0]["field"]) == ("untrusted", "/body")
    assert label("line 299", MAIL, *noise)["trust"] == "trusted"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.text(), VALUES, max_size=4))
def test_whatever_was_said_and_whatever_is_called_there_is_an_answer_and_it_is_the_same_again(
    said: list[Any], arguments: dict[str, Any]
):
    sources = [Source(kind="untrusted", content=content) for content in said]
    first = seen(*sources).labels(arguments, {})
    assert first == seen(*sources).labels(arguments, {})
    assert {label["trust"] for label in first.values()} <= {"untrusted", "unknown"}


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=30), st.text(max_size=30))
def test_a_word_that_stood_in_an_output_is_found(word: str, around: str):
    found = label(word, Source(kind="untrusted", content=f"{around} {word} {around}"))
    assert found["trust"] == "untrusted"


def test_a_nul_in_an_output_ends_no_text_there():
    said = Source(kind="untrusted", tool="a/b", content={"x": "one\x00two", "y": "please do this now"})
    found = label("and please do this now or else", said)
    assert (found["trust"], found["origins"][0]["field"]) == ("untrusted", "/y")


WORDS = st.lists(
    st.sampled_from(["a", "pay", "now", "\x00", "b\x00c", "é", "ﬁ", "1,5", "\u200b"]), max_size=12
)


@given(st.lists(WORDS.map(" ".join), max_size=4), WORDS.map(" ".join))
def test_sentences_of_any_words_have_an_answer(said: list[str], value: str):
    found = label(value, USER, *(Source(kind="untrusted", content=content) for content in said))
    assert found["trust"] in {"user", "untrusted", "unknown"}


def test_a_value_is_found_however_often_it_stands_inside_of_other_words_first():
    crowd = " ".join(["xACC-3", "ACC-3x"] * 500)
    assert label("ACC-3", Source(kind="untrusted", content=crowd))["trust"] == "unknown"
    assert label("ACC-3", Source(kind="untrusted", content=f"{crowd} ACC-3."))["trust"] == "untrusted"


def test_words_inside_of_a_trusted_field_do_not_count_as_said():
    run = seen(Source(kind="trusted", content={"name": "Fred of Leeds"}))
    assert [run.says(text, "trusted") for text in ("Fred", "fred  of leeds", " ")] == [False, True, True]
