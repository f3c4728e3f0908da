"""The pages that a what-if writes: whole, by themselves, and harmless whatever stands in them."""

import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guardrail.replay.findings import Because, Finding, Said, Then, WhatIf
from guardrail.replay.page import MOST_FLIPS, html
from guardrail.replay.summary import markdown

EVIL = '<script src="https://evil.example"></script> | `x` ``y`` @anna #1 https://evil.example \u202e\n[a](b)'


def finding(number: int = 0, *, before: Then = "allowed", now: Then = "denied", text: str = EVIL) -> Finding:
    return Finding(
        log=1, sequence=number, at="2026-01-31T12:00:00.000Z", run=text, call="c", tool=f"local/{number % 30}",
        agent=text, point="action", before=Said(answer=before, reasons=(Because(rule="was", message=text),)),
        now=Said(answer=now, reasons=(Because(rule=text, message=text),), why=text if now == "unsure" else ""),
    )  # fmt: skip


def result(*findings: Finding) -> WhatIf:
    return WhatIf.of(findings, before="what was recorded", now=EVIL)


class Read(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.addresses += [
            (name, value) for name, value in attrs if name in {"src", "href", "action"} or name[:2] == "on"
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_all_that_it_shows_and_nothing_that_runs():
    page = html(
        result(
            finding(),
            finding(1, now="asked"),
            finding(2, now="unsure"),
            finding(3, before="denied", now="allowed"),
        )
    )
    read = Read(page)
    assert read.addresses == []
    assert read.tags == {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "code", "svg", "rect", "text", "table",
        "thead", "tbody", "tr", "th", "td", "span", "br", "b",
    }  # fmt: skip
    assert "default-src 'none'" in page
    assert "\u202e" not in page
    assert '<script src="https://evil.example">' in read.text
    assert all(
        f"{count} {verdict}" in read.text for count, verdict in ((1, "newly denied"), (1, "newly allowed"))
    )


@given(st.text(max_size=50))
def test_no_text_becomes_a_tag_or_an_attribute(text: str):
    plain = Read(html(result(finding(text="plain"))))
    assert Read(html(result(finding(text=text)))).tags == plain.tags


def test_a_page_of_very_many_flips_shows_the_first():
    page = html(result(*(finding(number, text="x") for number in range(MOST_FLIPS + 5))))
    assert f"The first {MOST_FLIPS:,} of {MOST_FLIPS + 5:,}." in page
    assert page.count("<tr>") < MOST_FLIPS + 50
    assert "… and 10 more." in page


def test_an_empty_history_has_a_page_too():
    empty = result()
    assert ("0 decisions of 0 runs" in html(empty), "0 decisions of 0 runs" in markdown(empty)) == (
        True,
        True,
    )


CODE = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)")
"""A code span, as CommonMark reads it."""


@given(st.text(max_size=50) | st.just(EVIL))
def test_in_markdown_what_others_wrote_stands_in_code_spans_only(text: str):
    plain, told = (
        markdown(result(finding(text=given), finding(1, text=given, now="unsure"))) for given in ("x", text)
    )
    outside = [[CODE.sub("", line) for line in page.splitlines()] for page in (plain, told)]
    assert outside[0] == outside[1]
    rows = [
        [re.sub(r"\\\|", "", CODE.sub("", line)).count("|") for line in page.splitlines()]
        for page in (plain, told)
    ]
    assert rows[0] == rows[1]
