"""`database`: the form of the ledger's tables, and the rights that a role needs on a PostgreSQL ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, LedgerAddress, at, load
from guardrail.cli.output import Output

app = typer.Typer(no_args_is_help=True, help="The ledger's tables: their form, and who may do what.")


@app.callback()
def database() -> None:
    """The ledger's tables: their form, and who may do what."""


@app.command()
def roles(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="The role that the application connects as.")],
) -> None:
    """Print SQL that lets a role add and read records, and do what else an application needs; run it as the owner."""
    from guardrail.ledger.rights import granting_to  # noqa: PLC0415  SQLAlchemy: help does without

    typer.echo(granting_to(role), nl=False)


@app.command()
def upgrade(
    *,
    address: LedgerAddress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Bring the tables to the form of this version; on PostgreSQL as their owner. Opening a ledger does it too."""
    from guardrail.ledger.forms import upgrade as bring_up  # noqa: PLC0415  SQLAlchemy: help does without

    found, now = bring_up(at(load(config), address).ledger_path)
    _tell(Output(color=color), found, now, as_json=as_json)


@app.command()
def downgrade(
    form: Annotated[str, typer.Argument(metavar="FORM", help="The form that an earlier version has: 0008.")],
    *,
    lose: Annotated[bool, typer.Option("--lose", help="What it has no place for may go.")] = False,
    address: LedgerAddress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Take the tables down to the form of an earlier version, to install that next. End all processes first."""
    from guardrail.ledger.forms import downgrade as take_down  # noqa: PLC0415  SQLAlchemy: help does without

    found, now = take_down(at(load(config), address).ledger_path, form, lose=lose)
    _tell(Output(color=color), found, now, as_json=as_json)


def _tell(output: Output, found: str | None, now: str, *, as_json: bool) -> None:
    if as_json:
        output.document({"from": found, "to": now})
    elif found == now:
        output.line(f"The tables have form {now} already.")
    else:
        output.line(f"The tables have form {now}; they had {found or 'none'}.", style="green")
