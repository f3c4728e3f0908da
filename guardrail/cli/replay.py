"""`replay`: what was decided, decided again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load, only
from guardrail.cli.output import Output
from guardrail.cli.progress import Progress, bar
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.replay.history import History
    from guardrail.replay.recompute import Difference, Recomputation


def replay(
    *,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Decide again from what is stored: is it the same?")
    ] = False,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Only from then on: 2026-01-31, 2026-01-31T12:00:00Z, 7d."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of it, as where nothing is chosen.")] = False,
    processes: Annotated[int, typer.Option("--processes", min=1, metavar="N", help="How many work.")] = 1,
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Decide again what was decided. Nothing is run, nothing is written."""
    from guardrail.replay.pool import recompute_all  # noqa: PLC0415  SQLAlchemy, cryptography: help does without

    if not recompute:
        raise typer.BadParameter("say what to do: --recompute")
    if sum((run is not None, since is not None, everything)) > 1:
        raise typer.BadParameter("--run, --since and --all exclude each other")
    history = _history(load(config), run, since)
    with bar("Recomputing", shown=progress) as advance:
        found = recompute_all(history, processes=processes, progress=advance)
    output = Output(color=color)
    if as_json:
        output.document(found.as_json())
    else:
        _tell(output, found)
    found.require()  # names the first record


def _history(config: Config, run: str | None, since: str | None) -> History:
    """What is read of the ledger of a project: opened for reading only, and never made."""
    from guardrail.replay.history import History  # noqa: PLC0415  SQLAlchemy: help does without

    history = History(
        path=config.ledger_path,
        key=config.key_path,
        since="" if since is None else _moment(since),
    )
    if run is None:
        return history
    return history.of(
        only("run", run, ((id_, id_) for id_ in history.runs()), fix="list them: guardrail runs")
    )


def _moment(text: str) -> str:
    """A moment as records write it."""
    from guardrail.durations import seconds  # noqa: PLC0415
    from guardrail.ledger.transaction import rfc3339  # noqa: PLC0415

    try:
        return rfc3339(datetime.now(UTC) - timedelta(seconds=seconds(text)))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is neither a moment (2026-01-31T12:00:00Z) nor a duration (7d)"
        ) from error
    return rfc3339(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _tell(output: Output, found: Recomputation) -> None:
    for difference in found.differences:
        _tell_difference(output, difference)
    for change in found.changed:
        output.line(f"Since then: {change}.", style="yellow")
    for why, count in found.unsaid.items():
        output.line(f"Cannot say of {count:,}: {visible(why)}.")
    if found.own:
        output.line(f"Cannot say of {found.own:,}: guardrail refused by itself, no policy was asked.")
    if found.closed:
        output.line(f"Cannot say of {found.closed:,}: another key sealed it.")
    if found.erased:
        output.line(f"Cannot say of {found.erased:,}: it was erased.")
    if found.ok:
        output.line(f"Recomputed: {found.claim}.", style="green")


def _tell_difference(output: Output, difference: Difference) -> None:
    output.line(f"{visible(str(difference))} (run {visible(difference.run)}, {difference.call})", style="red")
    for name, decision in (("recorded", difference.recorded), ("recomputed", difference.recomputed)):
        if decision is not None:
            output.line(f"{name}: {_shortly(decision)}", indent=4)


def _shortly(decision: Any) -> str:
    reasons = "; ".join(f"{reason['message']} [{reason['rule']}]" for reason in decision["reasons"])
    return f"{decision['effect']}: {visible(reasons)}"
