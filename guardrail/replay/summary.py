"""A what-if in Markdown, for a pull request. What others wrote stands in code spans: it links and mentions nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from guardrail.replay.findings import Finding, Groups, Said, WhatIf
from guardrail.visible import visible

_MOST_GROUPS: Final = 10
_MOST_FLIPS: Final = 50


def markdown(result: WhatIf) -> str:
    """The summary: what changes by how much, where, and the first flips."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: WhatIf) -> Iterator[str]:
    yield f"### What if: {_code(result.now)}"
    yield ""
    yield f"{sum(result.counts.values()):,} decisions of {result.runs:,} runs, compared with {_code(result.before)}."
    yield ""
    yield from _table(
        ("decisions", "count"), ((verdict, f"{count:,}") for verdict, count in result.counts.items())
    )
    for title, groups in (("rule", result.by_rule), ("tool", result.by_tool), ("agent", result.by_agent)):
        if groups:
            yield ""
            yield from _groups(title, groups)
    if result.unsaid:
        yield ""
        yield from _table(
            ("cannot say, since", "count"),
            ((_code(why), f"{count:,}") for why, count in result.unsaid.items()),
        )
    if result.flips:
        yield ""
        yield from _flips(result.flips)


def _groups(title: str, groups: Groups) -> Iterator[str]:
    rows = (
        (_code(name), ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()))
        for name, counts in list(groups.items())[:_MOST_GROUPS]
    )
    yield from _table((f"by {title}", "decisions"), rows)
    if len(groups) > _MOST_GROUPS:
        yield ""
        yield f"… and {len(groups) - _MOST_GROUPS:,} more."


def _flips(flips: tuple[Finding, ...]) -> Iterator[str]:
    shown = min(len(flips), _MOST_FLIPS)
    yield f"<details><summary>{shown:,} of {len(flips):,} that come out otherwise</summary>"
    yield ""
    rows = (
        (
            flip.verdict,
            _code(flip.tool),
            _code(flip.agent),
            _code(flip.run),
            _said(flip.before),
            _said(flip.now),
        )
        for flip in flips[:_MOST_FLIPS]
    )
    yield from _table(("verdict", "tool", "agent", "run", "before", "now"), rows)
    yield ""
    yield "</details>"


def _said(said: Said) -> str:
    reasons = "; ".join(f"{reason.message} [{reason.rule}]" for reason in said.reasons)
    return f"{said.answer}: {_code(reasons)}" if reasons else said.answer


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(text: str) -> str:
    """A code span: its fence is longer than any in the text, and nothing in it ends a cell of a table."""
    plain = " ".join(visible(text).split()).replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") or not plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
