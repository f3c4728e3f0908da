"""JSON pointers (RFC 6901), with `*` for every member of one level."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.pointers import Place, escape, leaves, of_argument, places, put, tokens

# RFC 6901, section 5: the document and its pointers.
DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard(pointer: str, value: Any):
    assert list(places(DOCUMENT, pointer)) == [Place(pointer=pointer, value=value)]


def test_an_escaped_tilde_before_a_one_is_no_escaped_slash():
    assert (tokens("/~01"), escape("~1")) == (("~1",), "~01")


@pytest.mark.parametrize("pointer", ["foo", " /foo", "/a~b", "/a~2", "/~"])
def test_what_is_no_pointer_is_refused(pointer: str):
    with pytest.raises(ValueError, match="is no JSON pointer"):
        tokens(pointer)


@pytest.mark.parametrize("pointer", ["/nothing", "/foo/2", "/foo/999999999", "/foo/9999999999999999999999"])
def test_an_absent_member_is_nowhere(pointer: str):
    found = [place for place in places(DOCUMENT, pointer) if place.reached]
    assert found == []


@pytest.mark.parametrize("index", ["-", "01", "-1", "+1", "1.0", "\u0661", "x"])
def test_a_list_has_no_members_but_its_indexes(index: str):
    assert list(places([1, 2], f"/{index}")) == [Place(pointer="", value=[1, 2], reached=False)]


def test_a_wildcard_is_every_member_of_one_level():
    value = {"a": [{"x": 1}, {"x": 2}, {"y": 3}], "b": {"x": 4}}
    assert list(places(value, "/*/*")) == [
        Place(pointer="/a/0", value={"x": 1}),
        Place(pointer="/a/1", value={"x": 2}),
        Place(pointer="/a/2", value={"y": 3}),
        Place(pointer="/b/x", value=4),
    ]
    assert list(places(value, "/a/*/x")) == [
        Place(pointer="/a/0/x", value=1),
        Place(pointer="/a/1/x", value=2),
    ]


def test_the_place_where_the_way_ends_early_is_told():
    assert list(places({"a": "text", "b": None}, "/*/x")) == [
        Place(pointer="/a", value="text", reached=False)
    ]


def test_a_plain_name_is_an_argument_of_the_tool():
    assert [of_argument(text) for text in ("path", "a/b", "m~n", "/a/b")] == [
        "/path",
        "/a~1b",
        "/m~0n",
        "/a/b",
    ]
    with pytest.raises(ValueError, match="is no JSON pointer"):
        of_argument("/a~b")


@settings(deadline=None)
@given(st.lists(st.text(max_size=4).filter(lambda token: token != "*"), max_size=5), st.integers())
def test_a_pointer_leads_back_to_where_it_was_made(way: list[str], value: int):
    nested: Any = value
    for token in reversed(way):
        nested = {token: nested, token + "'": "another"}
    pointer = "".join(f"/{escape(token)}" for token in way)
    assert tokens(pointer) == tuple(way)
    assert list(places(nested, pointer)) == [Place(pointer=pointer, value=value)]


NESTED = {"a": [1, {"b/c": None}], "d": "x", "e": {}, "*": True}


def test_leaves_are_found_in_their_order_with_pointers_that_lead_to_them():
    found = [(place.pointer, place.value) for place in leaves(NESTED)]
    assert found == [("/a/0", 1), ("/a/1/b~1c", None), ("/d", "x"), ("/*", True)]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/a/1/b~1c", {**NESTED, "a": [1, {"b/c": 7}]}),
        ("/*", {**NESTED, "*": 7}),
        ("", 7),
    ],
)
def test_a_value_is_put_where_a_pointer_leads(pointer: str, expected: object):
    assert put(copy.deepcopy(NESTED), pointer, 7) == expected
