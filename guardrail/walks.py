"""One walk of the line: what both drivers share, and what they need of the guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from guardrail.admission import Admission, Admit, InFlight, Settle, SettleAnswer, Ticket
from guardrail.approvals import Approval
from guardrail.calls import Call
from guardrail.decisions import Decision, Reason
from guardrail.errors import LedgerError
from guardrail.execution import Attempt, Judged
from guardrail.flights import Flights
from guardrail.judging import Judge
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome, Status
from guardrail.provenance import Source
from guardrail.spans import LineSpan
from guardrail.steps import AwaitApproval, Decide, Decided, Execute, Review, Reviewed

Waiting = Literal["wait", "suspend", "answer", "serve"]
"""While people decide: wait in place, suspend, or answer WAITING at once.

`serve`, for a service whose event loop belongs to others too: the same, and RUNNING at once where somebody else runs
the call; whatever reads or writes the ledger does so in another thread.
"""
RUNNING: Final = Outcome(status="blocked", heading="RUNNING")
"""The answer to a call that somebody else runs, where nobody waits for that."""


class Suspended(BaseException):
    """The line stopped to wait for people; walk it again from its start once they have decided.

    Control flow for adapters, not an error: a `BaseException`, so that no `except Exception` between
    the driver and the adapter takes it for a failed tool.
    """

    def __init__(self, approval: Approval, call: Call) -> None:
        super().__init__(f"waiting for approval {approval.id}")
        self.approval = approval
        self.call = call


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the drivers need of the guard.

    Attributes:
        ledger: where everything is written.
        flights: what runs in this process.
        judge: who decides.
        buffered: outcomes ride the next commit.
    """

    ledger: Ledger
    flights: Flights
    judge: Judge
    buffered: bool


class Walk:
    """What both drivers share: the bookkeeping around one walk of the line."""

    def __init__(self, guard: Surroundings, attempt: Attempt, waiting: Waiting, span: LineSpan) -> None:
        self.guard = guard
        self.attempt = attempt
        self.waiting = waiting
        self.span = span
        self._entered: list[str] = []
        self._running: tuple[Call, Ticket] | None = None

    def decide(self, step: Decide) -> Decided:
        """What the guard says of a call; where the ledger is lost, a deny."""
        try:
            return self.guard.judge.judge(step.call, step.edited_by)
        except LedgerError as error:
            return _undecided(error)

    async def decide_async(self, step: Decide) -> Decided:
        """The same where policies are awaited."""
        try:
            return await self.guard.judge.judge_async(step.call, step.edited_by)
        except LedgerError as error:
            return _undecided(error)

    def judged(self, step: Execute) -> Judged:
        """What the tool is run with."""
        return Judged(call=step.call, given=step.given, decide=self.guard.judge.decide)

    def review(self, step: Review) -> Reviewed:
        """What the guard says of a result; where it cannot say, nobody gets it."""
        try:
            return self.guard.judge.review(step.call, step.content, raised=step.raised, held=step.held)
        except LedgerError as error:
            return _unreviewed(error)

    async def review_async(self, step: Review) -> Reviewed:
        """The same where policies are awaited."""
        judge = self.guard.judge
        try:
            return await judge.review_async(step.call, step.content, raised=step.raised, held=step.held)
        except LedgerError as error:
            return _unreviewed(error)

    def kept(self, step: Settle, answer: SettleAnswer) -> SettleAnswer:
        """What was handed on is known from here on."""
        if step.source is not None and answer == "settled":
            self.guard.judge.keep(step.call, step.ticket, step.source)
        return answer

    def enter(self, admit: Admit) -> InFlight | None:
        """Enter the key before admission is asked for."""
        if self.guard.flights.enter(admit.call.key):
            self._entered.append(admit.call.key)
            return None
        return InFlight(elsewhere=False)

    def admitted(self, admit: Admit, admission: Admission) -> Admission:
        """Keep the key only where there is something to run."""
        if isinstance(admission, Ticket):
            self._running = (admit.call, admission)
        else:
            self.guard.flights.leave(self._entered.pop(), None)
        return admission

    def leave(self, outcome: Outcome | None) -> None:
        """Give back the keys, each once: that of the call, and that of letting its result through."""
        while self._entered:
            self.guard.flights.leave(self._entered.pop(), outcome)

    def waits(self, step: AwaitApproval) -> bool:
        """Whether to wait in place; suspends where that is how this driver waits."""
        if self.waiting == "suspend":
            self.span.suspended()
            raise Suspended(step.approval, step.call)
        return self.waiting == "wait"

    @property
    def serves(self) -> bool:
        """Whether the event loop belongs to others too."""
        return self.waiting == "serve"

    def unfinished(self, status: Status, message: str) -> Settle | None:
        """How to settle a call that was admitted and whose walk ends before its outcome."""
        if self._running is None:
            return None
        call, ticket = self._running
        return Settle(call=call, ticket=ticket, status=status, message=message)

    def rides(self, step: Settle) -> bool:
        """Whether the outcome may ride the next commit: nothing that others decide on depends on it."""
        return self.guard.buffered and not step.labels

    def settled(self) -> None:
        """The admitted call has its outcome; nothing is left to settle."""
        self._running = None

    def ended(self, outcome: Outcome) -> Outcome:
        """Give the outcome to whoever joined, and a cancellation back to whoever cancelled."""
        self.leave(outcome)
        self.span.ended(outcome)
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            raise outcome.error
        return outcome


def _undecided(error: LedgerError) -> Decided:
    hidden = ("",)  # no policy was asked what that is
    refused = Decision(effect="deny", reasons=(lost(error),), mask=hidden)
    return Decided(decision=refused, given=b"{}", version=0)


def _unreviewed(error: LedgerError) -> Reviewed:
    decision = Decision(effect="deny", reasons=(lost(error),))
    unseen = Source(kind="untrusted", content=None)
    return Reviewed(decision=decision, given=b"{}", released="withheld", source=unseen)


def lost(error: LedgerError) -> Reason:
    """The reason for refusing a call that cannot be recorded."""
    return Reason(
        rule="guardrail.ledger",
        code="ledger",
        message=error.message,
        fix=error.fix or "call again once the ledger is back",
    )


def late(attempt: Attempt, step: Execute, outcome: Outcome) -> Settle:
    """The settlement of a call that went on past its deadline: recorded as late, changes nothing."""
    result = attempt.codec.dump(outcome.value) if outcome.status == "returned" else None
    return Settle(
        call=step.call, ticket=step.ticket, status=outcome.status, result=result, message=outcome.message
    )
