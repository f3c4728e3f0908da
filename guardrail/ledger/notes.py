"""What an adapter has to remember about a run: small JSON values by name, such as who handed over to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, delete, select

from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json
from guardrail.records import encode

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_notes = schema.notes.c
_ONE: Final = (_notes.run == bindparam("run")) & (_notes.name == bindparam("name"))
_FORGET: Final = text(delete(schema.notes).where(_ONE))
_READ: Final = text(select(_notes.value).where(_ONE))


class Remember(Write):
    """Keep a value under a name; the last one counts."""

    def __init__(self, run: str, name: str, value: Any) -> None:
        encode({"run": run, "name": name})
        self._of, self._name = run, name
        self._value = to_json({"value": value})

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        self._keep(tx, self._value)

    def _keep(self, tx: Transaction, value: bytes) -> None:
        tx.connection.execute(_FORGET, (self._of, self._name))
        tx.insert(schema.notes, (self._of, self._name, value))


class RememberAlso(Remember):
    """Add a value to the list under a name, unless it stands there; the oldest ones make room."""

    def __init__(self, run: str, name: str, value: Any, limit: int) -> None:
        super().__init__(run, name, value)
        self._limit = limit

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        added = orjson.loads(self._value)["value"]
        kept: list[Any] = recall(tx.connection, self._of, self._name) or []
        if added not in kept:
            self._keep(tx, to_json({"value": [*kept, added][-self._limit :]}))


def recall(connection: Connection, run: str, name: str) -> Any:
    """The value under a name, or None."""
    found = connection.execute(_READ, (run, name)).fetchone()
    return None if found is None else orjson.loads(found[0])["value"]
