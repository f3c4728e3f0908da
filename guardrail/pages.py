"""Pages: what is shown to people as one HTML file that holds all of it, and fetches, runs and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from guardrail.visible import visible

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""For browsers (Content Security Policy): whatever should have slipped in, nothing of it is fetched or run."""
_STYLE: Final = """
:root { color-scheme: light dark; --line: #ced4da; --dim: #6c757d; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #212529; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 1.8rem 0 .4rem; }
table { border-collapse: collapse; } th, td { text-align: left; vertical-align: top; overflow-wrap: anywhere; }
code, pre { font: 13px ui-monospace, monospace; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px; }
.dim { color: var(--dim); } .whole { white-space: nowrap; }
@media (prefers-color-scheme: dark) {
  :root { --line: #495057; --dim: #adb5bd; } body { background: #16191d; color: #e9ecef; }
}
"""


def page(title: str, parts: Iterable[str], *, style: str = "", heading: str | None = None) -> str:
    """A page.

    Args:
        title: what it is about, as text.
        parts: its body, as HTML.
        style: rules that only this page needs.
        heading: the title as HTML, where it is more than text.
    """
    return "\n".join(_lines(title, parts, style, heading)) + "\n"


def words(said: object) -> str:
    """What others wrote, as characters: nothing of it is a tag, and nothing of it is hidden."""
    return escape(visible(str(said)))


def _lines(title: str, parts: Iterable[str], style: str, heading: str | None) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{words(title)}</title><style>{_STYLE}{style}</style></head>"
    yield f"<body><h1>{words(title) if heading is None else heading}</h1>"
    yield from parts
    yield "</body></html>"
