"""A guess only ever adds: apart from what is declared, and never as opaque."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Tool
from guardrail.facts import Facts, extract
from guardrail.facts.guesses import MAX_SQL, guess, may_look_like_any


def facts(arguments: dict[str, Any], **kinds: Any) -> Facts:
    call = Call.of(arguments, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t", kinds=kinds))
    return extract(call, roots={}, folder=Path("/"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://example.com/a", "url"),
        ("HTTP://example.com", "url"),
        ("/etc/passwd", "path"),
        ("../a", "path"),
        ("SELECT a FROM t", "sql"),
        (" drop table t", "sql"),
        ("rm -rf /x", "command"),
        ("\n sudo ls", "command"),
        (" https:/example.com\\x\n", "url"),
        ("see https://example.com", None),
        ("//a", None),
        ("/path with words", None),
        ("selection of the day", None),
        ("gitlab is down", None),
        ("hello", None),
        ("", None),
        ("/" + "a" * 5_000, None),
    ],
)
def test_a_text_looks_like_a_kind_as_a_whole(text: str, kind: str | None):
    assert guess(text) == kind
    if kind:
        assert may_look_like_any(json.dumps({"x": [text]}, separators=(",", ":")).encode())


def test_guessed_facts_stand_apart():
    found = facts(
        {
            "a": ["http://10.0.0.1/"],
            "b": {"c": "/tmp/x"},
            "d": "git push",
            "e": "DELETE FROM t",
            "f": "pip install x",
        }
    )
    assert found == replace(Facts(), guessed=found.guessed)
    assert {field: [fact["argument"] for fact in items] for field, items in found.guessed.items()} == {
        "urls": ["/a/0"],
        "paths": ["/b/c"],
        "commands": ["/d", "/f"],
        "sql": ["/e"],
        "packages": ["/f"],
    }


def test_what_a_guess_does_not_understand_is_nothing():
    assert facts({"a": "http://", "b": "/a\\b", "c": "SELECT FROM", "d": "/a/$HOME"}) == Facts()


@pytest.mark.parametrize(
    ("text", "host", "nature"),
    [
        ("http://2130706433/", "127.0.0.1", "loopback"),
        (" http://0x7f.1/", "127.0.0.1", "loopback"),
        ("http://169.254.169.254./", "169.254.169.254", "metadata"),
        ("http://①②⑦.0.0.1/", "127.0.0.1", "loopback"),
        ("http:/10.0.0.1/", "10.0.0.1", "private"),
        ("http:\\\\10.0.0.1\\x", "10.0.0.1", "private"),
        ("http://a@localhost.localdomain/", "localhost.localdomain", "loopback"),
        ("http://api.default.svc/", "api.default.svc", "private"),
    ],
)
def test_a_guessed_url_leads_where_a_browser_would_go(text: str, host: str, nature: str):
    found = facts({"a": text})
    assert [(fact["host"], fact["address_class"]) for fact in found.guessed["urls"]] == [(host, nature)]
    assert replace(found, guessed={}) == replace(Facts(), guessed={})


def test_of_a_command_that_is_not_plain_what_is_seen_is_a_fact_and_nothing_is_opaque():
    found = facts({"a": "rm -rf $HOME"})
    assert ([fact["name"] for fact in found.guessed["commands"]], found.opaque) == (["rm"], ())


@pytest.mark.parametrize("kind", ["command", "text", "money", "path"])
def test_a_declared_argument_is_not_guessed_about(kind: str):
    assert facts({"a": "https://example.com/"}, a=kind).guessed == Facts().guessed


def test_what_stands_beside_a_declared_member_is_guessed_about():
    found = facts({"a": {"b": "https://example.com/", "c": "https://example.org/"}}, **{"/a/b": "url"})
    assert ([url["host"] for url in found.urls], [url["host"] for url in found.guessed["urls"]]) == (
        ["example.com"],
        ["example.org"],
    )


def test_of_much_sql_the_first_is_guessed_about_and_everything_of_other_kinds():
    query, long = "SELECT a FROM t", "SELECT a FROM t WHERE b = '" + "x" * MAX_SQL + "'"
    found = facts({"a": [query, long, query], "b": "rm x"})
    assert {field: [fact["argument"] for fact in items] for field, items in found.guessed.items()} == {
        "paths": [],
        "urls": [],
        "commands": ["/b"],
        "sql": ["/a/0"],
        "packages": [],
    }


TEXTS = st.lists(
    st.sampled_from(
        [
            "https://",
            "example.com",
            "/",
            "..",
            "select ",
            "a",
            " from ",
            "t",
            "rm ",
            "-rf",
            "\n",
            "$x",
            "'",
            "~",
            "\\",
            '"',
        ]
    ),
    max_size=6,
).map("".join)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(TEXTS, st.lists(TEXTS, max_size=3))),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["path", "url", "command", "sql", "text"])),
)
def test_a_guess_only_adds(arguments: dict[str, Any], kinds: dict[str, Any]):
    """Beside what is declared there are guesses, and without a guess there would be the same beside them."""
    found = facts(arguments, **kinds)
    only = facts({name: value for name, value in arguments.items() if name in kinds}, **kinds)
    assert replace(found, guessed={}) == replace(only, guessed={})
    assert found == facts(arguments, **kinds)


@given(TEXTS)
def test_what_is_passed_over_looks_like_nothing(text: str):
    call = Call.of({"x": [text], "y": text}, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t"))
    assert may_look_like_any(call.body) or guess(text) is None
