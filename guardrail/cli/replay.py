"""`replay`: what was decided, decided again, as it was or under other policies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from guardrail.cli.histories import history_of
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.progress import Progress, bar
from guardrail.cli.replayed import Asked, Reports, events_and_tell, recompute_and_tell, what_if_and_tell

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
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions", metavar="FILE", help="Decide events of an OPA decision log, not the ledger."
        ),
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
        int | None, typer.Option("--processes", min=1, metavar="N", help="How many recompute. Left out: 1.")
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option("--engine", help="Who recomputes: processes here, or Ray. Left out: processes."),
    ] = None,
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
    if not recompute and not (processes is None and engine is None):
        raise typer.BadParameter("--processes and --engine are for --recompute: a what-if is walked by one")
    if (before is None) != (after is None) or (policy is not None and after is not None):
        raise typer.BadParameter("give either --policy, or both --from and --to")
    if decisions is not None and (recompute or everything or (before, run, since) != (None, None, None)):
        raise typer.BadParameter("--decisions reads that file alone: it goes with --policy and reports")
    settings, asked = load(config), Asked(as_json=as_json, color=color)
    reports = Reports(html=html, markdown=markdown, fail_on=tuple(fail_on or ()))
    with bar("Replaying", shown=progress) as advance:
        if decisions is not None:
            told = events_and_tell(decisions, settings, asked, reports, policy=policy, progress=advance)
        elif recompute:
            told = recompute_and_tell(
                history_of(settings, run, since), asked, processes=processes or 1, engine=engine or "processes",
                progress=advance,
            )  # fmt: skip
        else:
            revisions = None if before is None else (before, after or "")
            told = what_if_and_tell(
                history_of(settings, run, since), settings, asked, reports, policy=policy, revisions=revisions,
                progress=advance,
            )  # fmt: skip
    told()
