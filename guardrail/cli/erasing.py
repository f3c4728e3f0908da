"""`erase`: what was sealed about runs is deleted, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

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
from guardrail.cli.output import Output
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.ledger import Ledger

_LATER: Final = {
    "sqlite": (
        "Another process keeps an older state of the database open: once it has ended, the next erasure or the "
        "last process to close the ledger overwrites it."
    ),
    "postgres": (
        "The server overwrites what was deleted when it cleans up (VACUUM); its write-ahead log and its backups "
        "hold it until they are gone."
    ),
}


def erase(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN…]", help="Runs, each by its whole id.")
    ] = None,
    *,
    principal: Annotated[
        str | None, typer.Option("--principal", metavar="ID", help="Every run for this principal.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept sealed.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    address: LedgerAddress = None,
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Delete arguments, results, tasks and words of runs for good, and halt them. Their records stay and verify."""
    who, output = person_or_user(person), Output(color=color)
    with opened(config, address) as (_, ledger):
        meant = _meant(ledger, runs or [], principal)
        if not (yes or as_json):
            output.line(f"To be erased: {len(meant)} runs: {visible(', '.join(meant))}")
            output.line(
                "Their arguments, results, tasks and messages cannot be had back, and they are halted."
            )
            if typer.prompt("Type `erase` to go on", default="", show_default=False).strip() != "erase":
                output.line("Nothing was erased.")
                raise typer.Exit(1)
        on_server = isinstance(ledger.path, str)
        erased = [ledger.erasing.erase(run, by=who.id, reason=reason) for run in meant]
    left = not all(one.overwritten for one in erased)
    if as_json:
        listed = [{"run": one.run, "details": one.details} for one in erased]
        output.document({"erased": listed, "by": who.id, "overwritten": not left})
        return
    for one in erased:
        output.line(f"Erased: run {visible(one.run)}, {one.details:,} sealed details.", style="green")
    output.line(f"By {who}.")
    if left:
        output.line(_LATER["postgres" if on_server else "sqlite"], style="yellow")


def _meant(ledger: Ledger, runs: list[str], principal: str | None) -> list[str]:
    if bool(runs) == (principal is not None):
        raise typer.BadParameter("name runs, or one --principal")
    if principal is None:
        return list(dict.fromkeys(runs))
    found = [run.id for run in ledger.runs() if run.principal == principal]
    if not found:
        raise typer.BadParameter(f"there is no run for {visible(principal)}", param_hint="--principal")
    return found
