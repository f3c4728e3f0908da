"""64 callers at once, threads or tasks: what group commit brings, and how near the interpreter's limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

from measuring import Benchmark, Goal, Pair, Round, Scale, rate
from raw import Commits, Evaluation, LockAndCommit, cpu_of
from scene import AGENT, ARGUMENTS, guarded, rehearse, send_money, send_money_async

from guardrail.guard import Guardrail

CALLERS: Final = 64
_LOCK: Final = "evaluation + admission statements, one commit a call, under a lock"
_LIMIT: Final = "1 / (CPU of an evaluation + CPU of a row in a group commit of 64)"
_THREADS: Final = Goal(name="64 threads, outcome buffered", against=_LOCK, bound=1.2, aim=2.0, unit="/s")
_THREADS_DURABLE: Final = Goal(
    name="64 threads, both writes waited for", against=_LOCK, bound=1.2, aim=2.0, unit="/s"
)
_TASKS: Final = Goal(name="64 asyncio tasks, outcome buffered", against=_LIMIT, bound=0.4, aim=0.6, unit="/s")
_TASKS_DURABLE: Final = Goal(
    name="64 asyncio tasks, both writes waited for", against=_LIMIT, bound=0.4, aim=0.6, unit="/s"
)


class Threads:
    """64 threads that do one thing many times, at once, again and again."""

    def __init__(self, prepared: Callable[[int], Callable[[int], Any]]) -> None:
        """Args: prepared: called in every thread with its number; gives what that thread does `count` times."""
        self._prepared = prepared
        self._count = 0
        self._gate = threading.Barrier(CALLERS + 1)
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), daemon=True) for number in range(CALLERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self._gate.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.each(0)
        for thread in self._threads:
            thread.join()

    def each(self, count: int) -> None:
        """Every thread does its thing `count` times; 0 ends them."""
        self._count = count
        self._gate.wait()
        if count:
            self._gate.wait()

    def _serve(self, number: int) -> None:
        work = self._prepared(number)
        self._gate.wait()
        while True:
            self._gate.wait()
            if not self._count:
                return
            work(self._count)
            self._gate.wait()


class Guarded:
    """A guard whose callers each have a run of their own; that runs begin is not part of a call."""

    def __init__(self, guard: Guardrail) -> None:
        self.guard = guard
        self._send = guard.tool(send_money, agent=AGENT)
        self._send_async = guard.tool(send_money_async, agent=AGENT, name="send_money")
        self._runs: list[str] = []

    def begin(self) -> Guarded:
        """New runs for all callers."""
        self._runs.clear()
        for _ in range(CALLERS):
            with self.guard.run() as run:
                self._runs.append(run.id)
        return self

    def thread(self, number: int) -> Callable[[int], None]:
        """What one of the threads does."""

        def work(count: int) -> None:
            with self.guard.run(self._runs[number]):
                for _ in range(count):
                    self._send(**ARGUMENTS)

        return work

    async def tasks(self, count: int) -> None:
        """What all tasks do."""

        async def task(run: str) -> None:
            with self.guard.run(run):
                for _ in range(count):
                    await self._send_async(**ARGUMENTS)

        await asyncio.gather(*map(task, self._runs))


def _guards(opened: ExitStack, folder: Path) -> tuple[Guarded, Guarded]:
    """One guard that buffers outcomes, and one that waits for them."""
    buffered = opened.enter_context(guarded(folder / "buffered.db", outcome="buffered"))
    durable = opened.enter_context(guarded(folder / "durable.db", outcome="durable"))
    return Guarded(buffered), Guarded(durable)


@contextmanager
def _threads(folder: Path, scale: Scale) -> Iterator[Round]:
    rehearsed = rehearse(folder)
    with ExitStack() as opened:
        commit = opened.enter_context(LockAndCommit.into(folder / "raw.db"))

        def raw(_: int) -> Callable[[int], None]:
            evaluate = Evaluation()
            evaluate(rehearsed[0].given)

            def work(count: int) -> None:
                for number in range(count):
                    step = rehearsed[number % len(rehearsed)]
                    evaluate(step.given)
                    commit(step.row)

            return work

        locked = opened.enter_context(Threads(raw))
        cases = [(guard, opened.enter_context(Threads(guard.thread))) for guard in _guards(opened, folder)]

        def measure() -> Mapping[str, Pair]:
            calls = scale.calls
            limit = rate(CALLERS * calls, lambda: locked.each(calls))
            rates = []
            for guard, threads in cases:
                guard.begin()
                rates.append(rate(CALLERS * calls, lambda threads=threads: threads.each(calls)))
            buffered, durable = (Pair(ours=ours, raw=limit) for ours in rates)
            return {_THREADS.name: buffered, _THREADS_DURABLE.name: durable}

        measure()  # once for nothing: the evaluating thread and the files are there afterwards
        yield measure


@contextmanager
def _tasks(folder: Path, scale: Scale) -> Iterator[Round]:
    rehearsed = rehearse(folder)
    evaluate = Evaluation()
    rows = [rehearsed[number % len(rehearsed)].row for number in range(CALLERS)]
    with ExitStack() as opened:
        commit = opened.enter_context(Commits.into(folder / "raw.db"))
        guards = _guards(opened, folder)

        def limit() -> float:
            def evaluations() -> None:
                for _ in range(scale.runs):
                    for step in rehearsed:
                        evaluate(step.given)

            def commits() -> None:
                for _ in range(scale.runs):
                    commit.together(rows)

            evaluation = cpu_of(evaluations, scale.runs * len(rehearsed))
            return 1 / (evaluation + cpu_of(commits, scale.runs * CALLERS))

        def measure() -> Mapping[str, Pair]:
            raw = limit()
            rates = []
            for guard in guards:
                guard.begin()
                rates.append(
                    rate(CALLERS * scale.calls, lambda guard=guard: asyncio.run(guard.tasks(scale.calls)))
                )
            buffered, durable = (Pair(ours=ours, raw=raw) for ours in rates)
            return {_TASKS.name: buffered, _TASKS_DURABLE.name: durable}

        measure()
        yield measure


BENCHMARKS: Final = (
    Benchmark(name="threads", goals=(_THREADS, _THREADS_DURABLE), prepare=_threads),
    Benchmark(name="tasks", goals=(_TASKS, _TASKS_DURABLE), prepare=_tasks),
)
