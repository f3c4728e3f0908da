"""A what-if as one HTML page: it holds all that it shows, and fetches, runs and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from guardrail.pages import page, words
from guardrail.replay.findings import VERDICTS, Finding, Groups, Said, Verdict, WhatIf

MOST_FLIPS: Final = 2_000
"""Flips that stand on the page; a browser that shows more of them is no help."""
_MOST_GROUPS: Final = 20
_WIDTH: Final = 640
_BAR: Final = 22
_COLOURS: Final[Mapping[Verdict, str]] = {
    "unchanged": "#9aa5b1",
    "newly allowed": "#d9480f",
    "newly denied": "#1864ab",
    "newly asked": "#e67700",
    "unreachable": "#ced4da",
    "cannot say": "#862e9c",
}
_STYLE: Final = """
th, td { padding: .25rem .6rem; } th { border-bottom: 1px solid var(--line); white-space: nowrap; }
tr + tr td { border-top: 1px solid var(--line); } svg { max-width: 48rem; display: block; }
.flips { width: 100%; } .count td:last-child { text-align: right; }
"""


def html(result: WhatIf) -> str:
    """The page."""
    now = f"What if: <code>{words(result.now)}</code>"
    return page(f"What if: {result.now}", _parts(result), style=_STYLE, heading=now)


def _parts(result: WhatIf) -> Iterator[str]:
    decisions = sum(result.counts.values())
    yield f"<p>{decisions:,} decisions of {result.runs:,} runs, compared with <code>{words(result.before)}</code>.</p>"
    yield _stacked(result.counts)
    yield _counts(result.counts)
    for title, groups in (("rule", result.by_rule), ("tool", result.by_tool), ("agent", result.by_agent)):
        if groups:
            yield f"<h2>By {title}</h2>"
            yield _bars(title, groups)
    if result.unsaid:
        yield "<h2>Why nothing can be said of some</h2>"
        reasons = ((words(why), f"{count:,}") for why, count in result.unsaid.items())
        yield _table("count", ("why", "decisions"), reasons)
    if result.flips:
        yield "<h2>What comes out otherwise</h2>"
        yield from _flips(result.flips)


def _stacked(counts: Mapping[Verdict, int]) -> str:
    """All decisions as one bar."""
    total = sum(counts.values()) or 1
    parts, x = list[str](), 0.0
    for verdict in VERDICTS:
        width = counts[verdict] * _WIDTH / total
        label = f"{counts[verdict]:,} {verdict}"
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="{_BAR}" fill="{_COLOURS[verdict]}">'
            f"<title>{label}</title></rect>"
        )
        x += width
    return _svg(_BAR, "all decisions by verdict", parts)


def _counts(counts: Mapping[Verdict, int]) -> str:
    rows = (
        (f'<span class="key" style="background:{_COLOURS[verdict]}"></span>{verdict}', f"{counts[verdict]:,}")
        for verdict in VERDICTS
    )
    return _table("count", ("verdict", "decisions"), rows)


def _bars(title: str, groups: Groups) -> str:
    """The groups with the most flips, a bar each."""
    shown = list(groups.items())[:_MOST_GROUPS]
    most = max(sum(counts.values()) for _, counts in shown)
    left, parts = 260, list[str]()
    for row, (name, counts) in enumerate(shown):
        y, x = row * (_BAR + 6), float(left)
        parts.append(f'<text x="0" y="{y + 15}">{words(_short(name))}<title>{words(name)}</title></text>')
        for verdict, count in counts.items():
            width = count * (_WIDTH - left - 60) / most
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{_COLOURS[verdict]}">'
                f"<title>{count:,} {verdict}</title></rect>"
            )
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(counts.values()):,}</text>')
    more = f"<p>… and {len(groups) - len(shown):,} more.</p>" if len(groups) > len(shown) else ""
    return _svg(len(shown) * (_BAR + 6), f"what comes out otherwise, by {title}", parts) + more


def _flips(flips: tuple[Finding, ...]) -> Iterator[str]:
    if len(flips) > MOST_FLIPS:
        yield f"<p>The first {MOST_FLIPS:,} of {len(flips):,}.</p>"
    rows = (
        (
            f'<span class="whole">{words(flip.verdict)}</span>',
            f"<code>{words(flip.tool)}</code><br>{words(flip.agent)}",
            f'{words(flip.run)}<br><span class="whole">{words(flip.at)}<br>{flip.place}</span>',
            _said(flip.before),
            _said(flip.now),
        )
        for flip in flips[:MOST_FLIPS]
    )
    yield _table("flips", ("verdict", "tool, agent", "run, record", "before", "now"), rows)


def _said(said: Said) -> str:
    reasons = "".join(
        f"<br>{words(reason.message)} <code>[{words(reason.rule)}]</code>" for reason in said.reasons
    )
    return f"<b>{words(said.answer)}</b>{reasons}"


def _table(kind: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _svg(height: int, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {height}" width="100%">'
        f"{''.join(parts)}</svg>"
    )


def _short(name: str) -> str:
    return name if len(name) <= 36 else f"{name[:35]}…"
