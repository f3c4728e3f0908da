"""What the doctor says of records that are old enough to go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from guardrail.cli.signs import Sign

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger import Ledger


def about_retention(config: Config, ledger: Ledger) -> Iterator[Sign]:
    """Whether there is something to prune, by the configuration, and whether a prune was cut off."""
    from guardrail.ledger.pruning import spelled  # noqa: PLC0415  SQLAlchemy: help does without

    if left := ledger.pruning.unfinished():
        text = f"the removal of {', '.join(map(spelled, left))} is not finished"
        yield Sign(
            about="retention", state="warning", text=text, fix="run `guardrail prune`: it goes on with it"
        )
    kept = config.ledger.retention
    if kept is None:
        return
    months = ledger.pruning.months(kept.before(datetime.now(UTC)))
    ready = [month for month in months if not month.held]
    if ready:
        count, last = sum(month.records for month in ready), spelled(ready[-1].month)
        text = f"{count:,} records up to {last} are older than is set"
        yield Sign(about="retention", state="note", text=text, fix="run `guardrail prune`")
    elif months:
        yield Sign(
            about="retention", state="warning", text=f"{spelled(months[0].month)} stays: {months[0].held[0]}",
            fix="`guardrail prune --dry-run` lists all that keeps it",
        )  # fmt: skip
    else:
        yield Sign(about="retention", state="ok", text="no records are older than is set")
