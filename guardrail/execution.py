"""The execution: the tool runs once, with a copy of exactly what was judged.

Here is the only place that catches whatever a tool may raise, and turns it into an `Outcome`.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from guardrail.calls import Call
from guardrail.decisions import Decision
from guardrail.errors import Raised, told
from guardrail.outcomes import Codec, JsonCodec, Outcome, Status


def _ordinary(error: BaseException) -> Status:
    """An `Exception` is the tool's own answer; anything else cut it short, and what it did is not known."""
    return "raised" if isinstance(error, Exception) else "unknown"


def _raised(error: BaseException | None, text: str) -> Exception:  # noqa: ARG001  what an adapter may look at
    return Raised(text)


def _unchanged(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return arguments


_JSON: Final = JsonCodec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call together with what it takes to execute it: the part of the line that an adapter brings.

    Attributes:
        call: what is attempted.
        invoke: runs the tool with a fresh copy of a call's arguments; returns the result, or an
            awaitable of it for the asyncio driver.
        validate: checks edited arguments as the first ones were checked, and returns them as JSON values.
        codec: keeps the result for a repeat.
        status: what an exception out of `invoke` means (a framework's control flow is no failure).
        reworded: what is raised in place of an exception, where only this text of it is handed on; nothing of the
            exception itself may be in it.
    """

    call: Call
    invoke: Callable[[Call], Any]
    validate: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _unchanged
    codec: Codec = _JSON
    status: Callable[[BaseException], Status] = _ordinary
    reworded: Callable[[BaseException | None, str], Exception] = _raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a tool is run with: the call that was judged, and what it was judged by.

    Attributes:
        call: what was judged.
        given: the policy input, as JSON text.
        decide: judges another call, without storing or running anything.
    """

    call: Call
    given: bytes
    decide: Callable[[Call], Decision]


_EXECUTED: Final[contextvars.ContextVar[tuple[Judged, ...]]] = contextvars.ContextVar(
    "guardrail_executed", default=()
)


def is_inside(key: str) -> bool:
    """Whether this code is run by the tool of the call with this key: to wait for it here would never end."""
    return any(judged.call.key == key for judged in _EXECUTED.get())


def current_judged() -> Judged | None:
    """What this code is run with, if it is run by a tool: the innermost call."""
    around = _EXECUTED.get()
    return around[-1] if around else None


@contextmanager
def _executing(judged: Judged) -> Generator[None]:
    token = _EXECUTED.set((*_EXECUTED.get(), judged))
    try:
        yield
    finally:
        _EXECUTED.reset(token)


Late = Callable[[Outcome], None]
"""Told what became of a tool that went on past its deadline."""


def execute(attempt: Attempt, judged: Judged, deadline: float | None, late: Late) -> Outcome:
    """Run the tool in this thread, or, with a deadline in seconds, in a thread of its own.

    A thread cannot be stopped: past the deadline the outcome is `unknown`, the tool goes on, and `late`
    is told how it ended.
    """
    if deadline is None:
        return _run(attempt, judged)
    finished = threading.Event()
    box: list[Outcome] = []
    overdue = threading.Lock()
    context = contextvars.copy_context()

    def work() -> None:
        outcome = context.run(_run, attempt, judged)
        with overdue:
            box.append(outcome)
            in_time = not expired
        finished.set()
        if not in_time:
            late(outcome)

    expired: list[bool] = []
    threading.Thread(target=work, name=f"guardrail {judged.call.tool.name}", daemon=True).start()
    finished.wait(deadline)
    with overdue:
        if box:
            return box[0]
        expired.append(True)
    return _overdue(deadline)


def _run(attempt: Attempt, judged: Judged) -> Outcome:
    try:
        with _executing(judged):
            return Outcome(status="returned", value=attempt.invoke(judged.call))
    except BaseException as error:  # noqa: BLE001  (a tool may raise anything; the outcome says what)
        return _failed(attempt, error)


async def execute_async(attempt: Attempt, judged: Judged, deadline: float | None) -> Outcome:
    """Await the tool; past the deadline in seconds it is cancelled and the outcome is `unknown`."""
    limit: asyncio.Timeout | None = None
    try:
        if deadline is None:
            return Outcome(status="returned", value=await _awaited(attempt, judged))
        async with asyncio.timeout(deadline) as limit:
            return Outcome(status="returned", value=await _awaited(attempt, judged))
    except BaseException as error:  # noqa: BLE001  (as above)
        return _overdue(deadline) if limit is not None and limit.expired() else _failed(attempt, error)


async def _awaited(attempt: Attempt, judged: Judged) -> Any:
    with _executing(judged):
        value: Any = attempt.invoke(judged.call)
        return await cast("Awaitable[Any]", value) if isinstance(value, Awaitable) else value


def _failed(attempt: Attempt, error: BaseException) -> Outcome:
    status = attempt.status(error)
    return Outcome(
        status=status,
        error=error,
        message=told(error)[:2000],
        value=error if status == "returned" else None,
        heading="UNKNOWN OUTCOME" if status == "unknown" else None,
    )


def _overdue(deadline: float | None) -> Outcome:
    return Outcome(
        status="unknown",
        heading="UNKNOWN OUTCOME",
        message=f"no answer within its deadline of {deadline:g} s",
    )
