"""`replay`: what was decided, decided again, as it was or under other policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load, only
from guardrail.cli.progress import Progress, bar
from guardrail.cli.replayed import Asked, recompute_and_tell, what_if_and_tell

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.replay.history import History


Engine = Literal["processes", "ray"]


class FailOn(StrEnum):
    """What makes a what-if end with exit code 1."""

    NEWLY_ALLOWED = "newly-allowed"
    NEWLY_DENIED = "newly-denied"
    NEWLY_ASKED = "newly-asked"
    UNREACHABLE = "unreachable"
    CANNOT_SAY = "cannot-say"


def replay(
    *,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Decide again from what is stored: is it the same?")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="DIR", help="What if these were the policies, in place of one's own."
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--from", metavar="REV", help="Compare the policies of a Git revision …")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--to", metavar="REV", help="… with those of another one.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Only from then on: 2026-01-31, 2026-01-31T12:00:00Z, 7d."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of it, as where nothing is chosen.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.")
    ] = None,
    fail_on: Annotated[
        list[FailOn] | None, typer.Option("--fail-on", help="Exit code 1 where there is any; repeatable.")
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, metavar="N", help="How many recompute.")
    ] = 1,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Who recomputes: processes here, or Ray.")
    ] = "processes",
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Decide again what was decided: as it was, or under other policies. Nothing is run, nothing is written."""
    if sum((run is not None, since is not None, everything)) > 1:
        raise typer.BadParameter("--run, --since and --all exclude each other")
    others = policy, before, after, html, markdown, fail_on
    if recompute and any(option is not None for option in others):
        raise typer.BadParameter(
            "--recompute goes by the stored policies: it takes no others, and writes no page"
        )
    if (before is None) != (after is None) or (policy is not None and after is not None):
        raise typer.BadParameter("give either --policy, or both --from and --to")
    settings = load(config)
    history = _history(settings, run, since)
    asked = Asked(as_json=as_json, color=color)
    with bar("Replaying", shown=progress) as advance:
        if recompute:
            told = recompute_and_tell(history, asked, processes=processes, engine=engine, progress=advance)
        else:
            told = what_if_and_tell(
                history, settings, asked, policy=policy, revisions=None if before is None else (before, after or ""),
                pages={"html": html, "markdown": markdown}, fail_on=fail_on or (), progress=advance,
            )  # fmt: skip
    told()


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
    runs = history.runs()
    return history.of(only("run", run, ((id_, id_) for id_ in runs), fix="list them: guardrail runs"))


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
