"""The drivers: how the steps of the line are performed.

`drive` blocks its thread; `drive_async` awaits. Both take the steps from the same generator. What
they do while people decide is `Waiting`: wait in place, suspend (raise `Suspended`, for a framework
that can pause and come back), or answer at once that the call waits.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, Literal, Protocol

from guardrail.admission import (
    Admission,
    Admit,
    InFlight,
    Pending,
    Refuse,
    Settle,
    SettleAnswer,
    Stopped,
    Ticket,
)
from guardrail.approvals import Approval
from guardrail.calls import Call
from guardrail.decisions import Decision, Reason
from guardrail.errors import LedgerError
from guardrail.execution import Attempt, execute, execute_async, is_inside
from guardrail.flights import Flights
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome, Status
from guardrail.runtime import (
    INSIDE,
    AwaitApproval,
    Decide,
    Decided,
    Execute,
    Join,
    Line,
    Step,
    line,
    repeated,
)

Waiting = Literal["wait", "suspend", "answer"]
"""While people decide: wait in place, suspend, or answer WAITING at once."""

POLL: Final = 0.1
"""Seconds between two looks at a call that runs in another process."""
LOOK: Final = 0.25
"""Seconds between two looks at a request that people may answer in another process; in this one they wake us."""


class Suspended(BaseException):
    """The line stopped to wait for people; walk it again from its start once they have decided.

    Control flow for adapters, not an error: a `BaseException`, so that no `except Exception` between
    the driver and the adapter takes it for a failed tool.
    """

    def __init__(self, approval: Approval, call: Call) -> None:
        super().__init__(f"waiting for approval {approval.id}")
        self.approval = approval
        self.call = call


class Surroundings(Protocol):
    """What the drivers need of the guard."""

    @property
    def ledger(self) -> Ledger:
        """Where everything is written."""
        ...

    @property
    def flights(self) -> Flights:
        """What runs in this process."""
        ...

    @property
    def buffered(self) -> bool:
        """Whether outcomes ride the next commit."""
        ...

    def judge(self, call: Call) -> Decided:
        """Facts, run state and policies: what is to happen with the call."""
        ...


class _Drive:
    """What both drivers share: the bookkeeping around one walk of the line."""

    def __init__(self, guard: Surroundings, attempt: Attempt, waiting: Waiting) -> None:
        self.guard = guard
        self.attempt = attempt
        self.waiting = waiting
        self._entered: str | None = None
        self._running: tuple[Call, Ticket] | None = None

    def decide(self, call: Call) -> Decided:
        try:
            return self.guard.judge(call)
        except LedgerError as error:
            return Decided(decision=Decision(effect="deny", reasons=(lost(error),)), given=b"{}", version=0)

    def enter(self, admit: Admit) -> InFlight | None:
        """Enter the key before admission is asked for."""
        if self.guard.flights.enter(admit.call.key):
            self._entered = admit.call.key
            return None
        return InFlight(elsewhere=False)

    def admitted(self, admit: Admit, admission: Admission) -> Admission:
        """Keep the key only where there is something to run."""
        if isinstance(admission, Ticket):
            self._running = (admit.call, admission)
        else:
            self.leave(None)
        return admission

    def leave(self, outcome: Outcome | None) -> None:
        """Give the key back, once."""
        if self._entered is not None:
            key, self._entered = self._entered, None
            self.guard.flights.leave(key, outcome)

    def waits(self, step: AwaitApproval) -> bool:
        """Whether to wait in place; suspends where that is how this driver waits."""
        if self.waiting == "suspend":
            raise Suspended(step.approval, step.call)
        return self.waiting == "wait"

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
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            raise outcome.error
        return outcome


def lost(error: LedgerError) -> Reason:
    """The reason for refusing a call that cannot be recorded."""
    return Reason(
        rule="guardrail.ledger",
        code="ledger",
        message=error.message,
        fix=error.fix or "call again once the ledger is back",
    )


def _late(attempt: Attempt, step: Execute, outcome: Outcome) -> Settle:
    """The settlement of a call that went on past its deadline: recorded as late, changes nothing."""
    result = attempt.codec.dump(outcome.value) if outcome.status == "returned" else None
    return Settle(
        call=step.call, ticket=step.ticket, status=outcome.status, result=result, message=outcome.message
    )


def drive(guard: Surroundings, attempt: Attempt, waiting: Waiting = "wait") -> Outcome:
    """Walk the line in this thread.

    Raises:
        Suspended: people have to decide, and `waiting` is `suspend`.
    """
    return _Blocking(guard, attempt, waiting).walk(line(attempt))


async def drive_async(guard: Surroundings, attempt: Attempt, waiting: Waiting = "wait") -> Outcome:
    """Walk the line in this task; admission and settlement are never cut by a cancellation.

    Raises:
        Suspended: people have to decide, and `waiting` is `suspend`.
    """
    return await _Asynchronous(guard, attempt, waiting).walk(line(attempt))


class _Blocking(_Drive):
    def walk(self, steps: Line) -> Outcome:
        try:
            step = next(steps)
            while True:
                step = steps.send(self.perform(step))
        except StopIteration as stop:
            return self.ended(stop.value)
        finally:
            steps.close()
            if (settle := self.unfinished("unknown", "the walk was cut")) is not None:
                self.settle(settle)
            self.leave(None)

    def perform(self, step: Step) -> Any:
        match step:
            case Decide(call=call):
                return self.decide(call)
            case Admit():
                return self.admit(step)
            case Execute():
                return execute(
                    self.attempt, step.call, step.deadline, lambda late: self.settle_late(step, late)
                )
            case Settle():
                return self.settle(step)
            case Refuse():
                return self.write(step)
            case AwaitApproval():
                return self.await_approval(step)
            case Join():
                return self.join(step)

    def admit(self, step: Admit) -> Admission:
        return self.enter(step) or self.admitted(step, self.write(step))

    def write(self, step: Admit | Refuse) -> Any:
        try:
            return self.guard.ledger.write(step, alone=self.guard.flights.alone)
        except LedgerError as error:
            return Stopped(reasons=(lost(error),))

    def settle(self, step: Settle) -> SettleAnswer | Literal["unrecorded"]:
        ledger = self.guard.ledger
        try:
            if self.rides(step):
                ledger.write_later(step)
                return "settled"
            answer: SettleAnswer = ledger.write(step, alone=self.guard.flights.alone)
        except LedgerError:
            return "unrecorded"
        finally:
            self.settled()
        return answer

    def settle_late(self, step: Execute, outcome: Outcome) -> None:
        self.settle(_late(self.attempt, step, outcome))

    def await_approval(self, step: AwaitApproval) -> bool:
        if not self.waits(step):
            return False
        ledger = self.guard.ledger
        try:
            while ledger.is_pending(step.approval.id):
                ledger.wait_for_answers(LOOK)
        except LedgerError:
            return True  # the line goes on, and its next step says what is wrong
        except BaseException:
            ledger.cancel(step.approval.id, step.call.key)
            raise
        return True

    def join(self, step: Join) -> Outcome | Decision | None:
        if is_inside(step.call.key):
            return INSIDE
        if not step.elsewhere:
            joined = self.guard.flights.join(step.call.key)
            return joined.result() if joined is not None else None
        try:
            while isinstance(settled := self.guard.ledger.settled(step.call.key), InFlight):
                time.sleep(POLL)
        except LedgerError as error:
            return Outcome(status="blocked", heading="DENIED", reasons=(lost(error),))
        return repeated(self.attempt, settled) if settled is not None else None


class _Asynchronous(_Drive):
    async def walk(self, steps: Line) -> Outcome:
        try:
            step = next(steps)
            while True:
                step = steps.send(await self.perform(step))
        except StopIteration as stop:
            return self.ended(stop.value)
        finally:
            steps.close()
            if (settle := self.unfinished("unknown", "the walk was cut")) is not None:
                await self.settle(settle)
            self.leave(None)

    async def perform(self, step: Step) -> Any:
        match step:
            case Decide(call=call):
                return self.decide(call)
            case Admit():
                return await self.admit(step)
            case Execute():
                return await execute_async(self.attempt, step.call, step.deadline)
            case Settle():
                return await self.settle(step)
            case Refuse():
                return await self.write(step)
            case AwaitApproval():
                return await self.await_approval(step)
            case Join():
                return await self.join(step)

    async def admit(self, step: Admit) -> Admission:
        joined = self.enter(step)
        if joined is not None:
            return joined
        try:
            return self.admitted(step, await self.write(step))
        except _CancelledMeanwhile as cancelled:
            self.admitted(step, cancelled.answer)
            if isinstance(cancelled.answer, Pending) and self.waiting == "wait":
                self.guard.ledger.cancel(cancelled.answer.approval.id, step.call.key)
            if (settle := self.unfinished("blocked", "cancelled during admission")) is not None:
                await self.settle(settle)
            raise cancelled.error from None

    async def write(self, step: Admit | Refuse) -> Any:
        try:
            return await uncut(self.guard.ledger.write_async(step, alone=self.guard.flights.alone))
        except LedgerError as error:
            return Stopped(reasons=(lost(error),))

    async def settle(self, step: Settle) -> SettleAnswer | Literal["unrecorded"]:
        ledger = self.guard.ledger
        try:
            if self.rides(step):
                ledger.write_later(step)
                return "settled"
            answer: SettleAnswer = await uncut(ledger.write_async(step, alone=self.guard.flights.alone))
        except LedgerError:
            return "unrecorded"
        except _CancelledMeanwhile as cancelled:
            raise cancelled.error from None
        finally:
            self.settled()
        return answer

    async def await_approval(self, step: AwaitApproval) -> bool:
        if not self.waits(step):
            return False
        ledger = self.guard.ledger
        try:
            while ledger.is_pending(step.approval.id):
                await ledger.wait_for_answers_async(LOOK)
        except LedgerError:
            return True  # the line goes on, and its next step says what is wrong
        except BaseException:
            ledger.cancel(step.approval.id, step.call.key)
            raise
        return True

    async def join(self, step: Join) -> Outcome | Decision | None:
        if is_inside(step.call.key):
            return INSIDE
        if not step.elsewhere:
            joined = self.guard.flights.join(step.call.key)
            if joined is None:
                return None
            outcome: Outcome | None = await asyncio.shield(asyncio.wrap_future(joined))
            return outcome
        try:
            while isinstance(  # noqa: ASYNC110  (another process runs it)
                settled := self.guard.ledger.settled(step.call.key), InFlight
            ):
                await asyncio.sleep(POLL)
        except LedgerError as error:
            return Outcome(status="blocked", heading="DENIED", reasons=(lost(error),))
        return repeated(self.attempt, settled) if settled is not None else None


class _CancelledMeanwhile(Exception):
    """A write was cancelled, held until it answered, and has answered."""

    def __init__(self, answer: Any, error: asyncio.CancelledError) -> None:
        super().__init__("cancelled")
        self.answer = answer
        self.error = error


async def uncut(answer: asyncio.Future[Any]) -> Any:
    """Await the answer of a write, which comes whatever cancels this task meanwhile.

    Raises:
        _CancelledMeanwhile: this task was cancelled; carries the answer and the cancellation to raise.
    """
    try:
        return await answer
    except asyncio.CancelledError as error:
        raise _CancelledMeanwhile(answer.exception() or answer.result(), error) from None
