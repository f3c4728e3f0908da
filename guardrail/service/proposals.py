"""Calls whose tools run elsewhere: each walks the line here and, once it is admitted, waits for whoever runs it.

To the line this is a tool like any other. Its `invoke` hands out the arguments that were judged, together with a
lease, and awaits what became of them. Whoever runs the tool has until the end of the lease to say so, else nobody
knows how it ended, and the call is `unknown`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any, Final, Literal

import anyio
import anyio.to_thread

from guardrail.admission import InFlight
from guardrail.calls import Call
from guardrail.errors import Conflict, LedgerUnavailable
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger.rows import CallState
from guardrail.outcomes import Outcome, Status
from guardrail.walks import RUNNING

MOST: Final = 10_000
"""Calls that are walked or run at once, for one instance."""
_LOOK: Final = 0.25
"""Seconds between two looks at a request that people may answer in another process."""
_LOOKS: Final = 4
"""Threads that look for all who wait: what decides has others."""
_SOON: Final = 1
_LATER: Final = 5
"""Seconds until a client asks again, by whether it may wait here then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A call that somebody wants to run.

    Attributes:
        call: what is proposed.
        client: who proposes it.
        attempt: by which a client that heard no answer asks for it again; empty = it does not. Whoever says
            another one hears that the call is running, so that two workers never run one call.
        validate: checks arguments that were changed on the way as the first ones were.
    """

    call: Call
    client: str
    attempt: str
    validate: Callable[[Mapping[str, Any]], Mapping[str, Any]]

    @property
    def told(self) -> tuple[str, str]:
        """By whom it is asked for again."""
        return self.client, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A call that was admitted: run the tool, with these arguments, and say how that ended.

    Attributes:
        call: as it was judged: an obligation or a person may have changed its arguments.
        lease: has to be shown by whoever says how it ended.
        ends: when the lease does.
    """

    call: Call
    lease: str
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a tool ended, as whoever ran it says.

    Attributes:
        how: `did_not_run`: it was never started; its budgets are given back.
        result: what it returned, as a JSON value.
        message: what it raised, or why it did not run.
    """

    how: Literal["returned", "raised", "did_not_run"]
    result: Any = None
    message: str = ""


class Failed(Exception):
    """The tool raised, where it ran."""


class NotRun(Exception):
    """The tool was not started."""


class LeaseEnded(Exception):
    """Nobody has said how the tool ended."""

    def __init__(self) -> None:
        super().__init__("nobody has said within the lease how it ended")


_STATUS: Final[Mapping[type[BaseException], Status]] = {
    Failed: "raised", NotRun: "blocked", LeaseEnded: "unknown",
}  # fmt: skip


class _Walk:
    """One proposal on its way."""

    def __init__(self, proposal: Proposal) -> None:
        loop = asyncio.get_running_loop()
        self.proposal = proposal
        self.leased: asyncio.Future[Leased] = loop.create_future()
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self.task: asyncio.Task[Outcome]
        self.limit: asyncio.Timeout | None = None

    async def answer(self) -> Leased | Outcome:
        """What came of it first: it was admitted, or its walk is over. Once it has ended, nobody is told to run it."""
        waited: list[asyncio.Future[Any]] = [self.task, self.leased]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if self.leased.done() and not (self.ended.done() or self.task.done()):
            return self.leased.result()
        return await _finished(self.task)

    def held_by(self, client: str, lease: str) -> Leased:
        """What was leased, for whoever holds it.

        Raises:
            Conflict: it is another client's, or the lease of another attempt.
        """
        leased = self.leased.result()
        _same(lease, leased.lease if client == self.proposal.client else "")
        return leased


class Proposals:
    """The calls that were proposed to one instance; all of it belongs to one event loop.

    Args:
        guard: judges, admits and records.
        mark: a keyed digest of a text, the same in every instance: what a lease is known by.
        lease: seconds that whoever runs a tool has until he says how it ended.
        places: how many may wait at once; who comes after them is told at once how the call stands.
    """

    def __init__(self, guard: Guardrail, *, mark: Callable[[str], str], lease: float, places: int) -> None:
        self.guard = guard
        self._mark = mark
        self._seconds = lease
        self._places = places
        self._waiting = 0
        self._looks = anyio.CapacityLimiter(_LOOKS)
        self._walks: dict[str, _Walk] = {}
        self._leased: dict[str, _Walk] = {}

    @property
    def again(self) -> int:
        """After how many seconds a client asks again about a call that waits, or runs."""
        return _SOON if self._waiting < self._places else _LATER

    async def propose(
        self, proposal: Proposal, *, wait: float, gone: Callable[[], Awaitable[bool]]
    ) -> Leased | Outcome:
        """Walk the line: up to the admission, or to where it ends before that.

        Args:
            proposal: what is proposed.
            wait: seconds to wait in place while people decide, or somebody else runs the call.
            gone: whether whoever proposes it has gone: then nothing is admitted for him any more.

        Raises:
            LedgerUnavailable: too many calls are under way.
        """
        until = time.monotonic() + wait
        answer = await self._propose(proposal)
        if wait <= 0 or self._waiting >= self._places:
            return answer
        self._waiting += 1
        try:
            while await self._stands_otherwise(proposal, answer, until, gone):
                answer = await self._propose(proposal)
        finally:
            self._waiting -= 1
        return answer

    async def settle(
        self, reference: str, client: str, lease: str, said: Ended
    ) -> tuple[Call, Outcome] | CallState:
        """Say how a tool ended; saying it again changes nothing.

        Returns:
            What ran, and the outcome as it may be handed on; or, where this instance does not hold the call (it was
            started anew since, or the lease is over), the state that the call has now.

        Raises:
            Conflict: there is no such call, or another instance holds it, or the lease is not its own.
        """
        walk = self._leased.get(reference)
        if walk is None:
            return await asyncio.to_thread(self._resolve, reference, client, lease, said)
        leased = walk.held_by(client, lease)
        if not walk.ended.done():
            walk.ended.set_result(said)
        outcome = await _finished(walk.task)
        if outcome.status == "unknown":  # the lease, or the tool's deadline, ended at this moment
            return await asyncio.to_thread(self._resolve, reference, client, lease, said)
        return leased.call, outcome

    async def renew(self, reference: str, client: str, lease: str) -> datetime:
        """Let a lease run anew, for a tool that takes long; answers when it ends then.

        Raises:
            Conflict: this instance does not hold the call, the lease is not its own, or it is over.
        """
        walk = self._leased.get(reference)
        if walk is None or walk.limit is None or walk.limit.expired() or walk.ended.done():
            raise Conflict("this call is not running here", fix="ask how it stands, and settle it")
        leased = walk.held_by(client, lease)
        if leased.call.tool.deadline is not None:
            raise Conflict("this tool has a deadline of its own", fix="change it in guardrail.toml")
        walk.limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
        return self._end(leased.call)

    async def close(self) -> None:
        """End: calls that are under way are cut, and those that were admitted read `unknown`."""
        tasks = [walk.task for walk in self._walks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- parts ---------------------------------------------------------------------------------------

    async def _propose(self, proposal: Proposal) -> Leased | Outcome:
        key = proposal.call.key
        walk = self._walks.get(key)
        if walk is None:
            if len(self._walks) >= MOST:
                raise LedgerUnavailable(
                    f"{MOST} calls are under way here", fix="try again, or ask another instance"
                )
            walk = self._walks[key] = _Walk(proposal)
            walk.task = asyncio.create_task(self._walk(walk))
        elif not proposal.attempt or proposal.told != walk.proposal.told:
            return RUNNING
        return await walk.answer()

    async def _walk(self, walk: _Walk) -> Outcome:
        proposal = walk.proposal
        reference = ""

        async def elsewhere(judged: Call) -> Any:
            nonlocal reference
            nonce = secrets.token_hex(8)
            reference = judged.reference
            tried = (await asyncio.to_thread(self.guard.ledger.call, reference)).attempts
            self._leased[reference] = walk
            lease = f"{nonce}{self._proof(judged.key, proposal.client, nonce, tried)}"
            try:
                async with asyncio.timeout(self._seconds) as walk.limit:
                    walk.leased.set_result(Leased(call=judged, lease=lease, ends=self._end(judged)))
                    said = await walk.ended
            except TimeoutError:
                if walk.ended.cancelled():
                    raise LeaseEnded from None
                said = walk.ended.result()  # it was said at the very end
            return _told(said)

        attempt = Attempt(
            call=proposal.call,
            invoke=elsewhere,
            validate=proposal.validate,
            status=lambda error: _STATUS.get(type(error), "unknown"),
        )
        try:
            return await self.guard.perform_async(attempt, waiting="serve")
        finally:
            self._walks.pop(proposal.call.key, None)
            self._leased.pop(reference, None)

    async def _stands_otherwise(
        self, proposal: Proposal, answer: Leased | Outcome, until: float, gone: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Whether people have decided by then, or whoever runs the call has come to an end."""
        if isinstance(answer, Leased) or answer.heading not in ("WAITING", "RUNNING"):
            return False
        while (left := until - time.monotonic()) > 0:
            await self.guard.ledger.wait_for_answers_async(min(_LOOK, left))
            if await gone():
                return False
            if not await anyio.to_thread.run_sync(self._stands, proposal, answer, limiter=self._looks):
                return True
        return False

    def _stands(self, proposal: Proposal, answer: Outcome) -> bool:
        """Whether a call waits, or runs, as it did."""
        ledger = self.guard.ledger
        if answer.heading == "WAITING":
            return answer.approval is not None and ledger.is_pending(answer.approval)
        judged = answer.changed or proposal.call
        return proposal.call.key in self._walks or isinstance(ledger.settled(judged.key), InFlight)

    def _resolve(self, reference: str, client: str, lease: str, said: Ended) -> CallState:
        """What this says of a call whose end was not seen: it ran, or it did not."""
        call, nonce = self.guard.ledger.call(reference), lease[:16]
        _same(lease, f"{nonce}{self._proof(call.key, client, nonce, call.attempts)}")
        if call.state not in ("started", "unknown"):
            return call.state
        try:  # the ledger says for certain whether anybody runs it: this instance may have failed to write its end
            self.guard.ledger.resolve(call.key, ran=said.how != "did_not_run", by=f"client:{client}")
        except Conflict as error:
            if self.guard.ledger.call(reference).state == "started":
                raise Conflict(
                    "another instance of the service holds this call",
                    fix="send it to the instance that leased it",
                ) from error
        return self.guard.ledger.call(reference).state

    def _proof(self, key: str, client: str, nonce: str, tried: int) -> str:
        """What a lease is known by: it is of one client, and of one attempt at one call."""
        return self._mark(f"lease {nonce} {key} {tried} {client}")

    def _end(self, call: Call) -> datetime:
        deadline = call.tool.deadline
        return datetime.now(UTC) + timedelta(seconds=min(self._seconds, deadline or self._seconds))


def _same(lease: str, true: str) -> None:
    if not compare_digest(lease.encode(), true.encode()):
        raise Conflict(
            "this is not the lease of this attempt at the call",
            fix="show the one that came with its admission",
        )


async def _finished(task: asyncio.Task[Outcome]) -> Outcome:
    """How a walk ended.

    Raises:
        LedgerUnavailable: the service is being stopped, and has cut it.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        raise LedgerUnavailable(
            "the service is stopping", fix="ask another instance how the call stands"
        ) from None


def _told(said: Ended) -> Any:
    match said.how:
        case "returned":
            return said.result
        case "raised":
            raise Failed(said.message)
        case "did_not_run":
            raise NotRun(said.message)
