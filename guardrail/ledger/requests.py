"""Approval requests and votes, inside the transaction.

The rules are those of `guardrail.approvals`; here is what makes each of them happen once. A request
belongs to one key, and the latest one counts. What is decided about reuse:

- An approval is used by the first attempt that is admitted with it.
- The same call, resumed after it suspended itself or run again where its tool permits that (`raised` with a
  reading or retrying tool, `unknown` with an idempotent one), goes on under the approval it has used: people
  approved the call, not one try of it. It must still meet what is asked now.
- An attempt that ended `blocked` ran nothing; the next one asks anew.
- Where an approved request does not meet what is asked now, a new request takes its place and keeps the votes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from sqlalchemy import bindparam, select, update

from guardrail.admission import Pending, Stopped
from guardrail.approvals import Answer, Approval, ApprovalState, Vote, check_voter, tally
from guardrail.decisions import Ask, Reason, ReasonCode
from guardrail.errors import Conflict
from guardrail.ledger import schema
from guardrail.ledger.rows import CallRow, RunRow
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json
from guardrail.records import Kind, encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.admission import Admitting
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_approvals = schema.approvals.c
_votes = schema.votes.c
_LATEST: Final = text(
    select(schema.approvals)
    .where(_approvals.key == bindparam("key"))
    .order_by(_approvals.record.desc())
    .limit(1)
)  # fmt: skip
_BY_ID: Final = text(select(schema.approvals).where(_approvals.id == bindparam("id")))
_DUE: Final = text(
    select(schema.approvals).where(_approvals.state == "pending", _approvals.expires_at <= bindparam("now"))
)
_VOTES: Final = text(
    select(_votes.person, _votes.answer, _votes.channel, _votes.at, _votes.reason)
    .where(_votes.approval == bindparam("id"))
    .order_by(_votes.at, _votes.person)
)
_MOVE: Final = text(
    update(schema.approvals)
    .values(state=bindparam("new"))
    .where(_approvals.id == bindparam("_id"), _approvals.state == bindparam("_old"))
)


def read_approval(connection: Connection, row: tuple[Any, ...]) -> Approval:
    """An approval from its row, with its votes."""
    (
        number,
        key,
        digest,
        run,
        agent,
        chain,
        principal,
        tool,
        asks,
        revision,
        requested,
        expires,
        _,
        state,
    ) = row
    votes = connection.execute(_VOTES, (number,)).fetchall()
    return Approval(
        id=number, key=key, digest=digest, run=run, agent=agent, chain=tuple(orjson.loads(chain)),
        principal=principal, tool=tool, asks=tuple(map(_ask, orjson.loads(asks))), revision=revision, state=state,
        requested_at=requested, expires_at=expires,
        votes=tuple(
            Vote(person=person, answer=answer, channel=channel, at=at, reason=reason)
            for person, answer, channel, at, reason in votes
        ),
    )  # fmt: skip


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


def ask(tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow) -> Approval | Pending | Stopped:
    """What people say to this call: an approval to use, a request that waits, or a refusal."""
    found = tx.connection.execute(_LATEST, (write.call.key,)).fetchone()
    if found is None:
        return _request(tx, write, row, run, votes=())
    approval = read_approval(tx.connection, found)
    match approval.state:
        case "pending" if approval.expires_at <= tx.now:
            move(tx, approval, "expired", kind="expired")
            return _refused(approval, "expired")
        case "pending":
            return Pending(approval=approval)
        case "approved" if _is_stale(approval, tx.moment):
            move(tx, approval, "expired", kind="expired", why="not used in time")
            return _refused(approval, "unused")
        case "approved" if tally(write.write.decision.asks, approval.votes) == "approved":
            return approval
        case "approved":
            move(tx, approval, "cancelled", kind="cancelled", why="superseded")
            return _request(tx, write, row, run, votes=approval.votes)
        case "consumed":
            ran = (
                row is not None
                and row.state in ("suspended", "raised", "unknown")
                and row.approval == approval.id
            )
            if ran and tally(write.write.decision.asks, approval.votes) == "approved":
                return approval
            return _request(tx, write, row, run, votes=())
        case "rejected" | "expired" | "cancelled":
            return _refused(approval, approval.state)


def consume(tx: Transaction, approval: Approval) -> None:
    """Use an approval up; the record of the admission names it."""
    if approval.state == "approved":
        _set(tx, approval, "consumed")


def _request(
    tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow, *, votes: tuple[Vote, ...]
) -> Pending:
    call, asks, number = write.call, write.write.decision.asks, secrets.token_hex(16)
    seconds = min((item.expires_in for item in asks), default=0.0)
    expires = tx.time(tx.moment + timedelta(seconds=seconds))
    run.totals["asked"] += 1
    sealed = tx.seal({**write.detail, "arguments": orjson.Fragment(call.body)})
    fields = {"approval": number, "expires_at": expires, "carried": [vote.person for vote in votes]}
    if row is None or row.state in ("asked", "denied", "blocked"):
        row = write.entered(tx, row, "asked")
        run.note(row, enter=True)
        write.move(tx, run, row, "asked", sealed, **fields)
        record = row.record
    else:
        run.position += 1
        record = tx.record("asked", {**write.fields, **fields, "position": run.position}, sealed)
        tx.change_run(run)
    asked = orjson.dumps([item.as_json() for item in asks]).decode()
    agent = call.agent
    tx.insert(
        schema.approvals,
        (number, call.key, call.digest, call.run, agent.id, orjson.dumps(agent.chain).decode(), call.principal.id,
         call.tool.title, asked, write.write.decision.revision, tx.now, expires, record, "pending"),
    )  # fmt: skip
    for vote in votes:
        tx.insert(schema.votes, (number, vote.person, vote.answer, vote.channel, vote.at, vote.reason))
    return Pending(approval=find(tx.connection, number))


def _is_stale(approval: Approval, moment: datetime) -> bool:
    """Whether a yes has waited for its call longer than people would have been waited for."""
    said = max(datetime.fromisoformat(vote.at) for vote in approval.votes)
    return moment >= said + timedelta(seconds=min(item.expires_in for item in approval.asks))


def _refused(approval: Approval, state: ApprovalState | Literal["unused"]) -> Stopped:
    code: ReasonCode
    match state:
        case "rejected":
            noes = [vote for vote in approval.votes if vote.answer == "reject"]
            said = "; ".join(f"{vote.person}: {vote.reason}" if vote.reason else vote.person for vote in noes)
            code, message = "approval.rejected", f"a person said no ({said})"
        case "cancelled":
            code, message = "approval.cancelled", "the request was withdrawn before anybody answered"
        case "unused":
            code, message = "approval.expired", "people said yes, and the call was not made in time"
        case _:
            code, message = "approval.expired", f"nobody answered until {approval.expires_at}"
    reason = Reason(rule=f"guardrail.{code}", message=message, fix="do without this call", code=code)
    return Stopped(reasons=(reason,), heading="REJECTED", approval=approval.id)


def move(tx: Transaction, approval: Approval, state: ApprovalState, *, kind: Kind, **fields: Any) -> None:
    """One step of a request's life, with its record."""
    _set(tx, approval, state)
    tx.record(kind, {**_about(tx, approval), "state": state, **fields})


def _set(tx: Transaction, approval: Approval, state: ApprovalState) -> None:
    """Compare and set: nobody else moved it since it was read."""
    if tx.connection.execute(_MOVE, (state, approval.id, approval.state)).rowcount != 1:
        raise Conflict(f"approval {approval.id} is no longer {approval.state}")


def _about(tx: Transaction, approval: Approval) -> dict[str, Any]:
    return {"run": approval.run, "call": tx.key.reference(approval.key), "approval": approval.id}


class CastVote(Write):
    """One person's answer."""

    def __init__(
        self, number: str, person: str, answer: Answer, channel: str, reason: str, key: SealingKey
    ) -> None:
        if answer not in ("approve", "reject"):
            raise Conflict(f"{answer!r} is not a vote", fix="vote 'approve' or 'reject'")
        self._number, self._answer, self._channel, self._reason = number, answer, channel, reason
        self._fields: dict[str, Any] = {"person": person, "answer": answer, "channel": channel}
        self._person = person
        encode({**self._fields, "approval": number})
        self._sealed = key.seal(to_json({"reason": reason}))

    def apply(self, tx: Transaction) -> Approval | Conflict:
        """Count the vote; answers the approval as it stands then.

        Raises:
            Conflict: it is decided, or the person may not vote.
        """
        approval = find(tx.connection, self._number)
        if approval.state == "pending" and approval.expires_at <= tx.now:
            move(tx, approval, "expired", kind="expired")
            return Conflict(f"approval {approval.id} expired at {approval.expires_at}: nobody had answered")
        check_voter(approval, self._person)
        vote = (self._number, self._person, self._answer, self._channel, tx.now, self._reason)
        tx.insert(schema.votes, vote)
        voted = find(tx.connection, self._number)
        state = tally(voted.asks, voted.votes)
        if state != "pending":
            _set(tx, approval, state)
        tx.record("voted", {**_about(tx, approval), **self._fields, "state": state}, self._sealed)
        return find(tx.connection, self._number)


class Cancel(Write):
    """Withdraw a request that nobody waits for any more; one that is decided stays decided."""

    def __init__(self, number: str) -> None:
        self._number = number

    def apply(self, tx: Transaction) -> Approval:
        """See the class; answers the approval as it stands then."""
        approval = find(tx.connection, self._number)
        if approval.state == "pending":
            if approval.expires_at <= tx.now:
                move(tx, approval, "expired", kind="expired")
            else:
                move(tx, approval, "cancelled", kind="cancelled")
        return find(tx.connection, self._number)


class Expire(Write):
    """Turn the silence on every overdue request into a refusal."""

    def apply(self, tx: Transaction) -> tuple[Approval, ...]:
        """Answers those that have expired now."""
        due = due_requests(tx.connection, tx.now)
        for approval in due:
            move(tx, approval, "expired", kind="expired")
        return tuple(find(tx.connection, approval.id) for approval in due)


def due_requests(connection: Connection, now: str) -> Iterable[Approval]:
    """Requests that wait past their time."""
    return [read_approval(connection, row) for row in connection.execute(_DUE, (now,)).fetchall()]
