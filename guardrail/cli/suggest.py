"""`suggest`: which rules would have spared people the questions that they keep saying yes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.histories import history_of, moment
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.output import Output
from guardrail.cli.progress import Progress, bar
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.replay.suggesting.evidence import Wanted
    from guardrail.replay.suggesting.proposals import Proposal, Suggested
    from guardrail.replay.suggesting.written import Written

_MOST_FLIPS = 100
"""Decisions that are listed of one proposal; --json has all of them."""


def suggest(
    *,
    minimum: Annotated[
        int,
        typer.Option(
            "--minimum",
            min=2,
            metavar="N",
            help="Approvals that a rule rests on, and different values for a limit.",
        ),
    ] = 5,
    people: Annotated[
        int,
        typer.Option("--people", min=1, metavar="N", help="Different people who have to have approved them."),
    ] = 1,
    tool: Annotated[
        str | None, typer.Option("--tool", metavar="TOOL", help="Only of this tool: NAME or SERVER/NAME.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only approvals from then on: 2026-01-31, 30d."),
    ] = None,
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="Also of tools that do what cannot be undone.")
    ] = False,
    most: Annotated[
        int, typer.Option("--most", min=1, max=50, metavar="N", help="How many are proposed.")
    ] = 10,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Write the rules and their tests there, to be read."),
    ] = None,
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Propose rules from what people keep approving, each with what it would have come to. Nothing is activated."""
    from guardrail.replay.suggesting.evidence import Wanted  # noqa: PLC0415  SQLAlchemy: help does without

    settings = load(config)
    wanted = Wanted(
        minimum=minimum, people=people, tool=tool, since="" if since is None else moment(since),
        irreversible=irreversible,
    )  # fmt: skip
    if write is not None:
        _check_folder(write, settings)
    with bar("Reading", shown=progress) as advance:
        found = _suggested(settings, wanted, most=most, progress=advance)
    written = [] if write is None else _write(write, [proposal.written for proposal in found.proposals])
    output = Output(color=color)
    if as_json:
        output.document({**found.as_json(), "written": [str(path) for path in written]})
        return
    _tell(output, found)
    for path in written:
        output.line(f"wrote {visible(str(path))}")
    if found.proposals:
        _tell_next(output, settings, write)


def _suggested(
    config: Config, wanted: Wanted, *, most: int, progress: Callable[[int, int | None], None] | None
) -> Suggested:
    from guardrail.replay.candidate import Candidate  # noqa: PLC0415  SQLAlchemy: help does without
    from guardrail.replay.suggesting.proposals import suggest as find  # noqa: PLC0415

    bundle = config.bundle()
    if bundle is None:
        raise ConfigError(
            "no policies are configured, so no rule of theirs asks anybody",
            fix="name their folder: [policies] paths",
        )
    if not config.key_path.is_file():
        raise LedgerUnavailable(
            f"what people have approved is sealed, and the key {config.key_path} is not here",
            fix="run this where the key is held, or name it: [ledger] key",
        )
    history = history_of(config, None, None)
    return find(
        history, bundle, lambda changed: Candidate.of(config, changed), wanted, most=most, progress=progress
    )


# --- files ------------------------------------------------------------------------------------------------


def _check_folder(folder: Path, config: Config) -> None:
    """Refuse a folder whose policies decide: what is written there would be active at the next start."""
    home = folder.resolve()
    for own in config.own_policy_paths:
        if home.is_relative_to(own.resolve()):
            raise ConfigError(
                f"{folder} is among the policies that decide: what is written there would be active",
                fix="write to another folder, read the rules, and move there what you want",
            )


def _write(folder: Path, rules: Sequence[Written]) -> list[Path]:
    """Write the files; one that is there with other words stays, since somebody may have changed it."""
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rule in rules:
            for name, text in rule.files.items():
                path = folder / name
                if path.exists() and path.read_text(encoding="utf-8") != text:
                    raise ConfigError(
                        f"{path} is there already, and says something else",
                        fix="give another folder, or delete the file",
                    )
                path.write_text(text, encoding="utf-8")
                written.append(path)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    return written


# --- words ------------------------------------------------------------------------------------------------


def _tell(output: Output, found: Suggested) -> None:
    rows = [
        (
            number,
            len(proposal.prompts),
            proposal.tool,
            proposal.agent,
            proposal.principal,
            ", ".join(proposal.asks),
            proposal.covers,
        )
        for number, proposal in enumerate(found.proposals, start=1)
    ]
    if rows:
        output.table(("", "PROMPTS", "TOOL", "AGENT", "FOR", "ASKED BY", "COVERS"), rows, whole=2)
    else:
        output.line(f"Nothing to suggest from {found.prompts:,} requests: nothing was approved often enough.")
    for number, proposal in enumerate(found.proposals, start=1):
        output.line()
        _tell_proposal(output, number, proposal)
    if found.unused or found.few:
        output.line()
        beyond = [("too few of them were alike", found.few)] if found.few else []
        output.table(
            ("REQUESTS THAT NO PROPOSAL RESTS ON, SINCE", ""),
            [(why, f"{count:,}") for why, count in (*found.unused.items(), *beyond)],
        )
    for name, why in found.dropped.items():
        output.line(f"Not proposed: {name}, since {visible(why)}.")


def _tell_proposal(output: Output, number: int, proposal: Proposal) -> None:
    by = ", ".join(proposal.people)
    output.line(f"{number}. {proposal.written.name}: {len(proposal.prompts):,} prompts fewer", style="bold")
    output.line(f"rests on {len(proposal.approvals):,} approvals by {visible(by)}", indent=4)
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in proposal.counts.items() if count)
    output.line(f"what if it had decided on all of the history: {told}", indent=4)
    for flip in proposal.flips[:_MOST_FLIPS]:
        output.line(
            f"{flip.verdict}: {visible(flip.tool)} in run {visible(flip.run)}, {flip.call} "
            f"(log {flip.log}, record {flip.sequence})",
            indent=8,
        )
    if len(proposal.flips) > _MOST_FLIPS:
        output.line(f"… and {len(proposal.flips) - _MOST_FLIPS:,} more: --json has all of them.", indent=8)
    for line in _uncovered(proposal):
        output.line(line, indent=4)
    output.line()
    for line in proposal.written.rego.rstrip().splitlines():
        output.line(visible(line.expandtabs(4)), indent=4)


def _uncovered(proposal: Proposal) -> Iterator[str]:
    yield (
        "allows nothing else of what was recorded; it does not cover other agents, principals and arguments, "
        "another definition of the tool, and values out of untrusted outputs"
    )
    if proposal.refused:
        yield f"does not cover {proposal.refused:,} calls of this tool that people refused or changed"
    if proposal.unread:
        yield (
            f"whether it covers {proposal.unread:,} calls that people refused or changed cannot be known: "
            "their arguments cannot be read any more"
        )
    if unsaid := proposal.counts["cannot say"] + proposal.counts["unreachable"]:
        yield f"of {unsaid:,} decisions nobody can say how they would come out, so it may spare more, or fewer"


def _tell_next(output: Output, config: Config, folder: Path | None) -> None:
    output.line()
    output.line("Nothing is active. Arguments stand in these files as they were.", style="yellow")
    own = config.own_policy_paths
    into = visible(str(own[0])) if own else "a folder that [policies] paths names"
    begin = "Write them with --write DIR, read" if folder is None else "Read"
    output.line(
        f"{begin} them, move those that you want into {into}, then: guardrail check && guardrail test"
    )
