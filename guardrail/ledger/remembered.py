"""Scopes in the ledger: a yes that was given beforehand is written down, and so is its end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, select, update

from guardrail.clock import is_believed
from guardrail.errors import Conflict
from guardrail.ledger import schema
from guardrail.ledger.approvals import about, find
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json
from guardrail.records import encode
from guardrail.scopes import Remembered, Scope
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_remembered = schema.remembered.c
_COLUMNS: Final = (
    _remembered.id, _remembered.approval, _remembered.person, _remembered.channel, _remembered.tool, _remembered.at,
    _remembered.until, _remembered.forgotten_by, _remembered.record,
)  # fmt: skip
_ALL: Final = text(select(*_COLUMNS).order_by(_remembered.at, _remembered.id))
_OF_TOOL: Final = text(
    select(*_COLUMNS)
    .where(
        _remembered.tool_digest == bindparam("tool"), _remembered.forgotten_by == "",
        _remembered.until > bindparam("now"),
    )
    .order_by(_remembered.at, _remembered.id)
)  # fmt: skip
_HOLDS: Final = text(
    select(_remembered.at).where(
        _remembered.id == bindparam("id"),
        _remembered.forgotten_by == "",
        _remembered.until > bindparam("now"),
    )
)
_FORGET: Final = text(
    update(schema.remembered)
    .values(forgotten_by=bindparam("by"))
    .where(_remembered.id == bindparam("_id"), _remembered.forgotten_by == "")
)

Detail = Callable[["Connection", int], Mapping[str, Any]]
"""Reads the sealed detail of a record; empty where it was erased."""


class RememberScope(Write):
    """A person says yes beforehand, for calls like the one that he has approved.

    Args:
        number: the request with that call.
        person: who has approved it.
        scope: for how long, and what may differ.
        given: the policy input of that call, as JSON text.
        channel: where.
        key: what the call and the patterns are sealed with.
    """

    def __init__(
        self, number: str, person: str, scope: Remembered, given: bytes, channel: str, key: SealingKey
    ) -> None:
        self._number, self._person, self._scope, self._channel = number, person, scope, channel
        call: dict[str, Any] = orjson.loads(given)
        scope.check(call["arguments"])
        self._tool_digest: str = call["tool"]["digest"]
        kept = {part: call[part] for part in ("agent", "principal", "tool", "arguments")}
        encode({"person": person, "channel": channel, "approval": number})
        self._sealed = key.seal(to_json({"call": kept, "varying": dict(scope.varying)}))

    def apply(self, tx: Transaction) -> str:
        """Remember it; answers the scope's id.

        Raises:
            Conflict: this person has not approved that request.
        """
        approval = find(tx.connection, self._number)
        if not any(vote.person == self._person and vote.answer == "approve" for vote in approval.votes):
            raise Conflict(
                f"{self._person} has not approved {approval.id}: only what one has approved is remembered",
                fix="approve it first",
            )
        number = secrets.token_hex(16)
        until = tx.time(tx.moment + timedelta(seconds=self._scope.seconds))
        fields = {"scope": number, "person": self._person, "channel": self._channel, "until": until}
        record = tx.record("remembered", {**about(tx, approval), **fields}, self._sealed)
        tx.insert(
            schema.remembered,
            (number, approval.id, self._person, self._channel, approval.tool, self._tool_digest, tx.now, until,
             record, ""),
        )  # fmt: skip
        return number


class ForgetScope(Write):
    """Somebody takes a remembered yes back; from then on it counts for nothing."""

    def __init__(self, number: str, by: str) -> None:
        self._number, self._by = number, by
        encode({"scope": number, "by": by})

    def apply(self, tx: Transaction) -> None:
        """See the class.

        Raises:
            Conflict: there is no such scope, or it is forgotten already.
        """
        if tx.connection.execute(_FORGET, (self._by, self._number)).rowcount != 1:
            raise Conflict(
                f"there is no remembered scope {self._number!r}",
                fix="list them with 'guardrail approvals --remembered'",
            )
        tx.record("forgotten", {"scope": self._number, "by": self._by})


def hold(tx: Transaction, scopes: Sequence[str]) -> bool:
    """Whether all of these still count."""
    found = [tx.connection.execute(_HOLDS, (number, tx.now)).fetchone() for number in scopes]
    return all(row is not None and is_believed(row[0], tx.now) for row in found)


def scopes_of_tool(connection: Connection, tool_digest: str, now: str, detail: Detail) -> tuple[Scope, ...]:
    """The scopes that count for a tool; one whose call was erased covers nothing any more."""
    return tuple(
        scope
        for row in connection.execute(_OF_TOOL, (tool_digest, now)).fetchall()
        if is_believed((scope := _scope(connection, row, detail)).at, now)
    )


def all_scopes(connection: Connection, detail: Detail) -> tuple[Scope, ...]:
    """Every scope that was ever remembered, the oldest first."""
    return tuple(_scope(connection, row, detail) for row in connection.execute(_ALL).fetchall())


def _scope(connection: Connection, row: tuple[Any, ...], detail: Detail) -> Scope:
    number, approval, person, channel, tool, at, until, forgotten_by, record = row
    kept = detail(connection, record)
    return Scope(
        id=number, approval=approval, person=person, channel=channel, tool=tool, at=at, until=until,
        forgotten_by=forgotten_by or None, call=kept.get("call", {}), varying=kept.get("varying", {}),
    )  # fmt: skip
