"""A what-if as one HTML page: it holds all that it shows, and fetches, runs and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from guardrail.replay.findings import VERDICTS, Finding, Groups, Said, Verdict, WhatIf
from guardrail.visible import visible

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
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #212529; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; overflow-wrap: anywhere; }
th { border-bottom: 1px solid #adb5bd; } tr + tr td { border-top: 1px solid #e9ecef; }
code { font: 13px ui-monospace, monospace; } svg text { font: 12px system-ui, sans-serif; }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px; }
@media (prefers-color-scheme: dark) { body { background: #16191d; color: #e9ecef; } svg text { fill: #e9ecef; } }
"""


def html(result: WhatIf) -> str:
    """The page."""
    return "\n".join(_parts(result)) + "\n"


def _parts(result: WhatIf) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>What if: {_text(result.now)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>What if: <code>{_text(result.now)}</code></h1>"
    decisions = sum(result.counts.values())
    yield f"<p>{decisions:,} decisions of {result.runs:,} runs, compared with <code>{_text(result.before)}</code>.</p>"
    yield _stacked(result.counts)
    yield _counts(result.counts)
    for title, groups in (("rule", result.by_rule), ("tool", result.by_tool), ("agent", result.by_agent)):
        if groups:
            yield f"<h2>By {title}</h2>"
            yield _bars(title, groups)
    if result.unsaid:
        yield "<h2>Why nothing can be said of some</h2>"
        yield _table(
            ("why", "decisions"), ((_text(why), f"{count:,}") for why, count in result.unsaid.items())
        )
    if result.flips:
        yield "<h2>What comes out otherwise</h2>"
        yield from _flips(result.flips)
    yield "</body></html>"


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
    return _table(("verdict", "decisions"), rows)


def _bars(title: str, groups: Groups) -> str:
    """The groups with the most flips, a bar each."""
    shown = list(groups.items())[:_MOST_GROUPS]
    most = max(sum(counts.values()) for _, counts in shown)
    left, parts = 260, list[str]()
    for row, (name, counts) in enumerate(shown):
        y, x = row * (_BAR + 6), float(left)
        parts.append(f'<text x="0" y="{y + 15}">{_text(_short(name))}<title>{_text(name)}</title></text>')
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
            _text(flip.verdict),
            f"<code>{_text(flip.tool)}</code><br>{_text(flip.agent)}",
            f"{_text(flip.run)}<br>{_text(flip.at)}<br>{flip.place}",
            _said(flip.before),
            _said(flip.now),
        )
        for flip in flips[:MOST_FLIPS]
    )
    yield _table(("verdict", "tool, agent", "run, record", "before", "now"), rows)


def _said(said: Said) -> str:
    reasons = "".join(
        f"<br>{_text(reason.message)} <code>[{_text(reason.rule)}]</code>" for reason in said.reasons
    )
    return f"<b>{_text(said.answer)}</b>{reasons}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _svg(height: int, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {height}" width="100%">'
        f"{''.join(parts)}</svg>"
    )


def _text(text: str) -> str:
    """What others wrote, as characters."""
    return escape(visible(text))


def _short(name: str) -> str:
    return name if len(name) <= 36 else f"{name[:35]}…"
