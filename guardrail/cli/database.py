"""`database roles`: the rights that an application's role needs on a PostgreSQL ledger, as SQL."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="What a PostgreSQL server has to be told.")


@app.callback()
def database() -> None:
    """What a PostgreSQL server has to be told."""


@app.command()
def roles(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="The role that the application connects as.")],
) -> None:
    """Print SQL that lets a role add and read records, and do what else an application needs; run it as the owner."""
    from guardrail.ledger.rights import granting_to  # noqa: PLC0415  SQLAlchemy: help does without

    typer.echo(granting_to(role), nl=False)
