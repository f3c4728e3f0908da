"""What was seen of packages in their registries: shared by all processes, never forgotten."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select

from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.statements import loading, padded, text
from guardrail.ledger.writes import Write
from guardrail.records import encode
from guardrail.registry.observations import Observation, follows

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_seen = schema.observations.c
_OF: Final = (
    (_seen.name == bindparam("name"))
    & (_seen.ecosystem == bindparam("ecosystem"))
    & (_seen.source == bindparam("source"))
)
_LAST: Final = text(select(schema.observations).where(_OF).order_by(_seen.since.desc()).limit(1))
_END: Final = text(delete(schema.observations).where(_OF & (_seen.since == bindparam("since"))))


class Observe(Write):
    """Keep what looks have found, each after the last one of its package."""

    def __init__(self, looks: Sequence[Observation]) -> None:
        encode({str(number): look.of for number, look in enumerate(looks)})
        self._looks = tuple(looks)

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        for look in self._looks:
            row = tx.connection.execute(_LAST, look.of).fetchone()
            last = None if row is None else _observation(row)
            found = follows(last, look)
            if found is None:
                continue
            if last is not None and last.since == found.since:
                tx.connection.execute(_END, (*look.of, last.since))
            row = (*found.of, found.since, found.checked, int(found.known), found.uploaded, found.releases)
            tx.insert(schema.observations, row)


def observations(connection: Connection, names: Collection[str]) -> list[Observation]:
    """All that was seen of these names, the oldest first."""
    if not names:
        return []
    wanted = padded(sorted(names))
    rows = connection.execute(loading(schema.observations, "name", len(wanted)), wanted).fetchall()
    return sorted(map(_observation, rows), key=lambda seen: seen.since)


def _observation(row: tuple[Any, ...]) -> Observation:
    name, ecosystem, source, since, checked, known, uploaded, releases = row
    return Observation(
        name=name, ecosystem=ecosystem, source=source, since=since, checked=checked, known=bool(known),
        uploaded=uploaded, releases=releases,
    )  # fmt: skip
