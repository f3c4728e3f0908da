"""The admission, the refusal and the settlement of a call, inside the transaction.

The order of questions: has this key run before; is a halt switch on; did the run move; have people
said yes; do the budgets hold. Only then is the intent written, all or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from guardrail.admission import (
    Admission,
    Admit,
    InFlight,
    Moved,
    Refuse,
    Settle,
    SettleAnswer,
    Settled,
    Stopped,
    Ticket,
)
from guardrail.approvals import Approval
from guardrail.budgets import Reservation
from guardrail.decisions import Decision, Reason
from guardrail.errors import LedgerError
from guardrail.ledger import leases, outbox, requests
from guardrail.ledger.definitions import keep_tool
from guardrail.ledger.granting import Asking
from guardrail.ledger.rows import BudgetRow, CallRow, CallState, RunRow
from guardrail.ledger.stopping import halted, over_budget
from guardrail.ledger.writes import CallWrite, about
from guardrail.outcomes import Heading, Status
from guardrail.sealing import Sealed, SealingKey
from guardrail.telemetry import contexts

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_MAX_AMOUNT: Final = 2**53 - 1


class Admitting(CallWrite):
    """`Admit`, prepared."""

    def __init__(self, write: Admit, key: SealingKey, asking: Asking) -> None:
        for reservation in write.reservations:
            if not 0 <= reservation.amount <= _MAX_AMOUNT:
                raise LedgerError(f"{reservation.name}: {reservation.amount} is no amount to reserve")
        if write.decision.effect == "ask" and not write.decision.asks and not write.observe:
            raise LedgerError(
                "the decision asks, but nobody: it names no requirement", fix="name one in the policy"
            )
        self.write = write
        self.asking = asking
        self.trace = contexts.current() if write.decision.effect == "ask" else ""
        self.scopes = tuple([reservation.scope for reservation in write.reservations])
        detail = {
            "given": orjson.Fragment(write.given), "decision": write.decision, "reservations": write.reservations
        }  # fmt: skip
        super().__init__(write.call, key, detail)
        self.fields.update(_decided(write.decision), observe=write.observe)
        self.hides(write.decision.mask, key)

    def apply(self, tx: Transaction) -> Admission:
        """See the module."""
        write, row = self.write, tx.call(self.call.key)
        answer = _ran_before(tx, row, write)
        if answer is not None:
            return answer
        halt = halted(self.call, tx.halts)
        if halt is not None:
            return self._stop(tx, row, (halt,))
        run = tx.run(self.call.run, self.call.principal.id)
        if run.version != write.version:
            return Moved()
        keep_tool(tx, self.call.tool)
        resumed = row is not None and row.state == "suspended"
        if write.decision.effect == "deny" and not write.observe:
            return self._stop(tx, row, write.decision.reasons)
        approval: Approval | None = None
        if not write.observe and (write.decision.effect == "ask" or _was_asked(row)):
            said = self._said(tx, row, run)
            if isinstance(said, Stopped):
                return self._stop(tx, row, said.reasons, heading=said.heading, approval=said.approval)
            if not isinstance(said, Approval | None):
                return said
            approval = said
        over = () if resumed else over_budget(write.reservations, tx.used)
        if over and not write.observe:
            return self._stop(tx, row, over)
        return self._start(tx, row, run, approval, over)

    def _said(self, tx: Transaction, row: CallRow | None, run: RunRow) -> requests.Said:
        """What people say."""
        if self.write.decision.effect == "ask":
            return requests.ask(tx, self, row, run)
        return requests.said_before(tx, self)

    def _start(
        self,
        tx: Transaction,
        row: CallRow | None,
        run: RunRow,
        approval: Approval | None,
        over: tuple[Reason, ...],
    ) -> Ticket:
        resumed = row is not None and row.state == "suspended"
        row = self.entered(tx, row, "started")
        row.fence += 1
        row.log, row.log_fence = tx.log.id, tx.log.fence
        row.resumed = int(resumed)
        if not resumed:
            row.reserved = _reserve(tx, run, self.write.reservations)
            totals, title = run.totals, self.call.tool.title
            totals["calls"] += 1
            totals["tools"][title] = totals["tools"].get(title, 0) + 1
        if approval is not None:
            requests.consume(tx, approval)
            row.approval = approval.id
        elif requests.is_edit(tx, self):
            row.approval = self.write.edits or ""  # whoever was asked first is told how it ends
        run.note(row, enter=True)
        fields: dict[str, Any] = {
            "fence": row.fence,
            "approval": None if approval is None else approval.id,
            "resumed": resumed,
        }
        if self.write.consent is not None and self.write.consent.remembered:
            fields["remembered"] = self.write.consent.remembered
        if over:
            fields["over"] = [reason.rule for reason in over]
        self.move(tx, run, row, "admitted", self.sealed, **fields)
        tx.started[row.key] = row.fence
        return Ticket(
            key=row.key, fence=row.fence, approval=None if approval is None else approval.id,
            mask=self.write.decision.mask,
        )  # fmt: skip

    def _stop(
        self,
        tx: Transaction,
        row: CallRow | None,
        reasons: tuple[Reason, ...],
        *,
        heading: Heading = "DENIED",
        approval: str | None = None,
    ) -> Stopped:
        sealed = tx.seal({**self.detail, "stopped": [reason.as_json() for reason in reasons]})
        _deny(tx, self, row, sealed, **_why(reasons), approval=approval)
        return Stopped(reasons=reasons, heading=heading, approval=approval)


class Refusing(CallWrite):
    """`Refuse`, prepared."""

    def __init__(self, write: Refuse, key: SealingKey) -> None:
        detail = {"given": orjson.Fragment(write.given), "decision": write.decision}
        super().__init__(write.call, key, detail)
        self.fields.update(_decided(write.decision))
        self.hides(write.decision.mask, key)

    def apply(self, tx: Transaction) -> None:
        """Record the denial."""
        keep_tool(tx, self.call.tool)
        _deny(tx, self, tx.call(self.call.key), self.sealed)


class Settling(CallWrite):
    """`Settle`, prepared."""

    def __init__(self, write: Settle, key: SealingKey) -> None:
        self.write = write
        # The result stays the text that the codec wrote: reading it here could round its numbers.
        result = None if write.result is None else write.result.decode()
        message = write.message.encode(errors="backslashreplace").decode()  # errors may hold lone surrogates
        detail: dict[str, Any] = {"result": result, "message": message, "labels": write.labels}
        if write.source is not None:
            content = write.source.body
            # What reads like the result is not stored twice.
            detail["content"] = None if content == write.result else content.decode()
            detail["source"] = write.source.as_json()
        if write.review is not None:
            detail["review"] = {"given": orjson.Fragment(write.given), "decision": write.review}
        super().__init__(write.call, key, detail)
        self.ends = {write.call.key: write.ticket.fence}
        self.fields.update(
            status=write.status, labels=write.labels, fence=write.ticket.fence, released=write.released
        )

    def apply(self, tx: Transaction) -> SettleAnswer:
        """Settle where this attempt is still the running one, else record that it came late."""
        write, row = self.write, tx.call(self.call.key)
        tx.ended[self.call.key] = write.ticket.fence
        if row is None or row.state != "started" or row.fence != write.ticket.fence:
            tx.record("late", self.fields, self.sealed)
            return "late"
        run = tx.run(self.call.run, self.call.principal.id)
        state = write.status
        row.state = undo(tx, run, row) if state == "blocked" else state
        new = [label for label in dict.fromkeys(write.labels) if label not in run.seen]
        if new:
            run.seen = (*run.seen, *new)
            run.version += 1
        run.sources += write.source is not None
        run.note(row, enter=False)
        self.move(tx, run, row, "settled", self.sealed)
        if row.approval:
            outbox.follow(tx, row.approval, "settled")
        return "settled"


def _was_asked(row: CallRow | None) -> bool:
    """Whether people may have been asked about a call that did not run since."""
    return row is not None and row.state in ("asked", "denied")


def _deny(tx: Transaction, write: CallWrite, row: CallRow | None, sealed: Sealed, **fields: Any) -> None:
    """Record a denial; it becomes the state of the call only where the call never ran."""
    run = tx.run(write.call.run, write.call.principal.id)
    run.totals["denied"] += 1
    if row is None or row.state in ("asked", "denied", "blocked"):
        row = write.entered(tx, row, "denied")
        run.note(row, enter=True)
        write.move(tx, run, row, "denied", sealed, **fields)
    else:
        run.position += 1
        tx.record("denied", {**write.fields, **fields, "position": run.position}, sealed)
        tx.change_run(run)


def _ran_before(tx: Transaction, row: CallRow | None, write: Admit) -> Settled | InFlight | None:
    """The answer to a key that ran, or runs; None where it may be admitted."""
    if row is None:
        return None
    if row.state == "started":
        if leases.is_alive(tx, row):
            here = row.key in tx.started or row.key in tx.memory.in_flight
            return InFlight(elsewhere=not here)
        mark_unknown(tx, row)
    tool = write.call.tool
    match row.state:
        case "raised" if tool.effect == "read" or tool.retries:
            return None
        case "unknown" if tool.idempotent:
            return None
        case "returned" | "raised" | "unknown":
            return settled(tx, row, row.state)
        case _:
            return None


def settled(tx: Transaction, row: CallRow, status: Status) -> Settled:
    """How a call ended, with what was kept of its result."""
    detail = tx.detail(row.record) or {}
    result: str | None = detail.get("result")
    return Settled(
        status=status, result=None if result is None else result.encode(), message=detail.get("message") or "",
        **_released(detail, status),
    )  # fmt: skip


def _released(detail: Mapping[str, Any], status: Status) -> dict[str, Any]:
    """What was decided about handing a result on, as far as it was not simply handed on."""
    review: dict[str, Any] | None = detail.get("review")
    if review is None or detail.get("source") is not None:
        return {}
    decision: dict[str, Any] = review["decision"]
    reasons = tuple(Reason(**reason) for reason in decision["reasons"])
    kept = decision["effect"] == "ask" and (status == "raised" or detail.get("result") is not None)
    return {"held": True} if kept else {"withheld": reasons}


def mark_unknown(tx: Transaction, row: CallRow) -> None:
    """Write down that a started call has lost its owner: whether it ran to its end is not known."""
    run = tx.run(row.run, "")
    row.state = "unknown"
    row.moves += 1
    run.note(row, enter=False)
    fields = {**about(row), "status": "unknown", "fence": row.fence, "lost": f"{row.log}.{row.log_fence}"}
    fields.update(state=row.state, move=row.moves, position=run.position)
    row.record = tx.record("settled", fields)
    tx.change_call(row)
    tx.change_run(run)
    if row.approval:
        outbox.follow(tx, row.approval, "settled")


def _reserve(tx: Transaction, run: RunRow, reservations: tuple[Reservation, ...]) -> str:
    """Take from the budgets; answers what was taken, as stored with the call."""
    taken: dict[str, int] = {}
    spent: dict[str, int] = run.totals["spent"]
    for item in reservations:
        row = tx.budget(item.scope) or BudgetRow(item.scope, item.name, item.unit, 0, 0, stored=False)
        row.used += item.amount
        row.name, row.unit, row.limit = item.name, item.unit, item.limit
        tx.change_budget(row)
        taken[item.scope] = taken.get(item.scope, 0) + item.amount
        if item.unit != "calls":
            spent[item.name] = spent.get(item.name, 0) + item.amount
    return orjson.dumps(taken).decode()


def undo(tx: Transaction, run: RunRow, row: CallRow) -> CallState:
    """Give back what an attempt took that did not run; answers the state that the call is in again."""
    if row.resumed:
        return "suspended"  # what was paid, was paid when it ran first
    taken: dict[str, int] = orjson.loads(row.reserved)
    tx.load((), (), tuple(taken))
    for scope, amount in taken.items():
        budget = tx.budget(scope)
        if budget is None:
            continue
        budget.used -= amount
        tx.change_budget(budget)
        if budget.unit != "calls":
            run.totals["spent"][budget.name] = run.totals["spent"].get(budget.name, 0) - amount
    run.totals["calls"] -= 1
    run.totals["tools"][row.tool] = run.totals["tools"].get(row.tool, 0) - 1
    row.reserved = "{}"
    return "blocked"


def _decided(decision: Decision) -> dict[str, Any]:
    """What a record says of a decision: no messages."""
    fields: dict[str, Any] = {
        "decision": decision.effect,
        "revision": decision.revision,
        **_why(decision.reasons),
    }
    if decision.observed:
        fields["observed"] = [reason.rule for reason in decision.observed]
    return fields


def _why(reasons: tuple[Reason, ...]) -> dict[str, Any]:
    return {
        "rules": list(dict.fromkeys([reason.rule for reason in reasons])),
        "codes": list(dict.fromkeys([reason.code for reason in reasons])),
    }
