"""The drivers: how the steps of the line are performed.

`drive` blocks its thread; `drive_async` awaits. Both take the steps from the same generator. What
they do while people decide is `Waiting`: wait in place, suspend (raise `Suspended`, for a framework
that can pause and come back), or answer at once that the call waits.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, Literal

from guardrail.admission import (
    Admission,
    Admit,
    InFlight,
    Pending,
    Refuse,
    Settle,
    SettleAnswer,
    Stopped,
)
from guardrail.decisions import Decision
from guardrail.errors import LedgerError
from guardrail.execution import Attempt, execute, execute_async, is_inside
from guardrail.outcomes import Outcome
from guardrail.releasing import repeated
from guardrail.runtime import INSIDE, line
from guardrail.spans import LineSpan
from guardrail.steps import AwaitApproval, Decide, Execute, Join, Line, Review, Step
from guardrail.walks import RUNNING, Surroundings, Waiting, Walk, late, lost

POLL: Final = 0.1
"""Seconds between two looks at a call that runs in another process."""
LOOK: Final = 0.25
"""Seconds between two looks at a request that people may answer in another process; in this one they wake us."""


def drive(guard: Surroundings, attempt: Attempt, waiting: Waiting = "wait") -> Outcome:
    """Walk the line in this thread.

    Raises:
        Suspended: people have to decide, and `waiting` is `suspend`.
    """
    with LineSpan(attempt.call, guard.ledger, waits=waiting == "wait") as span:
        return _Blocking(guard, attempt, waiting, span).walk(line(attempt))


async def drive_async(guard: Surroundings, attempt: Attempt, waiting: Waiting = "wait") -> Outcome:
    """Walk the line in this task; admission and settlement are never cut by a cancellation.

    Raises:
        Suspended: people have to decide, and `waiting` is `suspend`.
    """
    with LineSpan(attempt.call, guard.ledger, waits=waiting == "wait") as span:
        return await _Asynchronous(guard, attempt, waiting, span).walk(line(attempt))


class _Blocking(Walk):
    def walk(self, steps: Line) -> Outcome:
        try:
            step = next(steps)
            while True:
                step = steps.send(self.perform(step) if self.span.is_idle else self.traced(step))
        except StopIteration as stop:
            return self.ended(stop.value)
        finally:
            steps.close()
            if (settle := self.unfinished("unknown", "the walk was cut")) is not None:
                self.settle(settle)
            self.leave(None)

    def traced(self, step: Step) -> Any:
        with self.span.step(step) as span:
            span.answer = self.perform(step)
            return span.answer

    def perform(self, step: Step) -> Any:
        match step:
            case Decide():
                return self.decide(step)
            case Admit():
                return self.admit(step)
            case Execute():
                return execute(
                    self.attempt,
                    self.judged(step),
                    step.deadline,
                    lambda ended: self.settle_late(step, ended),
                )
            case Review():
                return self.review(step)
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
                return self.kept(step, "settled")
            answer: SettleAnswer = ledger.write(step, alone=self.guard.flights.alone)
        except LedgerError:
            return "unrecorded"
        finally:
            self.settled()
        return self.kept(step, answer)

    def settle_late(self, step: Execute, outcome: Outcome) -> None:
        self.settle(late(self.attempt, step, outcome))

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
        return None if settled is None or settled.held else repeated(self.attempt, settled)


class _Asynchronous(Walk):
    async def walk(self, steps: Line) -> Outcome:
        try:
            step = next(steps)
            while True:
                step = steps.send(await (self.perform(step) if self.span.is_idle else self.traced(step)))
        except StopIteration as stop:
            return self.ended(stop.value)
        finally:
            steps.close()
            if (settle := self.unfinished("unknown", "the walk was cut")) is not None:
                await self.settle(settle)
            self.leave(None)

    async def traced(self, step: Step) -> Any:
        with self.span.step(step) as span:
            span.answer = await self.perform(step)
            return span.answer

    async def perform(self, step: Step) -> Any:
        match step:
            case Decide(call=call) if self.serves or not self.guard.judge.is_quick_about(call):
                return await asyncio.to_thread(self.decide, step)
            case Decide() if self.guard.judge.waits:
                return await self.decide_async(step)
            case Decide():
                return self.decide(step)
            case Admit():
                return await self.admit(step)
            case Execute():
                return await execute_async(self.attempt, self.judged(step), step.deadline)
            case Review():
                if not self.serves and self.guard.judge.reviews_quickly(step.call):
                    return await self.review_async(step) if self.guard.judge.waits else self.review(step)
                return await asyncio.to_thread(self.review, step)  # other people's checks take their time
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
            return await uncut(self.written(step))
        except LedgerError as error:
            return Stopped(reasons=(lost(error),))

    def written(self, step: Admit | Refuse | Settle) -> asyncio.Future[Any]:
        if self.serves:
            return self.guard.ledger.write_elsewhere(step)
        return self.guard.ledger.write_async(step, alone=self.guard.flights.alone)

    async def settle(self, step: Settle) -> SettleAnswer | Literal["unrecorded"]:
        ledger = self.guard.ledger
        try:
            if self.rides(step):
                ledger.write_later(step)
                return self.kept(step, "settled")
            answer: SettleAnswer = await uncut(self.written(step))
        except LedgerError:
            return "unrecorded"
        except _CancelledMeanwhile as cancelled:
            raise cancelled.error from None
        finally:
            self.settled()
        return self.kept(step, answer)

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
        if self.serves:
            return RUNNING
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
        return None if settled is None or settled.held else repeated(self.attempt, settled)


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
