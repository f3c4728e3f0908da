"""The pool: a history recomputed by several processes, each of which reads stretches of it by itself.

The result is that of one process, whatever comes in which order and whoever is lost on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Final, Literal

from guardrail.checks import check_choice
from guardrail.errors import ConfigError, LedgerError
from guardrail.replay.cluster import on_ray
from guardrail.replay.history import History, Stretch
from guardrail.replay.recompute import Progress, Recomputation, recompute

Engine = Literal["processes", "ray"]
"""Who works: processes of this computer, or a Ray cluster."""

STRETCH: Final = 10_000
"""Places that are read at once: seconds of work, so that little is lost with a worker."""
_PATIENCE: Final = 3
"""How often in a row all workers may be lost with nothing done."""


def recompute_all(
    history: History,
    *,
    processes: int = 1,
    engine: Engine = "processes",
    size: int = STRETCH,
    progress: Callable[[int, int | None], None] | None = None,
) -> Recomputation:
    """Recompute every decision of a history.

    Args:
        history: where to read.
        processes: how many work; 1 = this one alone.
        engine: who works: processes of this computer, or a Ray cluster.
        size: places that one of them reads at once.
        progress: told how many records of how many were passed; of one run, it is not known of how many.

    Raises:
        LedgerUnavailable: the ledger or its key cannot be read.
        LedgerError: workers are lost again and again.
        ConfigError: nobody is to work, or Ray is and is not here.
    """
    check_choice("engine", engine, Engine)
    if processes < 1:
        raise ConfigError("somebody has to recompute", fix="give at least one process")
    stretches = history.stretches(size)
    total = sum(map(len, stretches)) if history.run is None else None
    done = 0

    def passed(records: int) -> None:
        nonlocal done
        done += records
        if progress is not None:
            progress(done, total)

    if engine == "ray":
        found = Recomputation.of(_told(on_ray(history, stretches, processes), passed))
    elif processes == 1 or len(stretches) == 1:
        found = Recomputation.of([recompute(history, stretch, passed) for stretch in stretches])
    else:
        found = Recomputation.of(_told(in_processes(history, stretches, processes), passed))
    gone = history.pruned()
    return found if gone is None else replace(found, pruned=gone.records)


def _told(found: Iterator[Recomputation], passed: Progress) -> Iterator[Recomputation]:
    for part in found:
        passed(part.records)
        yield part


def in_processes(history: History, stretches: Sequence[Stretch], processes: int) -> Iterator[Recomputation]:
    """Recompute stretches in new processes of this computer, in any order.

    They are started afresh, not forked: an interpreter of policies may not be carried over. What a lost one was
    about to do is done again.

    Raises:
        LedgerError: all were lost again and again, with nothing done in between.
    """
    left, lost = set(stretches), 0
    while left:
        before = len(left)
        pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
        try:
            asked = {pool.submit(recompute, history, stretch): stretch for stretch in sorted(left)}
            yield from _answers(asked, left)
        except BrokenProcessPool as error:
            lost = 0 if len(left) < before else lost + 1
            if lost == _PATIENCE:
                raise LedgerError(
                    f"the processes that recompute were lost {lost} times in a row",
                    fix="look at what they have printed and into the system's log (memory?); a script that starts them "
                    'does so under `if __name__ == "__main__":`',
                ) from error
        finally:
            pool.shutdown(
                cancel_futures=True
            )  # whoever interrupts this waits for what is under way, not for all


def _answers(asked: dict[Future[Recomputation], Stretch], left: set[Stretch]) -> Iterator[Recomputation]:
    """What comes back; what has come is no longer left."""
    for future in as_completed(asked):
        found = future.result()
        left.remove(asked[future])
        yield found
