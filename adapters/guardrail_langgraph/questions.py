"""A tool's own questions: answers to `interrupt()` reach the call that asked, and no other.

LangGraph numbers the questions of one task and hands out answers by number, counting anew whenever the
task runs again. Under a guard finished calls do not run again, and parallel calls of one tool node race
for the numbers. So here every question has an id of its own, each call sees only the answers that it has
taken, and which call took which is kept in the ledger. An answer that was given without saying what to is
taken only by a call that has asked before, and only in the invocation that brought it: it may have been
meant for an approval.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.types import Command, Interrupt

from guardrail.calls import Call
from guardrail.canonical import digest
from guardrail.guard import Guardrail
from guardrail_langgraph.places import Execution, Place

_SCRATCHPAD: Final = "__pregel_scratchpad"
_SEND: Final = "__pregel_send"
_RESUME_MAP: Final = "__pregel_resume_map"
_RESUME: Final = "__resume__"
"""Where LangGraph keeps and writes the answers of a task. Private names, pinned by the tests."""

_BARE: ContextVar[bool | None] = ContextVar("guardrail_langgraph_bare_answer", default=None)


def note_input(given: Any) -> None:
    """A graph starts: note whether its input is an answer that does not say which question it is for."""
    resume = given.resume if isinstance(given, Command) else None
    by_id = isinstance(resume, dict) and all(map(_is_interrupt_id, cast("Mapping[Any, Any]", resume)))
    _BARE.set(resume is not None and not by_id)


def _is_interrupt_id(key: object) -> bool:
    return isinstance(key, str) and len(key) == 32 and all(letter in "0123456789abcdef" for letter in key)


class Answers:
    """The answers that one tool node has been given, and which call took which; shared by its calls."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.takers: list[str] | None = None


class Questions:
    """The questions of one call, in one run of its task.

    Args:
        execution: the call.
        said: the configuration that the tool is called with (its `configurable`).
        answers: shared by the calls of one tool node; None where nothing else runs beside this call.
    """

    def __init__(self, execution: Execution, said: Mapping[str, Any], answers: Answers | None) -> None:
        self._guard: Guardrail = execution.guard
        self._call = execution.call
        self._place = execution.place
        self._said = said
        self._scratchpad = said[_SCRATCHPAD]
        self._answers = answers
        self._own: list[Any] = self._taken(answers) if answers is not None else self._scratchpad.resume
        self._kept = len(self._own)
        self._asks = False
        self.asked = 0

    @property
    def configurable(self) -> dict[str, Any]:
        """What the tool is called with, so that it sees its own answers and nobody else's."""
        own = replace(
            self._scratchpad,
            resume=self._own,
            interrupt_counter=self._next_number,
            get_null_resume=self._new_answer,
        )
        if self._answers is None:
            return {**self._said, _SCRATCHPAD: own}
        return {**self._said, _SCRATCHPAD: own, _SEND: self._send}

    def identified(self, interrupt: GraphInterrupt) -> GraphInterrupt:
        """The interrupt, with an id of its own where it is this call's next question."""
        if self._answers is None or not self._asks:
            return interrupt  # an inner graph asks, or nobody else does beside this call
        (question,) = interrupt.args[0]
        named = Interrupt(question.value, self._id(), response_schema=question.response_schema)
        return GraphInterrupt((named,))

    def _id(self) -> str:
        """32 hex characters, which LangGraph takes for an interrupt id."""
        return digest(b"question", self._call.key.encode(), str(len(self._own)).encode())[:32]

    def _next_number(self) -> int:
        self.asked += 1
        if self._answers is None:
            number: int = self._scratchpad.interrupt_counter()
            return number
        self._asks = self.asked > len(self._own)
        return self.asked - 1

    def _new_answer(self, consume: bool = False) -> Any:
        """The answer to the question that the tool asks now, or that a graph inside of it asks; None = none yet."""
        by_id: Mapping[str, Any] = self._said.get(_RESUME_MAP) or {}
        if self._answers is not None and self._asks and self._id() in by_id:
            return by_id[self._id()]
        if self._scratchpad.get_null_resume(False) is not None and self._may_take():
            return self._scratchpad.get_null_resume(consume)
        return None

    def _may_take(self) -> bool:
        """Whether an answer that names no question can be this call's: it has asked before, and alone.

        Where several wait, LangGraph refuses such an answer.
        """
        return _BARE.get() is not False and self._guard.ledger.call(self._call.key).attempts > 1

    # -- which call took which answer ------------------------------------------------------------------

    def _takers(self, answers: Answers) -> list[str]:
        if answers.takers is None:
            known = (
                self._guard.ledger.recall(_owner(self._place, self._call), self._note)
                if self._scratchpad.resume
                else None
            )
            answers.takers = list(known or [])
        return answers.takers

    def _taken(self, answers: Answers) -> list[Any]:
        with answers.lock:
            given = zip(self._takers(answers), self._scratchpad.resume, strict=False)
            return [answer for taker, answer in given if taker == self._call.key]

    def _take(self, answers: Answers, answer: Any) -> None:
        given: list[Any] = self._scratchpad.resume
        with answers.lock:
            takers = self._takers(answers)
            del takers[len(given) :]
            takers += [""] * (len(given) - len(takers)) + [self._call.key]
            self._guard.ledger.remember(_owner(self._place, self._call), self._note, takers)
            given.append(answer)

    def _send(self, writes: Any) -> None:
        """LangGraph writes a task's answers down once they are valid, as one list: not this call's alone."""
        send: Callable[[Any], None] = self._said[_SEND]
        if self._answers is not None and any(name == _RESUME for name, _ in writes):
            for answer in self._own[self._kept :]:
                self._take(self._answers, answer)
            self._kept = len(self._own)
        send([(name, list(self._scratchpad.resume) if name == _RESUME else value) for name, value in writes])

    @property
    def _note(self) -> str:
        return f"answers {self._place.scope}"


def _owner(place: Place, call: Call) -> str:
    return place.thread or call.run


@contextmanager
def asking(
    config: RunnableConfig | None, execution: Execution | None, answers: Answers | None
) -> Generator[Questions | None]:
    """Let a tool that is called with this configuration ask its own questions, in place."""
    said: dict[str, Any] = (config or {}).get("configurable") or {}
    if config is None or execution is None or said.get(_SCRATCHPAD) is None:
        yield None
        return
    questions = Questions(execution, said, answers)
    config["configurable"] = questions.configurable
    try:
        yield questions
    finally:
        config["configurable"] = said


def remember_asked(guard: Guardrail, call: Call, place: Place, asked: int) -> None:
    """A call is over that asked on its own: note how many numbers of its task it has used up."""
    guard.ledger.remember(_owner(place, call), f"asked {call.key}", asked)


def pass_over(guard: Guardrail, call: Call, place: Place, config: RunnableConfig) -> None:
    """A call that is over is not run again: use up its numbers, so that the next question gets its own answer."""
    scratchpad = (config.get("configurable") or {}).get(_SCRATCHPAD)
    if scratchpad is not None and scratchpad.resume:
        for _ in range(guard.ledger.recall(_owner(place, call), f"asked {call.key}") or 0):
            scratchpad.interrupt_counter()
