"""A run as one HTML page: it holds all that it shows, and fetches, runs and sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli.timeline import Story, lasted, shared
from guardrail.pages import page, words

if TYPE_CHECKING:
    from guardrail.cli.arguments import ShownArguments
    from guardrail.ledger.listings import ListedRun

_WIDTH: Final = 320
_COLOURS: Final[Mapping[str, str]] = {"asked": "#e67700", "admitted": "#1864ab"}
_MEANS: Final[Mapping[str, str]] = {"asked": "waited for people", "admitted": "ran"}
_STYLE: Final = """
h2 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
section section { margin-left: 1.6rem; border-left: 2px solid var(--line); padding-left: .9rem; }
details { margin: .2rem 0; } summary { display: flex; gap: .8rem; align-items: baseline; cursor: pointer; }
summary::before { content: "\\25b8"; } details[open] > summary::before { content: "\\25be"; }
summary svg { flex: none; margin-left: auto; background: color-mix(in srgb, var(--line) 30%, transparent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dd { margin: 0; overflow-wrap: anywhere; }
table { margin: .3rem 0 .8rem 1.2rem; } td { padding: .1rem .7rem .1rem 0; }
td:first-child, td:nth-child(2) { white-space: nowrap; }
summary code { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 1.2rem; }
.denied, .rejected, .expired, .unknown, .raised { color: #e03131; } .asked, .suspended { color: #e67700; }
.returned { color: #2f9e44; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCall:
    """A call as the page shows it.

    Attributes:
        story: what is recorded of it.
        state: that it has now.
        arguments: as they may be shown; None = none are kept.
    """

    story: Story
    state: str
    arguments: ShownArguments | None


def html(run: ListedRun, calls: Sequence[ShownCall], *, mode: str) -> str:
    """The page of a run.

    Args:
        run: as listings have it.
        calls: in the order in which they first appear.
        mode: of the configuration.
    """
    return page(f"Run {run.id}", _parts(run, calls, mode), style=_STYLE)


def _parts(run: ListedRun, calls: Sequence[ShownCall], mode: str) -> Iterator[str]:
    if mode == "observe":
        yield '<p class="denied"><strong>OBSERVE MODE: NOTHING IS ENFORCED</strong></p>'
    usage: Mapping[str, Any] = run.usage
    told = f"{usage['calls']} admitted, {usage['denied']} denied, {usage['asked']} asked"
    facts = (("task", run.task), ("acts for", run.principal), ("started", run.started), ("calls", told))
    known = (*facts, ("labels", ", ".join(run.labels)))
    yield "<dl>" + "".join(f"<dt>{name}</dt><dd>{words(said)}</dd>" for name, said in known if said) + "</dl>"
    if any(step.event in _COLOURS for call in calls for step in call.story.steps):
        yield "<p>" + " &ensp; ".join(map(_legend, _COLOURS)) + "</p>"
    yield from _tree(calls)


def _legend(event: str) -> str:
    return f'<span class="key" style="background:{_COLOURS[event]}"></span>{_MEANS[event]}'


def _tree(calls: Sequence[ShownCall]) -> Iterator[str]:
    """The calls in their order, inside of the agents that made them, inside of those that delegated to them."""
    clock = _Clock(calls)
    above: tuple[str, ...] = ()
    for call in calls:
        chain = call.story.chain
        same = shared(above, chain)
        yield "</section>" * (len(above) - same)
        for agent in chain[same:]:
            yield f"<section><h2>{words(agent)}</h2>"
        above = chain
        yield from _call(call, clock)
    yield "</section>" * len(above)


def _call(call: ShownCall, clock: _Clock) -> Iterator[str]:
    story = call.story
    yield "<details><summary>"
    yield f"<code>{words(story.fields.get('tool', ''))}</code>"
    yield f'<strong class="{words(call.state)}">{words(call.state)}</strong>'
    for what, seconds in (("ran", story.ran), ("waited", story.waited)):
        if seconds is not None:
            yield f'<span class="dim">{what} {lasted(seconds)}</span>'
    yield f'<span class="dim"><code>{words(story.reference)}</code></span>{clock.bars(story)}</summary>'
    if call.arguments is not None:
        yield f"<pre>{escape(call.arguments.line)}</pre>"
    yield "<table>"
    for step in story.steps:
        why = "<br>".join(map(words, step.why))
        event = words(step.event)
        yield f'<tr><td>{words(step.at)}</td><td class="{event}">{event}</td><td>{why}</td></tr>'
    yield "</table></details>"


class _Clock:
    """Where moments of the run stand in a picture of it."""

    def __init__(self, calls: Sequence[ShownCall]) -> None:
        moments = [_moment(step.at) for call in calls for step in call.story.steps]
        self._begin = min(moments, default=0.0)
        self._length = max(max(moments, default=0.0) - self._begin, 0.001)

    def bars(self, story: Story) -> str:
        """What it waited for people, and ran, as a line of the run's length."""
        parts = [
            self._bar(step.at, after.at, step.event)
            for step, after in zip(story.steps, story.steps[1:], strict=False)
            if step.event in _COLOURS
        ]
        box = f'viewBox="0 0 {_WIDTH} 10" width="{_WIDTH}" height="10"'
        return f'<svg role="img" aria-label="when" {box}>{"".join(parts)}</svg>'

    def _bar(self, begin: str, end: str, event: str) -> str:
        left, right = self._place(begin), self._place(end)
        width = max(right - left, 1.5)
        place = f'x="{left:.1f}" y="1" width="{width:.1f}" height="8"'
        return f'<rect {place} fill="{_COLOURS[event]}"><title>{_MEANS[event]}</title></rect>'

    def _place(self, at: str) -> float:
        return (_moment(at) - self._begin) * _WIDTH / self._length


def _moment(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
