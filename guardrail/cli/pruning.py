"""`prune`: the records of months that were over long ago are deleted; what is left verifies as before."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardrail.cli.clocks import clocks
from guardrail.cli.options import (
    CONFIG,
    AsJson,
    Color,
    ConfigPath,
    LedgerAddress,
    Person,
    opened,
    person_or_user,
)
from guardrail.cli.output import NO, Output
from guardrail.cli.progress import Progress, bar
from guardrail.errors import MustBeKept
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger.listings import Status
    from guardrail.ledger.pruning import Declared, Month, Wish

_MOST: Final = 10
"""Reasons that are listed for a month; --json has all of them."""
_SHORT: Final = (
    "BELOW SIX MONTHS: the EU AI Act, articles 19 and 26(6), has logs kept for at least six months."
)
_UNSIGNED: Final = (
    "NOT COVERED by a signed checkpoint: nothing outside of this database tells what the records were."
)


def prune(
    *,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="12mo, 400d, 2y. Left out: \\[ledger] retention."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and say what would go; delete nothing.")
    ] = False,
    below_six_months: Annotated[
        bool, typer.Option("--below-six-months", help="Also what is younger than six months. Recorded.")
    ] = False,
    without_checkpoint: Annotated[
        bool, typer.Option("--without-checkpoint", help="Also what no signed checkpoint covers. Recorded.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    address: LedgerAddress = None,
    person: Person = None,
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Delete the records of whole months, once nothing needs them. What is left verifies as before.

    What was cut off is gone on with by the same command. Exit code 1: some months stay, since something needs them.
    """
    from guardrail.ledger.pruning import Wish  # noqa: PLC0415  SQLAlchemy: help does without

    who, output = person_or_user(person), Output(color=color)
    with opened(config, address) as (settings, ledger):
        wish = Wish(
            by=who.id, before=_before(settings, older_than), below_six_months=below_six_months,
            keys=None if settings.checkpoints is None else settings.checkpoints.keys(settings.folder),
            without_checkpoint=without_checkpoint,
        )  # fmt: skip
        _check_clock(ledger.status())
        ledger.expire_due()
        with bar("Checking", shown=progress) as advance:
            checked = ledger.pruning.check(wish, advance)
        found = _Found(
            wish=wish, months=ledger.pruning.months(wish.before), unfinished=ledger.pruning.unfinished()
        )
        if not as_json:
            _tell(output, found)
        if found.is_something and not dry_run:
            if not (yes or as_json):
                _ask(output)
            declared = ledger.pruning.declare(wish, checked)
            with bar("Deleting", shown=progress) as advance:
                overwritten = ledger.pruning.finish(advance)
            found = replace(found, declared=declared, overwritten=overwritten)
    if as_json:
        output.document(found.as_json(dry_run=dry_run))
    elif found.is_something and not dry_run:
        _told(output, found)
    if any(month.held for month in found.months):
        raise typer.Exit(NO)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What there is to prune, and what became of it.

    Attributes:
        wish: what is wanted.
        months: those that are old enough, and what keeps them.
        unfinished: months that were declared before, of which rows are left.
        declared: what was declared now.
        overwritten: nothing of it is left in the files.
    """

    wish: Wish
    months: tuple[Month, ...]
    unfinished: tuple[int, ...]
    declared: Declared | None = None
    overwritten: bool = True

    @property
    def is_something(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.unfinished) or any(not month.held for month in self.months)

    def as_json(self, *, dry_run: bool) -> dict[str, object]:
        """For programs."""
        wish = self.wish
        return {
            "before": wish.before.isoformat(), "by": wish.by, "dry_run": dry_run,
            "below_six_months": wish.below_six_months, "without_checkpoint": wish.without_checkpoint,
            "months": [asdict(month) for month in self.months],
            "pruned": None if self.declared is None else asdict(self.declared),
            "unfinished" if dry_run else "finished": list(self.unfinished), "overwritten": self.overwritten,
        }  # fmt: skip


def _check_clock(status: Status) -> None:
    """Nothing goes by a clock that is known to be wrong: ahead, it would make every record old.

    Raises:
        MustBeKept: it differs from that of the database's server, or is behind the last record.
    """
    for sign in clocks(status):
        if sign.state != "ok":
            raise MustBeKept(f"how old records are is not known: {sign.text}", fix=sign.fix)


def _before(config: Config, older_than: str | None) -> datetime:
    """The moment before which months have to be over."""
    from guardrail.durations import Age  # noqa: PLC0415

    if older_than is None:
        if config.ledger.retention is None:
            raise typer.BadParameter("say --older-than AGE, or set retention in [ledger]")
        return config.ledger.retention.before(datetime.now(UTC))
    try:
        return Age.parse(older_than).before(datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from error


def _tell(output: Output, found: _Found) -> None:
    from guardrail.ledger.pruning import spelled  # noqa: PLC0415

    months, wish, unfinished = found.months, found.wish, found.unfinished
    if unfinished:
        output.line(
            f"Declared before, and not finished: {', '.join(map(spelled, unfinished))}.", style="yellow"
        )
    if not months:
        output.line(f"No month that was over by {wish.before:%Y-%m-%d} is left.")
        return
    output.table(
        ("MONTH", "LOGS", "RECORDS", ""),
        [
            (spelled(one.month), len(one.logs), one.records, "stays" if one.held else "may go")
            for one in months
        ],
    )
    for month in months:
        for why in month.held[:_MOST]:
            output.line(f"{spelled(month.month)} stays: {visible(why)}", style="yellow")
        if len(month.held) > _MOST:
            output.line(f"and {len(month.held) - _MOST} further reasons; --json lists them", indent=2)
    if wish.below_six_months:
        output.line(_SHORT, style="bold red")
    if wish.without_checkpoint:
        output.line(_UNSIGNED, style="bold red")


def _ask(output: Output) -> None:
    output.line(
        "Records cannot be had back. Calls, budgets, halts, answers and policies stay; see docs/ledger.md."
    )
    if typer.prompt("Type `prune` to go on", default="", show_default=False).strip() != "prune":
        output.line("Nothing was pruned.")
        raise typer.Exit(NO)


def _told(output: Output, found: _Found) -> None:
    declared = found.declared
    if found.unfinished:
        output.line("Finished what was declared before.", style="green")
    if declared is not None:
        covered = "" if declared.checkpoint is None else f", as checkpoint {declared.checkpoint} covers them"
        output.line(f"Pruned: {declared.records:,} records of {declared.logs} logs{covered}.", style="green")
        output.line("Run `guardrail checkpoint` next: an export verifies once one covers this prune.")
    if not found.overwritten:
        output.line("Backups, and what the database keeps of its last states, hold them until they are gone.")
