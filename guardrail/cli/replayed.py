"""What a replay has found, as people and programs read it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

from guardrail.cli.output import NO, Output
from guardrail.errors import ConfigError
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.replay.decision_logs import Invalid
    from guardrail.replay.findings import Finding, Groups, Said, WhatIf
    from guardrail.replay.history import History
    from guardrail.replay.recompute import Difference, Recomputation

Advance = Callable[[int, int | None], None] | None
"""What moves a progress bar."""
Told = Callable[[], None]
"""Says what was found, once the bar is gone."""
_MOST: Final = 100
"""Flips that are listed; --json has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a command is to answer."""

    as_json: bool
    color: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What else a what-if writes, and what makes it fail."""

    html: Path | None
    markdown: Path | None
    fail_on: tuple[str, ...]


# --- recompute --------------------------------------------------------------------------------------------


def recompute_and_tell(
    history: History, asked: Asked, *, processes: int, engine: Literal["processes", "ray"], progress: Advance
) -> Told:
    """Recompute a history."""
    from guardrail.replay.pool import recompute_all  # noqa: PLC0415  SQLAlchemy, cryptography: help does without

    found = recompute_all(history, processes=processes, engine=engine, progress=progress)

    def tell() -> None:
        output = Output(color=asked.color)
        if asked.as_json:
            output.document(found.as_json())
        else:
            _tell_recomputation(output, found)
        found.require()  # names the first record

    return tell


def _tell_recomputation(output: Output, found: Recomputation) -> None:
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
    if found.pruned:
        output.line(f"Not looked at: {found.pruned:,} records, which were pruned.")
    if found.ok:
        output.line(f"Recomputed: {found.claim}.", style="green" if found.equal else "yellow")


def _tell_difference(output: Output, difference: Difference) -> None:
    output.line(f"{visible(str(difference))} (run {visible(difference.run)}, {difference.call})", style="red")
    for name, decision in (("recorded", difference.recorded), ("recomputed", difference.recomputed)):
        if decision is not None:
            output.line(f"{name}: {_shortly(decision)}", indent=4)


def _shortly(decision: Mapping[str, Any]) -> str:
    reasons = "; ".join(f"{reason['message']} [{reason['rule']}]" for reason in decision["reasons"])
    return f"{decision['effect']}: {visible(reasons)}"


# --- what-if ----------------------------------------------------------------------------------------------


def what_if_and_tell(
    history: History,
    config: Config,
    asked: Asked,
    reports: Reports,
    *,
    policy: Path | None,
    revisions: tuple[str, str] | None,
    progress: Advance,
) -> Told:
    """Walk a history under other policies."""
    from guardrail.replay.findings import WhatIf  # noqa: PLC0415  SQLAlchemy, cryptography: help does without

    with ExitStack() as stack:
        findings, before, now = _findings(history, config, policy, revisions, stack)
        found = WhatIf.of(_counted(findings, progress), before=before, now=now)

    def tell() -> None:
        _write(found, reports)
        output = Output(color=asked.color)
        if asked.as_json:
            output.document(found.as_json())
        else:
            _tell_what_if(output, found)
        _judge(found, reports.fail_on)

    return tell


def _findings(
    history: History, config: Config, policy: Path | None, revisions: tuple[str, str] | None, stack: ExitStack
) -> tuple[Iterator[Finding], str, str]:
    """The findings, what they are compared with, and what decides now."""
    from guardrail.replay.candidate import Candidate  # noqa: PLC0415
    from guardrail.replay.what_if import between, what_if  # noqa: PLC0415

    if revisions is None:
        candidate = Candidate.of(config, config.bundle(None if policy is None else [policy]))
        return (
            what_if(history, candidate),
            "what was recorded",
            "these policies" if policy is None else str(policy),
        )
    from guardrail.cli.revisions import folders_at  # noqa: PLC0415

    own = config.own_policy_paths
    if not own:
        raise ConfigError(
            "the configuration names no policies of one's own, so no revision has any",
            fix="name their folder: [policies] paths",
        )
    first, second = (
        Candidate.of(config, config.bundle(stack.enter_context(folders_at(revision, own))))
        for revision in revisions
    )
    return between(history, first, second), f"policies of {revisions[0]}", f"policies of {revisions[1]}"


def events_and_tell(
    file: Path, config: Config, asked: Asked, reports: Reports, *, policy: Path | None, progress: Advance
) -> Told:
    """Decide the events of a decision log again, each by itself."""
    from guardrail.replay.candidate import Candidate  # noqa: PLC0415  SQLAlchemy, cryptography: help does without
    from guardrail.replay.decision_logs import DecisionLog  # noqa: PLC0415
    from guardrail.replay.findings import WhatIf  # noqa: PLC0415

    candidate = Candidate.of(config, config.bundle(None if policy is None else [policy]))
    log = DecisionLog(path=file)
    now = "these policies" if policy is None else str(policy)
    found = WhatIf.of(_counted(log.findings(candidate), progress), before=f"what {file.name} says", now=now)

    def tell() -> None:
        _write(found, reports)
        output = Output(color=asked.color)
        if asked.as_json:
            output.document(
                {**found.as_json(), "others": log.others, "invalid": [asdict(item) for item in log.invalid]}
            )
        else:
            _tell_what_if(output, found)
            output.line()
            output.line(
                "Each event is decided by itself: budgets, approvals and what follows a flip are not looked at."
            )
            if log.others:
                output.line(f"{log.others:,} events are about other decisions than guardrail/decision.")
        _judge(found, reports.fail_on)
        if log.invalid:
            _complain_of(log.invalid)

    return tell


def _complain_of(invalid: Sequence[Invalid]) -> None:
    """Name what is no event: of that, nothing was said."""
    output = Output(stream=sys.stderr)
    for item in invalid[:_MOST]:
        output.line(f"line {item.number}: {visible(item.why)}", style="red")
    if len(invalid) > _MOST:
        output.line(f"… and {len(invalid) - _MOST:,} more: --json has all of them.", style="red")
    raise typer.Exit(NO)


def _counted(findings: Iterator[Finding], progress: Advance) -> Iterator[Finding]:
    for count, finding in enumerate(findings, start=1):
        if progress is not None and count % 100 == 0:
            progress(count, None)
        yield finding


def _write(found: WhatIf, reports: Reports) -> None:
    from guardrail.replay.page import html  # noqa: PLC0415
    from guardrail.replay.summary import markdown  # noqa: PLC0415

    for path, write in ((reports.html, html), (reports.markdown, markdown)):
        if path is not None:
            try:
                path.write_text(write(found), encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _judge(found: WhatIf, fail_on: Sequence[str]) -> None:
    """Fail where there is something that nobody wants."""
    unwanted = [
        f"{count:,} {verdict}"
        for verdict, count in found.counts.items()
        if count and verdict.replace(" ", "-") in fail_on
    ]
    if unwanted:
        Output(stream=sys.stderr).line(f"Not wanted: {', '.join(unwanted)}", style="red")
        raise typer.Exit(NO)


def _tell_what_if(output: Output, found: WhatIf) -> None:
    output.line(f"What if: {visible(found.now)}, compared with {visible(found.before)}.")
    output.table(
        ("VERDICT", "DECISIONS"), [(verdict, f"{count:,}") for verdict, count in found.counts.items()]
    )
    for title, groups in (("RULE", found.by_rule), ("TOOL", found.by_tool), ("AGENT", found.by_agent)):
        if groups:
            output.line()
            output.table((title, "COMES OUT OTHERWISE"), _rows(groups))
    if found.unsaid:
        output.line()
        output.table(
            ("CANNOT SAY, SINCE", "DECISIONS"), [(why, f"{count:,}") for why, count in found.unsaid.items()]
        )
    for flip in found.flips[:_MOST]:
        output.line()
        output.line(
            f"{flip.verdict}: {visible(flip.tool)} by {visible(flip.agent)} in run {visible(flip.run)} "
            f"({flip.place})",
            style="bold",
        )
        output.line(f"before: {_in_words(flip.before)}", indent=4)
        output.line(f"now: {_in_words(flip.now)}", indent=4)
    if len(found.flips) > _MOST:
        output.line(f"… and {len(found.flips) - _MOST:,} more: --json has all of them.")


def _rows(groups: Groups) -> list[tuple[str, str]]:
    return [
        (name, ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()))
        for name, counts in groups.items()
    ]


def _in_words(said: Said) -> str:
    reasons = "; ".join(f"{reason.message} [{reason.rule}]" for reason in said.reasons)
    return f"{said.answer}: {visible(reasons)}" if reasons else said.answer
