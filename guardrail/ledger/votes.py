"""What people write: votes, changed arguments, withdrawals, and the silence that has lasted too long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from sqlalchemy import bindparam, select, update

from guardrail.approvals import (
    Answer,
    Approval,
    Judged,
    already_decided,
    check_floor,
    check_voter,
    digest_of,
    tally,
)
from guardrail.canonical import canonical
from guardrail.errors import Conflict, Overtaken
from guardrail.ledger import granting, schema
from guardrail.ledger.approvals import about, change, find, move, read_approval
from guardrail.ledger.granting import Asking
from guardrail.ledger.remembered import hold
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_approvals, _proposals = schema.approvals.c, schema.proposals.c
_DUE: Final = text(
    select(schema.approvals).where(_approvals.state == "pending", _approvals.expires_at <= bindparam("now"))
)
_RECORD: Final = text(select(_approvals.record).where(_approvals.id == bindparam("id")))
_KEEP_EDIT: Final = text(
    update(schema.approvals).values(edited=bindparam("record")).where(_approvals.id == bindparam("_id"))
)
_LEAVE: Final = text(
    update(schema.proposals)
    .values(withdrawn=1)
    .where(_proposals.approval == bindparam("approval"), _proposals.key == bindparam("_key"))
)


class CastVote(Write):
    """One person's answer.

    Args:
        number: the request.
        person: who answers.
        answer: what.
        channel: where.
        reason: why.
        opened: the channel had shown the complete arguments.
        judged: what the approval policy said of it; None = it is counted by what the request itself asks for.
        key: what the reason is sealed with.
        asking: whether a yes needs a signature, and whether this process gives it.
    """

    def __init__(
        self, number: str, person: str, answer: Answer, channel: str, reason: str, *, opened: bool,
        judged: Judged | None, key: SealingKey, asking: Asking,
    ) -> None:  # fmt: skip
        if answer not in ("approve", "reject"):
            raise Conflict(f"{answer!r} is not a vote", fix="vote 'approve' or 'reject'")
        self._number, self._answer, self._channel, self._reason = number, answer, channel, reason
        self._fields: dict[str, Any] = {
            "person": person, "answer": answer, "channel": channel, "opened": opened
        }  # fmt: skip
        self._person, self._opened, self._judged, self._asking = person, opened, judged, asking
        encode({**self._fields, "approval": number})
        self._sealed = key.seal(to_json({"reason": reason}))

    def apply(self, tx: Transaction) -> Approval | Conflict:
        """Count the vote; answers the approval as it stands then.

        Raises:
            Conflict: it is decided, or the person may not vote.
        """
        approval = find(tx.connection, self._number)
        if (late := _overdue(tx, approval)) is not None:
            return late
        judged = self._judged
        if judged is None:
            check_voter(approval, self._person)
        else:
            check_floor(approval, self._person)
            if digest_of(approval.votes) != judged.votes:
                raise Overtaken(f"somebody else has voted on {approval.id} meanwhile", fix="vote again")
        signs = self._answer == "approve" and granting.may_cast(tx, self._asking, approval)
        vote = (
            self._number, self._person, self._answer, self._channel, tx.now, self._reason, int(self._opened)
        )  # fmt: skip
        tx.insert(schema.votes, vote)
        voted = find(tx.connection, self._number)
        state = self._comes_to(voted)
        if state != "pending":
            change(tx, approval, state)
        tx.record("voted", {**about(tx, approval), **self._fields, "state": state}, self._sealed)
        voted = find(tx.connection, self._number)
        if signs:
            granting.sign(tx, self._asking, voted)
        return voted

    def _comes_to(self, voted: Approval) -> Literal["pending", "approved", "rejected"]:
        """What the answers are, together with this one."""
        if self._judged is None:
            return tally(voted.asks, voted.votes)
        if self._answer == "reject":
            return "rejected"
        return "approved" if self._judged.met else "pending"


class ChangeArguments(Write):
    """A person wants other arguments: the request is over, and the call with the new ones goes down the line."""

    def __init__(
        self,
        number: str,
        person: str,
        arguments: Mapping[str, Any],
        channel: str,
        reason: str,
        key: SealingKey,
    ) -> None:
        self._number, self._person, self._channel = number, person, channel
        self._body = canonical(dict(arguments))
        encode({"person": person, "channel": channel, "approval": number})
        detail = {"arguments": orjson.Fragment(self._body), "person": person, "reason": reason}
        self._sealed = key.seal(to_json(detail))

    def apply(self, tx: Transaction) -> Approval | Conflict:
        """Supersede the request; answers it as it stands then.

        Raises:
            Conflict: it is decided, the person may not change it, or nothing is changed.
        """
        approval = find(tx.connection, self._number)
        if (late := _overdue(tx, approval)) is not None:
            return late
        check_floor(approval, self._person)
        before = (tx.detail(tx.connection.execute(_RECORD, (approval.id,)).fetchone()[0]) or {}).get(
            "arguments"
        )
        if before is None:
            raise Conflict(f"the arguments of approval {approval.id} were erased", fix="reject it")
        if canonical(before) == self._body:
            raise Conflict(f"these are the arguments that {approval.id} has already: nothing would change")
        change(tx, approval, "superseded")
        fields = {"person": self._person, "channel": self._channel, "state": "superseded"}
        record = tx.record("edited", {**about(tx, approval), **fields}, self._sealed)
        tx.connection.execute(_KEEP_EDIT, (record, approval.id))
        return replace(find(tx.connection, self._number), changed_by=self._person)


class Release(Write):
    """Nobody has to answer a request any more: what people have remembered is enough for its call.

    Args:
        number: the request.
        scopes: what they have remembered.
    """

    def __init__(self, number: str, scopes: tuple[str, ...]) -> None:
        self._number, self._scopes = number, scopes

    def apply(self, tx: Transaction) -> Approval:
        """Supersede it, if it waits still and all of that counts; answers the request as it stands then."""
        approval = find(tx.connection, self._number)
        if approval.state == "pending" and not approval.is_over(tx.now) and hold(tx, self._scopes):
            move(tx, approval, "superseded", kind="superseded", remembered=self._scopes)
        return find(tx.connection, self._number)


class Cancel(Write):
    """Withdraw a request that nobody waits for any more; one that is decided stays decided.

    Args:
        number: the request.
        key: whose call is withdrawn: others that wait with it go on waiting; None = for all of them.
    """

    def __init__(self, number: str, key: str | None = None) -> None:
        self._number, self._key = number, key

    def apply(self, tx: Transaction) -> Approval:
        """See the class; answers the approval as it stands then."""
        approval = find(tx.connection, self._number)
        if approval.state == "pending":
            if approval.is_over(tx.now):
                move(tx, approval, "expired", kind="expired")
            elif self._key is None or approval.count == 1:
                move(tx, approval, "cancelled", kind="cancelled")
            else:
                tx.connection.execute(_LEAVE, (approval.id, self._key))
                tx.changed = True
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


def _overdue(tx: Transaction, approval: Approval) -> Conflict | None:
    """Where nobody had answered in time, that is written down: the answer comes as a value, so that it is kept."""
    if approval.state != "pending":
        raise Conflict(already_decided(approval))
    if not approval.is_over(tx.now):
        return None
    move(tx, approval, "expired", kind="expired")
    return Conflict(f"approval {approval.id} expired at {approval.expires_at}: nobody had answered")
