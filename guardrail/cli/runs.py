"""`runs` and `show`: what agents did, run by run and call by call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from guardrail.approvals import Approval
from guardrail.cli.approvals import show_approval
from guardrail.cli.arguments import ShownArguments, shown_arguments
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, listing, only, opened
from guardrail.cli.output import Output, cell
from guardrail.cli.timeline import Step, Story, lasted, shared, stories
from guardrail.errors import ConfigError, Conflict
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger import Ledger
    from guardrail.ledger.listings import ListedRun

_SHORT = 200
"""Characters of the arguments in the timeline of a run; `show CALL` has them whole."""


def runs(
    *,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the latest N.")] = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """List the runs, the latest first."""
    with opened(config) as (settings, ledger):
        found = ledger.runs()[:last]
    output = listing(settings, color=color, as_json=as_json)
    if as_json:
        output.document({"mode": settings.mode, "runs": [run.as_json() for run in found]})
    elif found:
        rows = [(run.id, run.started, run.principal, *_totals(run), run.labels, run.task) for run in found]
        output.table(("RUN", "STARTED", "FOR", "CALLS", "DENIED", "ASKED", "LABELS", "TASK"), rows)
    else:
        output.line("No runs yet.")


def show(
    given: Annotated[
        str, typer.Argument(metavar="RUN|CALL|APPROVAL", help="An id, or a beginning that no other has.")
    ],
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show masked arguments here, in the clear.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a run as one page that stands alone.")
    ] = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Show a run as a timeline; a call or an approval with its complete arguments."""
    with opened(config) as (settings, ledger):
        output = listing(settings, color=color, as_json=as_json)
        page = _Page(output=output, config=settings, ledger=ledger, as_json=as_json, reveal=reveal)
        if html is None:
            page.show(given)
        else:
            page.write(given, html)


class _Page:
    """One thing, shown."""

    def __init__(
        self, *, output: Output, config: Config, ledger: Ledger, as_json: bool, reveal: bool
    ) -> None:
        self._output = output
        self._config = config
        self._ledger = ledger
        self._as_json = as_json
        self._reveal = reveal

    def show(self, given: str) -> None:
        """The run, call or approval that the id names.

        Raises:
            Conflict: nothing begins so, or several things do.
        """
        found = self._found(given)
        if isinstance(found, Approval):
            self._approval(found)
        elif isinstance(found, str):
            self._call(found)
        else:
            self._run(found)

    def write(self, given: str, file: Path) -> None:
        """The run that the id names, as an HTML page.

        Raises:
            Conflict: it names no run.
            ConfigError: the file cannot be written.
        """
        from guardrail.cli.page import ShownCall, html  # noqa: PLC0415  what is not asked for is not loaded

        run = self._found(given)
        if isinstance(run, Approval | str):
            raise Conflict(f"{given!r} is no run", fix="list runs with `guardrail runs`")
        states = {call.key: call.state for call in self._ledger.calls(run.id)}
        calls = [
            ShownCall(
                story=story,
                state=states.get(story.key, story.state),
                arguments=story.shown(self._config, reveal=self._reveal),
            )
            for story in self._stories(run.id)
        ]
        try:
            file.write_text(html(run, calls, mode=self._config.mode), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
        self._output.line(f"Wrote {visible(str(file))}: {len(calls)} calls.")

    def _found(self, given: str) -> ListedRun | Approval | str:
        if given.startswith("call_"):
            return self._ledger.call(given).key
        named: list[tuple[str, ListedRun | Approval | str]] = [(run.id, run) for run in self._ledger.runs()]
        named += [(approval.id, approval) for approval in self._ledger.approvals()]
        try:
            key = self._ledger.call(given).key
            named.append((key, key))
        except Conflict:
            pass  # no call begins so; a run or an approval may
        return only("run, call or approval", given, named, fix="list runs with `guardrail runs`")

    def _run(self, run: ListedRun) -> None:
        states = {call.key: call.state for call in self._ledger.calls(run.id)}
        told = self._stories(run.id)
        if self._as_json:
            calls = [self._as_document(story, states.get(story.key, story.state)) for story in told]
            self._output.document({"mode": self._config.mode, "run": run.as_json(), "calls": calls})
            return
        ran, denied, asked = _totals(run)
        self._output.line(f"Run {visible(run.id)}", style="bold")
        self._output.fields(
            [
                ("task", run.task),
                ("acts for", run.principal),
                ("started", run.started),
                ("calls", f"{ran} admitted, {denied} denied, {asked} asked"),
                ("labels", run.labels),
            ]
        )
        if self._ledger.pruning.lacks_beginning(run.id):
            self._output.line(
                "What was recorded of it at first was pruned, and is not shown.", style="yellow"
            )
        above: tuple[str, ...] = ()
        for story in told:
            self._agent(above, story.chain)
            above = story.chain
            indent = 2 * len(story.chain)
            self._heading(story, states.get(story.key, story.state), indent=indent)
            arguments = story.shown(self._config, reveal=self._reveal)
            if arguments is not None:
                self._output.line(_cut(arguments, story.reference), indent=indent + 2, style="dim")
            self._steps(story.steps, indent=indent + 2)

    def _stories(self, run: str) -> list[Story]:
        return stories(self._ledger.records(run), self._config.masking.hide, reveal=self._reveal)

    def _agent(self, above: tuple[str, ...], chain: tuple[str, ...]) -> None:
        """Who acts from here on, below whoever has delegated to it."""
        if chain == above:
            return
        same = shared(above, chain)
        self._output.line()
        for depth in range(min(same, len(chain) - 1), len(chain)):
            self._output.line(visible(chain[depth]), indent=2 * depth, style="bold")

    def _call(self, key: str) -> None:
        call = self._ledger.call(key)
        story = next((story for story in self._stories(call.run) if story.key == key), None)
        if story is None:
            raise Conflict(
                f"what was recorded of {call.reference} was pruned: all that is known is that it is {call.state}",
                fix=f"see what is left of its run: guardrail show {call.run}",
            )
        if self._as_json:
            document = self._as_document(story, call.state) | {"result": story.result}
            self._output.document({"mode": self._config.mode, "call": call.as_json() | document})
            return
        self._heading(story, call.state)
        self._output.fields(
            [
                ("run", call.run),
                ("acts for", story.fields.get("principal")),
                ("effect", call.effect),
                ("attempts", call.attempts),
                ("approval", call.approval),
                ("framework id", f"{call.id} {call.scope}".rstrip()),
                ("key", call.key),
                ("last record", f"log {call.log}, record {call.sequence}"),
                ("result", story.result),
            ]
        )
        self._steps(story.steps)
        arguments = story.shown(self._config, reveal=self._reveal)
        if arguments is None:
            self._output.line("Arguments: none are kept.", style="bold")
        else:
            arguments.print(self._output)

    def _approval(self, approval: Approval) -> None:
        kept = self._ledger.approval_arguments(approval.id)
        arguments = shown_arguments(kept.arguments, kept.mask, self._config, reveal=self._reveal)
        if self._as_json:
            document = {**approval.as_json(), "call": f"call_{approval.key[:16]}", "digest": approval.digest}
            shown = {"arguments": arguments.value, "masked": list(arguments.hidden)}
            self._output.document({"mode": self._config.mode, "approval": document | shown})
        else:
            show_approval(self._output, approval, arguments)

    def _heading(self, story: Story, state: str, *, indent: int | None = None) -> None:
        line = Text(" " * (indent or 0)).append_text(cell(story.reference))
        texts = (story.fields.get("tool", ""), state)
        for text in texts if indent is not None else (" > ".join(story.chain), *texts):
            line.append("  ").append_text(cell(text))
        for what, seconds in (("ran", story.ran), ("waited", story.waited)):
            if seconds is not None:
                line.append(f"  {what} {lasted(seconds)}", style="dim")
        self._output.heading(line)

    def _steps(self, steps: list[Step], *, indent: int = 2) -> None:
        rows = [(step.at, step.event, "; ".join(step.why)) for step in steps]
        self._output.grid(rows, widths=[24, 9], indent=indent)

    def _as_document(self, story: Story, state: str) -> dict[str, Any]:
        arguments = story.shown(self._config, reveal=self._reveal)
        return {
            "reference": story.reference,
            "id": story.fields.get("id"),
            "agent": story.fields.get("agent"),
            "chain": list(story.chain),
            "tool": story.fields.get("tool"),
            "effect": story.fields.get("effect"),
            "state": state,
            "seconds_run": story.ran,
            "seconds_waited": story.waited,
            "arguments": None if arguments is None else arguments.value,
            "masked": [] if arguments is None else list(arguments.hidden),
            "steps": [step.as_json() for step in story.steps],
        }


def _totals(run: ListedRun) -> tuple[int, int, int]:
    return run.usage["calls"], run.usage["denied"], run.usage["asked"]


def _cut(arguments: ShownArguments, reference: str) -> str:
    """The arguments in one line; where that is long, its beginning and where the rest is."""
    if len(arguments.line) <= _SHORT:
        return arguments.line
    return f"{arguments.line[:_SHORT]}… ({arguments.size:,} bytes; guardrail show {reference})"
