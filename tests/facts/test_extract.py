"""From the arguments of a call and what its tool declares of them, to facts."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Tool
from guardrail.facts import MAX_VALUES, Facts, extract

NOT_TEXT = "it is neither a text nor a list of at most 256 texts"


def call(arguments: dict[str, Any], **kinds: Any) -> Call:
    return Call.of(arguments, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t", kinds=kinds))


def missing(argument: str, raw: str, folder: Path, inside: list[str]) -> dict[str, Any]:
    return {
        "argument": argument,
        "raw": raw,
        "resolved": str(folder / raw),
        "inside": inside,
        "exists": False,
        "kind": "missing",
        "links": False,
    }


def url(argument: str, host: str) -> dict[str, Any]:
    return {
        "argument": argument,
        "raw": f"https://{host}/",
        "url": f"https://{host}/",
        "scheme": "https",
        "host": host,
        "port": 443,
        "address_class": "name",
        "credentials": False,
        "addresses": (),
        "resolution": "unasked",
        "why": "",
    }


def opaque(argument: str, kind: str, why: str) -> dict[str, Any]:
    return {"argument": argument, "kind": kind, "why": why}


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def test_a_tool_that_declares_nothing_has_no_facts():
    assert extract(call({"path": "etc/passwd", "note": "a word"}), roots={}) == Facts()


def test_each_declared_argument_is_read_by_its_kind(here: Path):
    found = extract(
        call({"source": "https://a.example/", "to": "new.txt", "note": "x"}, source="url", to="path"),
        roots={"here": here},
        folder=here,
    )
    assert found == Facts(
        urls=(url("/source", "a.example"),), paths=(missing("/to", "new.txt", here, ["here"]),)
    )


def test_of_a_list_every_item_is_read(here: Path):
    found = extract(call({"files": ["a", "~/b", 3, None, "c"]}, files="path"), roots={}, folder=here)
    assert found == Facts(
        paths=(missing("/files/0", "a", here, []), missing("/files/4", "c", here, [])),
        opaque=(
            opaque("/files/1", "path", "it begins with '~', which some programs expand and others do not"),
            opaque("/files/2", "path", NOT_TEXT),
            opaque("/files/3", "path", NOT_TEXT),
        ),
    )


def test_nested_arguments_are_declared_by_pointer():
    arguments = {
        "request": {"url": "https://a.example/"},
        "hooks": [{"to": "https://b.example/"}, {}, {"to": None}],
    }
    found = extract(call(arguments, **{"/request/url": "url", "/hooks/*/to": "url"}), roots={})
    assert found == Facts(urls=(url("/request/url", "a.example"), url("/hooks/0/to", "b.example")))


def test_an_argument_name_with_a_slash_inside_is_a_name():
    assert extract(call({"a/b~": "https://a.example/"}, **{"a/b~": "url"}), roots={}) == Facts(
        urls=(url("/a~1b~0", "a.example"),)
    )


@pytest.mark.parametrize("arguments", [{}, {"path": None}, {"path": []}])
def test_an_absent_argument_has_no_facts(arguments: dict[str, Any]):
    assert extract(call(arguments, path="path"), roots={}) == Facts()


@pytest.mark.parametrize("value", [1, True, 1.5, {"path": "/x"}])
def test_a_declared_argument_that_is_no_text_is_opaque(value: Any):
    assert extract(call({"path": value}, path="path"), roots={}) == Facts(
        opaque=(opaque("/path", "path", NOT_TEXT),)
    )


@pytest.mark.parametrize("value", ["/etc/passwd", ["/etc/passwd"], 7])
def test_a_value_where_a_nested_one_was_declared_is_opaque(value: Any):
    """The tool may take `file` in either form; a fact about `/file/path` would say nothing of this one."""
    found = extract(call({"file": value}, **{"/file/path": "path"}), roots={})
    assert replace(found, guessed=Facts().guessed) == Facts(opaque=(opaque("/file", "path", NOT_TEXT),))


def test_a_caution_stands_beside_the_fact():
    text = "https://anna:secret@a.example/"
    found = extract(call({"to": text}, to="url"), roots={})
    assert found == Facts(
        urls=(url("/to", "a.example") | {"raw": text, "url": text, "credentials": True},),
        opaque=(opaque("/to", "url", "it carries a name or password"),),
        secrets=({"argument": "/to", "kind": "url_password", "category": "secret", "start": 0, "end": 20},),
    )


def test_a_kind_that_nothing_reads_is_opaque():
    assert extract(call({"sound": "x"}, sound="audio"), roots={}) == Facts(
        opaque=(opaque("/sound", "audio", "nothing reads arguments of this kind"),)
    )


def test_more_texts_than_are_read_are_opaque_as_a_whole():
    few, many = ["https://a.example/"] * MAX_VALUES, ["https://a.example/"] * (MAX_VALUES + 1)
    assert len(extract(call({"to": few}, to="url"), roots={}).urls) == MAX_VALUES
    assert extract(call({"to": many}, to="url"), roots={}) == Facts(opaque=(opaque("/to", "url", NOT_TEXT),))
    spread = {"to": [{"url": text} for text in many]}
    assert extract(call(spread, **{"/to/*/url": "url"}), roots={}) == Facts(
        opaque=(opaque("/to/*/url", "url", NOT_TEXT),)
    )


TEXTS = st.one_of(
    st.sampled_from(
        ["/etc/passwd", "a/../b", "~", "https://a.example/", "http://2130706433/", "", "\\", "é"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["path", "url", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
DECLARED = st.dictionaries(
    st.sampled_from(["path", "url", "/x", "/x/path", "/*/url", "/*/*", "/x/0", ""]),
    st.sampled_from(["path", "url"]),
)


@settings(deadline=None)
@given(arguments=st.dictionaries(st.sampled_from(["path", "url", "x"]), VALUES), kinds=DECLARED)
def test_whatever_the_arguments_the_same_call_has_the_same_facts(
    arguments: dict[str, Any], kinds: dict[str, Any]
):
    """No exception escapes, and every text that a pointer reaches is a fact or opaque."""
    attempted = call(arguments, **kinds)
    found = extract(attempted, roots={"tmp": Path("/tmp")}, folder=Path("/"))
    assert found == extract(attempted, roots={"tmp": Path("/tmp")}, folder=Path("/"))
    assert found.as_json().keys() == Facts().as_json().keys()
    told = {fact["argument"] for fact in (*found.paths, *found.urls, *found.opaque)}
    assert {
        f"/{name}" for name in ("path", "url") if name in kinds and isinstance(arguments.get(name), str)
    } <= told


def test_the_parsers_are_loaded_by_the_first_argument_that_needs_them():
    """Calls without such arguments pay nothing for them, and neither does `import guardrail`."""
    script = """
import sys
import guardrail
from guardrail.calls import Agent, Call, Tool
from guardrail.facts import extract

def read(kind, text):
    tool = Tool(name="t", kinds={"x": kind})
    extract(Call.of({"x": text}, run="r", id="1", agent=Agent(id="a"), tool=tool), roots={})
    print(sorted({"tree_sitter", "sqlglot"} & set(sys.modules)))

read("path", "/tmp")
read("command", "ls")
read("sql", "select 1")
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["[]", "['tree_sitter']", "['sqlglot', 'tree_sitter']"]
