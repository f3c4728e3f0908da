"""Which sealing key a ledger is used with: one for its whole life, and none silently made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import select

from guardrail.errors import LedgerUnavailable
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection, Database, Place
from guardrail.ledger.statements import text
from guardrail.sealing import SealingKey

_USED: Final = text(select(schema.sealed.c.key_id).order_by(schema.sealed.c.record.desc()).limit(1))


def key_path(place: Place) -> Path:
    """Where a ledger's key stands by default: beside a file, or in the present folder."""
    return Path(f"{place}.key") if isinstance(place, Path) else Path("guardrail.key").absolute()


def key_for(database: Database, connection: Connection, given: SealingKey | None) -> SealingKey:
    """The key to use: the given one, else the file's, created where nothing is sealed yet.

    Raises:
        LedgerUnavailable: no key, or not the one that this ledger was sealed with.
    """
    used = connection.execute(_USED).fetchone()
    path = key_path(database.place)
    if given is not None:
        key = given
    elif used is not None or path.exists():
        key = SealingKey.read(path)
    else:
        key = SealingKey.create(path)
    if used is not None and used[0] != key.id:
        sealed = f"the ledger {database.name} was sealed with key {used[0]}"
        raise LedgerUnavailable(
            f"{sealed}, not with key {key.id} ({key.path or 'given'})",
            fix=f"use the key that it was made with: copy that file to {key.path or 'this machine'}",
        )
    return key
