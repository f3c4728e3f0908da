"""Approval requests as they are stored: how they are found, read and moved along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, func, select, update

from guardrail.approvals import Approval, ApprovalState, Vote
from guardrail.decisions import Ask
from guardrail.errors import Conflict
from guardrail.ledger import outbox, schema
from guardrail.ledger.statements import text
from guardrail.records import Kind

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_approvals, _proposals, _votes = schema.approvals.c, schema.proposals.c, schema.votes.c
_LATEST: Final = text(
    select(_proposals.turn, _proposals.withdrawn, schema.approvals)
    .join_from(schema.proposals, schema.approvals, _proposals.approval == _approvals.id)
    .where(_proposals.key == bindparam("key"))
    .order_by(_proposals.turn.desc())
    .limit(1)
)
_BY_ID: Final = text(select(schema.approvals).where(_approvals.id == bindparam("id")))
_COUNT: Final = text(
    select(func.count()).where(_proposals.approval == bindparam("approval"), _proposals.withdrawn == 0)
)
_VOTES: Final = text(
    select(_votes.person, _votes.answer, _votes.channel, _votes.at, _votes.reason, _votes.opened)
    .where(_votes.approval == bindparam("id"))
    .order_by(_votes.at, _votes.person)
)
_EDIT: Final = text(select(schema.records.c.body).where(schema.records.c.id == bindparam("id")))
_MOVE: Final = text(
    update(schema.approvals)
    .values(state=bindparam("new"))
    .where(_approvals.id == bindparam("_id"), _approvals.state == bindparam("_old"))
)


def read_approval(connection: Connection, row: tuple[Any, ...]) -> Approval:
    """An approval from its row, with its votes."""
    (
        number, key, digest, run, agent, chain, principal, tool, asks, revision, requested, expires, _, state, edits,
        edited_by, edited,
    ) = row  # fmt: skip
    votes = connection.execute(_VOTES, (number,)).fetchall()
    return Approval(
        id=number, key=key, digest=digest, run=run, agent=agent, chain=tuple(orjson.loads(chain)),
        principal=principal, tool=tool, asks=tuple(map(_ask, orjson.loads(asks))), revision=revision, state=state,
        requested_at=requested, expires_at=expires,
        votes=tuple(
            Vote(person=person, answer=answer, channel=channel, at=at, reason=reason, opened=bool(opened))
            for person, answer, channel, at, reason, opened in votes
        ),
        edits=edits or None, edited_by=edited_by or None, count=connection.execute(_COUNT, (number,)).fetchone()[0],
        changed_by=_editor(connection, edited) if edited else None,
    )  # fmt: skip


def _editor(connection: Connection, record: int) -> str | None:
    """Who changed the arguments, by the record of it; None while that is not stored yet."""
    found = connection.execute(_EDIT, (record,)).fetchone()
    return None if found is None else str(orjson.loads(found[0])["person"])


def _ask(fields: dict[str, Any]) -> Ask:
    approvers = tuple(fields.pop("approvers"))
    return Ask(approvers=approvers, **fields)


def find(connection: Connection, number: str) -> Approval:
    """The approval with this id.

    Raises:
        Conflict: there is none.
    """
    row = connection.execute(_BY_ID, (number,)).fetchone()
    if row is None:
        raise Conflict(f"there is no approval {number!r}", fix="list them with 'guardrail approvals'")
    return read_approval(connection, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What waits for people, as one call sees it.

    Attributes:
        turn: how many requests the call has had.
        approval: the request that counts; None = it has had none.
        withdrawn: whoever made the call waits no more.
    """

    turn: int = 0
    approval: Approval | None = None
    withdrawn: bool = False


def latest(connection: Connection, key: str) -> Proposal:
    """What waits, or has waited, for the call with this key."""
    row = connection.execute(_LATEST, (key,)).fetchone()
    if row is None:
        return Proposal()
    return Proposal(turn=row[0], withdrawn=bool(row[1]), approval=read_approval(connection, row[2:]))


def move(tx: Transaction, approval: Approval, state: ApprovalState, *, kind: Kind, **fields: Any) -> None:
    """One step of a request's life, with its record."""
    change(tx, approval, state)
    tx.record(kind, {**about(tx, approval), "state": state, **fields})


def change(tx: Transaction, approval: Approval, state: ApprovalState) -> None:
    """Compare and set: nobody else moved it since it was read.

    Raises:
        Conflict: somebody did.
    """
    if tx.connection.execute(_MOVE, (state, approval.id, approval.state)).rowcount != 1:
        raise Conflict(f"approval {approval.id} is no longer {approval.state}")
    if state != "consumed":
        outbox.follow(tx, approval.id, "decided")
        tx.database.ring(tx.connection)


def about(tx: Transaction, approval: Approval) -> dict[str, Any]:
    """Fields of a record about a request."""
    return {"run": approval.run, "call": tx.key.reference(approval.key), "approval": approval.id}
