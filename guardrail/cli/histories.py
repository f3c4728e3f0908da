"""Which part of what was recorded a command reads: a run, and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from guardrail.cli.options import only

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.replay.history import History


def history_of(config: Config, run: str | None, since: str | None) -> History:
    """What is read of the ledger of a project: opened for reading only, and never made."""
    from guardrail.replay.history import History  # noqa: PLC0415  SQLAlchemy: help does without

    history = History(
        path=config.ledger_path,
        key=config.key_path,
        since="" if since is None else moment(since),
    )
    if run is None:
        return history
    runs = history.runs()
    return history.of(only("run", run, ((id_, id_) for id_ in runs), fix="list them: guardrail runs"))


def moment(text: str) -> str:
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
