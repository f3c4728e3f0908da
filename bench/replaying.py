"""What a replay costs: recorded decisions made again, against a bare loop over the engine, and by two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import orjson
from generating import generate
from measuring import Benchmark, Goal, Pair, Round, Scale, undisturbed
from raw import Evaluation

from guardrail.replay.history import History, Stretch
from guardrail.replay.pool import recompute_all
from guardrail.replay.recorded import decision_in, may_decide

_ONE: Final = Goal(
    name="recompute, one process, CPU", against="a bare loop over the engine", bound=0.7, aim=0.85, unit="/s"
)
_TWO: Final = Goal(name="recompute, two processes", against="one process", bound=1.7, unit="/s")


def _inputs(history: History) -> list[str]:
    """The recorded policy inputs, ready to be evaluated."""
    with history.opened() as reading:
        entries = reading.entries(Stretch(), may_decide)
        found = [decision_in(entry) for entry in entries if entry is not None]
    return [orjson.dumps(recorded.given).decode() for recorded in found if recorded is not None]


def _rate(count: int, clock: Callable[[], float], work: Callable[[], object]) -> float:
    with undisturbed():
        began = clock()
        work()
        return count / (clock() - began)


@contextmanager
def _recomputing(folder: Path, scale: Scale) -> Iterator[Round]:
    file = folder / "history.db"
    generate(file, scale.recomputed)
    history = History(path=file, key=folder / "history.db.key")
    inputs, evaluate = _inputs(history), Evaluation()
    found = recompute_all(history)
    found.require()
    decisions = found.equal

    def bare() -> None:
        for given in inputs:
            evaluate(given)

    def measure() -> Mapping[str, Pair]:
        raw = _rate(len(inputs), process_time, bare)
        ours = _rate(decisions, process_time, lambda: recompute_all(history))
        size = scale.recomputed // 8
        one = _rate(decisions, perf_counter, lambda: recompute_all(history))
        two = _rate(decisions, perf_counter, lambda: recompute_all(history, processes=2, size=size))
        return {_ONE.name: Pair(ours=ours, raw=raw), _TWO.name: Pair(ours=two, raw=one)}

    yield measure


BENCHMARKS: Final = (
    Benchmark(
        name="recompute",
        goals=(_ONE, _TWO),
        prepare=_recomputing,
        note=lambda scale: f"{scale.recomputed:,} records of mixed runs; two processes are started each time",
    ),
)
