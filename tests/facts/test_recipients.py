"""A recipient is whoever everybody takes it for, and two of them never share a normal form."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Tool
from guardrail.facts import Facts, extract
from guardrail.facts.extractor import NotUnderstoodError, Surroundings
from guardrail.facts.recipients import read_recipient

HERE = Surroundings(roots={}, folder=Path())


def read(text: str) -> tuple[str, str, str]:
    (fact,) = read_recipient(text, HERE).facts
    assert fact["value"] == text
    return fact["kind"], fact["normal"], fact["domain"]


@pytest.mark.parametrize(
    ("text", "kind", "normal", "domain"),
    [
        ("Anna@Example.com", "email", "anna@example.com", "example.com"),
        ("#Sales", "handle", "#sales", ""),
        ("@anna", "handle", "@anna", ""),
        ("DE89 3704 0044 0532 0130 00", "iban", "de89370400440532013000", ""),
        ("jo22.smith-accounts", "handle", "jo22.smith-accounts", ""),
        ("DE89 3704 0044 0532 0130 01", "handle", "de89 3704 0044 0532 0130 01", ""),
        ("+49 (30) 123-456", "phone", "+4930123456", ""),
        ("HTTPS://Hooks.Example.com/A", "url", "https://hooks.example.com/A", "hooks.example.com"),
        ("http://[::1]/", "url", "http://[::1]/", "::1"),
        ("ｓales", "handle", "ｓales", ""),
        ("Straße", "handle", "Straße", ""),
    ],
)
def test_who_it_is(text: str, kind: str, normal: str, domain: str):
    assert read(text) == (kind, normal, domain)


@pytest.mark.parametrize(
    "text",
    [
        "", "a" * 1001, "anna\u200b", "Anna <anna@example.com>", "anna@example.com, eve@example.com",
        "anna@straße.example", "weiß@example.com", "ﬁnance@example.com", "https://good.example\\@evil.example/", "http://2130706433/",
        "slack://channel",
    ],
)  # fmt: skip
def test_what_may_be_somebody_else_is_not_understood(text: str):
    with pytest.raises(NotUnderstoodError):
        read_recipient(text, HERE)


def facts(value: Any) -> Facts:
    tool = Tool(name="send", kinds={"to": "recipient"})
    return extract(Call.of({"to": value}, run="r", id="1", agent=Agent(id="a"), tool=tool), roots={})


def test_a_url_among_recipients_is_judged_as_a_url():
    found = facts(["http://169.254.169.254/latest/", "anna@example.com"])
    assert [(fact["argument"], fact["address_class"]) for fact in found.urls] == [("/to/0", "metadata")]
    assert [fact["kind"] for fact in found.recipients] == ["url", "email"]


@given(
    st.text(st.sampled_from("aA@.ßﬁ :/-+0189DEé"), max_size=12),
    st.text(st.sampled_from("aA@.ßﬁ :/-+0189DEé"), max_size=12),
)
def test_texts_of_one_normal_form_differ_in_case_and_spacing_only(one: str, other: str):
    try:
        first, second = read(one), read(other)
    except NotUnderstoodError:
        return
    if first == second and first[0] != "url":
        spacing = str.maketrans("", "", " ()./-" if first[0] in {"iban", "phone"} else "")
        assert one.strip().translate(spacing).lower() == other.strip().translate(spacing).lower()
