"""A content leads where its readers are led: every link that their programs make, and the host that they go to."""

from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.facts.contents import MAX_LINKS, read_content
from guardrail.facts.extractor import Findings, Surroundings

HERE = Surroundings(roots={}, folder=Path())


def read(text: str) -> Findings:
    return read_content(text, HERE)


def hosts(text: str) -> list[str]:
    (fact,) = read(text).facts
    assert fact["characters"] == len(text)
    return [link["host"] for link in fact["links"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Details: https://shop.example/a?b=c, or www.evil.example.", ["shop.example", "www.evil.example"]),
        ("![x](//evil.example/?q=secret)", ["evil.example"]),
        ("see evil.example:8443/x", ["evil.example"]),
        ("see EVIL.example/x", ["evil.example"]),
        ("evil.example?x=1 or evil.example#x", ["evil.example", "evil.example"]),
        ("1.2.3.4/x", ["1.2.3.4"]),
        ("mailto:bob@Evil.example?subject=x", ["evil.example"]),
        ("'https://good.example/' *https://b.example/x*", ["good.example", "b.example"]),
        ("https://u:p@evil.example/", ["evil.example"]),
        ("Is it evil.example? Ask bob@evil.example. metadata:x 12:30 3.5/2 a // b", []),
    ],
)
def test_links_are_found_with_their_hosts(text: str, found: list[str]):
    assert (hosts(text), read(text).caution) == (found, "")


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example\\@good.example/x", "http:\\\\evil.example\\x", "http:/evil.example/x",
        "https:///evil.example/x", "https://good.example'.evil.example/", "http://évil.example/x", "http://0x7f.1/",
        "javascript:alert(1)", "[x](data:text/html,x)", "slack://channel?id=1",
    ],
)  # fmt: skip
def test_a_link_that_programs_read_differently_has_no_host_and_somebody_looks(text: str):
    assert hosts(text) == [""]
    assert read(text).caution.startswith("a link is not understood: ")


def test_more_links_than_are_told_apart_are_said():
    many = " ".join(["https://a.example/"] * MAX_LINKS)
    assert (len(hosts(many)), read(many).caution) == (MAX_LINKS, "")
    found = read(f"{many} https://evil.example/")
    assert (len(found.facts[0]["links"]), found.caution) == (
        MAX_LINKS,
        f"it holds more than {MAX_LINKS} links",
    )


@given(st.text(max_size=200) | st.text(st.sampled_from("htps:/\\.@?#a1 wmailto[]()'\""), max_size=60))
def test_no_exception_escapes_and_the_same_text_has_the_same_facts(text: str):
    assert read(text) == read(text)


@pytest.mark.parametrize(
    "unit",
    ["a.", "a-", "//a.", "http:", "1.2.3.", "www.", "mailto:a", "a.b/", "x@a.b", "é.", "https://", "a:1"],
)
def test_time_is_linear_in_the_text(unit: str):
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        return min(_timed(text) for _ in range(3))

    assert seconds(160_000) < 40 * max(seconds(20_000), 0.001)


def _timed(text: str) -> float:
    begun = perf_counter()
    read(text)
    return perf_counter() - begun
