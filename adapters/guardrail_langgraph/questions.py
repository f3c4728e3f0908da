"""A tool's own questions: answers to `interrupt()` reach the call that asked, and no other.

LangGraph numbers the questions of one task and hands out answers by number, counting anew whenever the
task runs again. That holds while every call of a task runs again, too. Under a guard finished calls do
not, and parallel calls of one tool node race for the numbers. So here each question keeps its number over
restarts, and an answer that was given without saying what to is used only by a call that has asked
before, and only in the invocation that brought it: it may have been meant for an approval.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from guardrail.calls import Call
from guardrail.guard import Guardrail
from guardrail_langgraph.places import Execution, Place

_SCRATCHPAD: Final = "__pregel_scratchpad"
"""Where LangGraph keeps the answers of a task. A private name: without it nothing here does anything."""

_BARE: ContextVar[bool | None] = ContextVar("guardrail_langgraph_bare_answer", default=None)


def note_input(given: Any) -> None:
    """A graph starts: note whether its input is an answer that does not say which question it is for."""
    resume = given.resume if isinstance(given, Command) else None
    by_id = isinstance(resume, dict) and all(_is_interrupt_id(key) for key in resume)  # pyright: ignore
    _BARE.set(resume is not None and not by_id)


def _is_interrupt_id(key: object) -> bool:
    return isinstance(key, str) and len(key) == 32 and all(letter in "0123456789abcdef" for letter in key)


class Numbers:
    """Which question of one task is whose; in parallel calls of one tool node, kept in the ledger."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.owners: list[str] | None = None
        self.shown = 0
        """How many of them were asked before this run of the task."""


class Questions:
    """The questions of one call, in one run of its task.

    Args:
        execution: the call.
        scratchpad: LangGraph's, of the task.
        numbers: shared by the calls of one tool node; None where nothing else runs beside this call.
    """

    def __init__(self, execution: Execution, scratchpad: Any, numbers: Numbers | None) -> None:
        self._guard: Guardrail = execution.guard
        self._call = execution.call
        self._place = execution.place
        self._scratchpad = scratchpad
        self._numbers = numbers
        self.asked = 0
        self.number = 0
        """Of the last question."""

    @property
    def own_scratchpad(self) -> Any:
        """What the tool gets in place of the task's scratchpad."""
        return replace(
            self._scratchpad, interrupt_counter=self._next_number, get_null_resume=self._bare_answer
        )

    def _next_number(self) -> int:
        self.asked += 1
        self.number = (
            self._scratchpad.interrupt_counter() if self._numbers is None else self._own(self._numbers)
        )
        return self.number

    def _own(self, numbers: Numbers) -> int:
        with numbers.lock:
            owners = self._owners(numbers)
            own = [number for number, owner in enumerate(owners) if owner == self._call.key]
            if self.asked <= len(own):
                return own[self.asked - 1]
            # Never a number that has an answer already: it was given to somebody else.
            owners += [""] * (len(self._scratchpad.resume) - len(owners)) + [self._call.key]
            self._guard.ledger.remember(self._owner, f"questions {self._place.scope}", owners)
            return len(owners) - 1

    def _owners(self, numbers: Numbers) -> list[str]:
        if numbers.owners is None:
            numbers.owners = list(
                self._guard.ledger.recall(self._owner, f"questions {self._place.scope}") or []
            )
            numbers.shown = len(numbers.owners)
        return numbers.owners

    def _bare_answer(self, consume: bool = False) -> Any:  # noqa: FBT001, FBT002  (LangGraph's signature)
        if self._scratchpad.get_null_resume(False) is None or not self._may_take():
            return None
        return self._scratchpad.get_null_resume(consume)

    def _may_take(self) -> bool:
        """Whether an answer that names no question can be this call's."""
        if _BARE.get() is False or self._guard.ledger.call(self._call.key).attempts < 2:
            return False
        if self._numbers is None:
            return True
        with self._numbers.lock:
            owners, answered = self._owners(self._numbers), len(self._scratchpad.resume)
            return answered >= len(owners) or (
                owners[answered] == self._call.key and answered < self._numbers.shown
            )

    @property
    def _owner(self) -> str:
        return self._place.thread or self._call.run


@contextmanager
def asking(
    config: RunnableConfig | None, execution: Execution | None, numbers: Numbers | None
) -> Generator[Questions | None]:
    """Let a tool that is called with this configuration ask its own questions, in place."""
    said: dict[str, Any] = (config or {}).get("configurable") or {}
    if config is None or execution is None or (scratchpad := said.get(_SCRATCHPAD)) is None:
        yield None
        return
    questions = Questions(execution, scratchpad, numbers)
    config["configurable"] = {**said, _SCRATCHPAD: questions.own_scratchpad}
    try:
        yield questions
    finally:
        config["configurable"] = said


def remember_asked(guard: Guardrail, call: Call, place: Place, asked: int) -> None:
    """A call is over that asked on its own: note how many numbers of its task it has used up."""
    guard.ledger.remember(place.thread or call.run, f"asked {call.key}", asked)


def pass_over(guard: Guardrail, call: Call, place: Place, config: RunnableConfig) -> None:
    """A call that is over is not run again: use up its numbers, so that the next question gets its own answer."""
    scratchpad = (config.get("configurable") or {}).get(_SCRATCHPAD)
    if scratchpad is not None and scratchpad.resume:
        for _ in range(guard.ledger.recall(place.thread or call.run, f"asked {call.key}") or 0):
            scratchpad.interrupt_counter()
