"""Where Rego is evaluated: an interpreter may not cross threads, and making one costs milliseconds.

The main thread and a thread that runs an asyncio loop evaluate in place, each with interpreters of its
own. Every other thread may be short-lived (LangGraph starts new ones at every step), so it hands its
question to one long-lived thread. A forked child starts afresh.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import weakref
from dataclasses import dataclass, field
from queue import SimpleQueue
from time import perf_counter
from typing import Final

from guardrail.bundles import Bundle
from guardrail.rego.interpreter import ENTRYPOINT, Interpreter, RegoError, RegoPanicError

STACK_BYTES: Final = 64 * 1024 * 1024
"""Stack of the evaluating thread: deeply chained rules need more than threads get by default."""
_KEPT: Final = 8
"""Interpreters that a thread keeps: the active bundle, the one before it, and other policies' bundles."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the interpreter said, as JSON text, and the seconds that it took to say it."""

    text: str
    seconds: float


class _Interpreters:
    """The interpreters of one thread, by bundle revision."""

    def __init__(self) -> None:
        self._owner = threading.get_ident()
        self._by_revision: dict[str, Interpreter] = {}

    def answer(self, bundle: Bundle, given: str, rule: str) -> Answer:
        """Ask the bundle's interpreter for the value of a rule; it is made here at its first question.

        Raises:
            RegoError: it raised; a broken interpreter is dropped.
        """
        interpreter = self._by_revision.get(bundle.revision)
        if interpreter is None:
            interpreter = self._by_revision[bundle.revision] = Interpreter.of(bundle)
            while len(self._by_revision) > _KEPT:
                del self._by_revision[next(iter(self._by_revision))]
        started = perf_counter()
        try:
            return Answer(interpreter.answer(given, rule), perf_counter() - started)
        except RegoPanicError:
            del self._by_revision[bundle.revision]
            raise

    def __del__(self) -> None:
        if threading.get_ident() != self._owner:
            # A forked child clears away the threads that it lost. Their interpreters may not be dropped
            # by another thread, so they are left in memory.
            for interpreter in self._by_revision.values():
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(interpreter))


class _Local(threading.local):
    def __init__(self) -> None:
        self.interpreters = _Interpreters()


class Evaluator:
    """Answers questions to bundles, each on the thread that is right for whoever asks."""

    def __init__(self) -> None:
        self._closed = False
        self.start_afresh()
        _EVALUATORS.add(self)

    def start_afresh(self) -> None:
        """Forget the long-lived thread: a forked child does not have it."""
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    def answer(self, bundle: Bundle, given: str, rule: str = ENTRYPOINT) -> Answer:
        """Ask for a bundle's decision about an input, or for the value of another rule.

        Raises:
            RegoError: the policy raised or broke, or this is closed.
        """
        if self._closed:
            raise RegoError("the policy is closed")
        if _evaluates_here():
            return _local.interpreters.answer(bundle, given, rule)
        question = _Question(bundle, given, rule)
        with self._lock:
            worker = self._alive()
            worker.questions.put(question)
        return question.wait(worker.thread)

    def close(self) -> None:
        """End the long-lived thread once it has answered what was asked; it drops its own interpreters."""
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    def _alive(self) -> _Worker:
        """The long-lived thread, started where it is not running. The lock is held."""
        if self._closed:
            raise RegoError("the policy is closed")
        if self._worker is None or not self._worker.thread.is_alive():
            self._worker = _Worker()
            weakref.finalize(self, self._worker.stop)  # also at exit, before the thread is cut off
        return self._worker


@dataclass(slots=True, eq=False)
class _Question:
    """What another thread wants to know. `done` is locked until it is answered."""

    bundle: Bundle
    given: str
    rule: str
    answer: Answer | None = None
    failure: RegoError | None = None
    done: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.done.acquire()

    def ask(self, interpreters: _Interpreters) -> None:
        """Answer it, on the thread of the interpreters."""
        try:
            self.answer = interpreters.answer(self.bundle, self.given, self.rule)
        except RegoError as error:
            self.failure = error.with_traceback(
                None
            )  # its frames would carry the interpreter to another thread
        finally:
            self.done.release()

    def wait(self, thread: threading.Thread) -> Answer:
        """The answer, once it is there."""
        while not self.done.acquire(timeout=1.0):
            if not thread.is_alive():
                break
        if self.failure is not None:
            raise self.failure
        if self.answer is None:
            raise RegoError("the evaluating thread ended without an answer")
        return self.answer


class _Worker:
    """The long-lived thread, with interpreters of its own."""

    def __init__(self) -> None:
        self.questions: SimpleQueue[_Question | None] = SimpleQueue()
        self.thread = threading.Thread(
            target=_serve, args=(self.questions,), name="guardrail-rego", daemon=True
        )
        with _stack_lock:  # the size is a setting of the whole process, for the threads that start next
            before = threading.stack_size(STACK_BYTES)
            try:
                self.thread.start()
            except RuntimeError as error:
                raise RegoError(f"no thread could be started to evaluate the policy: {error}") from error
            finally:
                threading.stack_size(before)

    def stop(self) -> None:
        """Let it answer what it was asked before, and end."""
        self.questions.put(None)
        if threading.current_thread() is not self.thread:
            self.thread.join()


def _serve(questions: SimpleQueue[_Question | None]) -> None:
    interpreters = _Interpreters()
    while (question := questions.get()) is not None:
        question.ask(interpreters)
        del question  # else it would be kept, with its input, until the next one


def _evaluates_here() -> bool:
    if threading.get_ident() == threading.main_thread().ident:
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _after_fork() -> None:
    """A child owns none of its parent's threads, and no lock that one of them may have held."""
    global _stack_lock  # noqa: PLW0603  a lock cannot be made new in place
    _stack_lock = threading.Lock()
    _local.interpreters = _Interpreters()
    for evaluator in _EVALUATORS:
        evaluator.start_afresh()


_local = _Local()
_stack_lock = threading.Lock()
_EVALUATORS: Final[weakref.WeakSet[Evaluator]] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
