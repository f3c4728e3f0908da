"""Asking people, inside the transaction of an admission.

The rules are those of `guardrail.approvals`; here is what makes each of them happen once. The latest request
of a key counts. What is decided about reuse:

- An approval is used by the first attempt that is admitted with it.
- The same call, resumed after it suspended itself or run again where its tool permits that (`raised` with a
  reading or retrying tool, `unknown` with an idempotent one), goes on under the approval it has used: people
  approved the call, not one try of it. It must still meet what is asked now.
- An attempt that ended `blocked` ran nothing; the next one asks anew.
- Where an approved request does not meet what is asked now, a new request takes its place and keeps the votes; where
  grants are required it keeps none, since what was signed for one request is not signed for another.
- Identical calls of one run that wait at once share one request. One yes runs one of them; the others ask anew. Calls
  that come from an edit do not: people see who changed what, and that person's yes may not count.
- Where a person changed the arguments, the call with the new ones goes down the line in place of this one.

No policy is evaluated here: whether the answers are enough was judged before (`Consent`), and counts only while
they are still the answers that were judged.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from sqlalchemy import bindparam, func, select

from guardrail.admission import Edited, Moved, Pending, Stopped
from guardrail.approvals import Approval, ApprovalState, Vote, digest_of, tally
from guardrail.clock import BELIEVED
from guardrail.decisions import Reason, ReasonCode
from guardrail.errors import Conflict
from guardrail.ledger import granting, outbox, schema
from guardrail.ledger.approvals import change, find, latest, move
from guardrail.ledger.remembered import hold
from guardrail.ledger.rows import CallRow, RunRow
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text

if TYPE_CHECKING:
    from guardrail.ledger.admission import Admitting
    from guardrail.ledger.transaction import Transaction

_approvals = schema.approvals.c
_waiting = (
    _approvals.run == bindparam("run"), _approvals.agent == bindparam("agent"), _approvals.state == "pending",
    _approvals.expires_at > bindparam("now"),
)  # fmt: skip
_WAITING: Final = text(select(func.count()).select_from(schema.approvals).where(*_waiting))
_SAME: Final = text(
    select(_approvals.id)
    .where(
        *_waiting,
        _approvals.digest == bindparam("digest"),
        _approvals.asks == bindparam("asks"),
        _approvals.edits == "",
    )
    .limit(1)
)
_BODY: Final = text(select(schema.records.c.body).where(schema.records.c.id == bindparam("id")))
_PRUNED: Final = text(select(schema.pruned.c.log).where(schema.pruned.c.log == bindparam("log")))
_EDITED: Final = text(select(_approvals.edited).where(_approvals.id == bindparam("id")))

Said = Approval | Pending | Moved | Edited | Stopped | None
"""What people say to a call: an approval to use, a request that waits, other arguments, or a refusal.

None: a yes that was given beforehand is enough, or they have nothing to do with it.
"""


_FOREIGN: Final = Stopped(
    reasons=(
        Reason(
            rule="guardrail.approval",
            code="ledger",
            message="the request that is stored for this call is about another one: somebody changed the ledger",
            fix="have an operator run `guardrail verify`",
        ),
    )
)
"""The answer where a request has been moved to a call that it was not made for."""
_UNRECORDED: Final = Stopped(
    reasons=(
        Reason(
            rule="guardrail.approval",
            code="ledger",
            message="this call does not stand as it was last recorded: somebody changed the ledger",
            fix="have an operator run `guardrail verify`",
        ),
    )
)
"""The answer where a call that people said yes to was set back, so that it would run once more."""


def ask(tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow) -> Said:
    """What people say to this call; where nobody was asked yet, they are asked."""
    proposal = latest(tx.connection, write.call.key)
    turn, approval = proposal.turn, proposal.approval
    if approval is not None and approval.digest != write.call.digest:
        return _FOREIGN
    if (standing := _said_beforehand(tx, write, approval)) is not False:
        return standing
    if approval is None:
        return _request(tx, write, row, run, turn=turn)
    if proposal.withdrawn:
        return _refused(approval, "cancelled")
    match approval.state:
        case "pending" if approval.is_over(tx.now):
            move(tx, approval, "expired", kind="expired")
            return _refused(approval, "expired")
        case "pending":
            return Pending(approval=approval)
        case "approved" if is_stale(approval, tx.moment):
            move(tx, approval, "expired", kind="expired", why="not used in time")
            return _refused(approval, "unused")
        case "approved" | "consumed":
            return _agreed(tx, write, row, run, approval, turn=turn)
        case "superseded":
            return edited(tx, approval) or _request(tx, write, row, run, turn=turn)
        case "rejected" | "expired" | "cancelled":
            return _refused(approval, approval.state)


def _agreed(
    tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow, approval: Approval, *, turn: int
) -> Said:
    """What follows from an approval that people have given, used by this call, by another one, or by none yet."""
    as_recorded = row is None or _is_as_recorded(tx, row)
    if as_recorded is None:  # nobody can tell any more what their yes was for: they are asked anew
        return _request(tx, write, row, run, turn=turn)
    if not as_recorded:
        return _UNRECORDED
    used = approval.state == "consumed"
    goes_on = (
        row is not None and row.state in ("suspended", "raised", "unknown") and row.approval == approval.id
    )
    if used and not goes_on:
        consent = write.write.consent
        beforehand = consent is not None and consent.alone
        return None if beforehand else _request(tx, write, row, run, turn=turn)
    met = _is_met(write, approval)
    if met is None:
        return Moved()
    if met:
        return _granted(tx, write, approval, used=used)
    if used:
        return _request(tx, write, row, run, turn=turn)
    move(tx, approval, "superseded", kind="superseded")
    votes = approval.votes if write.asking.keys is None else ()
    return _request(tx, write, row, run, turn=turn, votes=votes)


def _is_as_recorded(tx: Transaction, row: CallRow) -> bool | None:
    """Whether a call stands as its last record says: a yes runs it once, whatever somebody writes into its row.

    None: that record was pruned.
    """
    found = tx.connection.execute(_BODY, (row.record,)).fetchone()
    if found is None:
        pruned = tx.connection.execute(_PRUNED, (row.record >> PLACES,)).fetchone()
        return None if pruned else tx.wrote(row.record)
    told: dict[str, Any] = orjson.loads(found[0])
    said = told.get("call"), told.get("state"), told.get("move")
    return said == (row.reference, row.state, row.moves)


def _said_beforehand(
    tx: Transaction, write: Admitting, approval: Approval | None
) -> Moved | Literal[False] | None:
    """Whether a yes that people gave beforehand is enough by itself (None), or counts no more; False = ask them."""
    consent = write.write.consent
    if consent is None or not consent.remembered:
        return False
    if not hold(tx, consent.remembered):
        return Moved()
    if not consent.alone:
        return False
    if approval is None:
        return None
    if approval.state == "pending":
        move(tx, approval, "superseded", kind="superseded")
        return None
    return None if approval.state == "superseded" and edited(tx, approval) is None else False


def _granted(
    tx: Transaction, write: Admitting, approval: Approval, *, used: bool = False
) -> Approval | Stopped:
    """An approval that enough people gave, unless a grant has to say so and does not."""
    reason = granting.refusal(tx, write.asking, write.call, approval, used=used)
    if reason is None:
        return approval
    return Stopped(reasons=(reason,), heading="REJECTED", approval=approval.id)


def said_before(tx: Transaction, write: Admitting) -> Edited | Stopped | None:
    """What people have said to a call that nobody has to be asked about any more.

    A no stays one, and changed arguments stay changed, when the policy would let the call pass today.
    """
    approval = latest(tx.connection, write.call.key).approval
    if approval is None:
        return None
    if approval.digest != write.call.digest:
        return _FOREIGN
    match approval.state:
        case "rejected":
            return _refused(approval, "rejected")
        case "superseded":
            return edited(tx, approval)
        case "pending" | "approved":
            move(tx, approval, "superseded", kind="superseded")
            return None
        case _:
            return None


def consume(tx: Transaction, approval: Approval) -> None:
    """Use an approval up; the record of the admission names it."""
    if approval.state == "approved":
        change(tx, approval, "consumed")


def edited(tx: Transaction, approval: Approval) -> Edited | None:
    """The arguments that a person gave in place of those of a request; None where nobody did."""
    record = tx.connection.execute(_EDITED, (approval.id,)).fetchone()[0]
    if not record:
        return None
    detail = tx.detail(record)
    if detail is None:
        raise Conflict(
            f"the changed arguments of approval {approval.id} were erased or pruned", fix="call again"
        )
    return Edited(
        approval=approval.id, arguments=detail["arguments"], person=detail["person"], reason=detail["reason"]
    )  # fmt: skip


def _is_met(write: Admitting, approval: Approval) -> bool | None:
    """Whether the answers are enough for what is asked now; None where others were judged than there are."""
    consent = write.write.consent
    if consent is None:
        return tally(write.write.decision.asks, approval.votes) == "approved"
    judged = (consent.approval, consent.votes) == (approval.id, digest_of(approval.votes))
    return consent.met if judged else None


def _request(
    tx: Transaction,
    write: Admitting,
    row: CallRow | None,
    run: RunRow,
    *,
    turn: int,
    votes: tuple[Vote, ...] = (),
) -> Pending | Stopped:
    call, asks, edit = write.call, write.write.decision.asks, _edit_of(tx, write)
    asked = orjson.dumps([item.as_json() for item in asks]).decode()
    waiting = call.run, call.agent.id, tx.now
    same = (
        None
        if votes or any(edit)
        else tx.connection.execute(_SAME, (*waiting, call.digest, asked)).fetchone()
    )
    if same is not None:
        approval = find(tx.connection, same[0])
        _note(tx, write, row, run, approval=approval.id, expires_at=approval.expires_at, carried=[])
    else:
        consent = write.write.consent
        if consent is not None and tx.connection.execute(_WAITING, waiting).fetchone()[0] >= consent.most:
            return _too_many(call.agent.id, consent.most)
        approval = _new(tx, write, row, run, asked, votes, edit)
    tx.insert(schema.proposals, (call.key, turn + 1, approval.id, 0))
    return Pending(approval=find(tx.connection, approval.id))


def _new(
    tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow, asked: str, votes: tuple[Vote, ...],
    edit: tuple[str, str],
) -> Approval:  # fmt: skip
    call, number = write.call, secrets.token_hex(16)
    seconds = min((item.expires_in for item in write.write.decision.asks), default=0.0)
    expires = tx.time(tx.moment + timedelta(seconds=seconds))
    edits, edited_by = edit
    fields: dict[str, Any] = {"edits": edits, "edited_by": edited_by} if edits else {}
    record = _note(
        tx, write, row, run, approval=number, expires_at=expires, carried=[vote.person for vote in votes], **fields
    )  # fmt: skip
    agent = call.agent
    tx.insert(
        schema.approvals,
        (number, call.key, call.digest, call.run, agent.id, orjson.dumps(agent.chain).decode(), call.principal.id,
         call.tool.title, asked, write.write.decision.revision, tx.now, expires, record, "pending", edits,
         edited_by, 0),
    )  # fmt: skip
    for vote in votes:
        tx.insert(
            schema.votes,
            (number, vote.person, vote.answer, vote.channel, vote.at, vote.reason, int(vote.opened)),
        )
    outbox.announce(tx, number, call.run, write.asking.channels)
    return find(tx.connection, number)


def _note(tx: Transaction, write: Admitting, row: CallRow | None, run: RunRow, **fields: Any) -> int:
    """Record that people are asked about this call; answers the record's number."""
    run.totals["asked"] += 1
    if write.trace:
        fields["traceparent"] = write.trace
    sealed = tx.seal({**write.detail, "arguments": orjson.Fragment(write.call.body)})
    if row is None or row.state in ("asked", "denied", "blocked"):
        row = write.entered(tx, row, "asked")
        run.note(row, enter=True)
        write.move(tx, run, row, "asked", sealed, **fields)
        return row.record
    run.position += 1
    record = tx.record("asked", {**write.fields, **fields, "position": run.position}, sealed)
    tx.change_run(run)
    return record


def is_edit(tx: Transaction, write: Admitting) -> bool:
    """Whether this is the call that a person's arguments have made of another one."""
    return any(_edit_of(tx, write))


def _edit_of(tx: Transaction, write: Admitting) -> tuple[str, str]:
    """The request that this call takes the place of, and who changed its arguments: as stored, not as claimed."""
    if write.write.edits is None:
        return "", ""
    told = edited(tx, find(tx.connection, write.write.edits))
    return ("", "") if told is None else (told.approval, told.person)


def is_stale(approval: Approval, moment: datetime) -> bool:
    """Whether a yes has waited for its call longer than people would have been waited for."""
    said = max(datetime.fromisoformat(vote.at) for vote in approval.votes)
    seconds = min((item.expires_in for item in approval.asks), default=0.0)  # its words were pruned: long ago
    left = said + timedelta(seconds=seconds) - moment
    return left <= timedelta() or said > moment + BELIEVED  # or another clock has dated it


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


def _too_many(agent: str, most: int) -> Stopped:
    """Nobody can answer an agent that asks without end, and who tries stops reading."""
    reason = Reason(
        rule="guardrail.approval.flood",
        message=f"{most:,} requests of {agent} wait in this run already",
        fix="wait until people have answered what was asked before",
        code="approval.flood",
    )
    return Stopped(reasons=(reason,))
