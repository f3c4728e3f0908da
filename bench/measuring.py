"""How everything here is measured: in rounds, beside its raw baseline, as ratios of medians.

A figure in milliseconds says more about the machine than about the software. So every case runs in
short turns with its baseline, in the same process and on the same disk, and only ratios are compared.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Literal

Unit = Literal["s", "/s"]
"""Seconds a call (less is better), or calls a second (more is better)."""


class Stopwatch:
    """Times the calls of one case in one round, one by one: wall time and CPU time of the process."""

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._cpu = 0.0

    def time(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do the work and note how long it took."""
        cpu, began = process_time(), perf_counter()
        result = work(*args)
        self._wall.append(perf_counter() - began)
        self._cpu += process_time() - cpu
        return result

    async def time_async(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """The same for what has to be awaited."""
        cpu, began = process_time(), perf_counter()
        result = await work(*args)
        self._wall.append(perf_counter() - began)
        self._cpu += process_time() - cpu
        return result

    @property
    def wall(self) -> float:
        """Median of the wall times, in seconds."""
        return median(self._wall)

    @property
    def cpu(self) -> float:
        """Mean CPU time of a call, in seconds."""
        return self._cpu / len(self._wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case and its baseline, of one round, in the unit of the goal."""

    ours: float
    raw: float

    @property
    def ratio(self) -> float:
        """The case over its baseline."""
        return self.ours / self.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What one row of the table promises.

    Attributes:
        name: of the row.
        against: what the ratio is over.
        bound: what the ratio must keep.
        aim: what it should reach.
        unit: of both sides. Of seconds the ratio is at most the bound, of rates at least.
    """

    name: str
    against: str
    bound: float
    aim: float | None = None
    unit: Unit = "s"

    @property
    def sign(self) -> str:
        """How ratio and bound are compared."""
        return "≤" if self.unit == "s" else "≥"

    def met(self, ratio: float, limit: float) -> bool:
        """Whether the ratio keeps a limit."""
        return ratio <= limit if self.unit == "s" else ratio >= limit


@dataclass(kw_only=True)
class Row:
    """One row: its goal and what the rounds gave."""

    goal: Goal
    pairs: list[Pair] = field(default_factory=list)
    note: str = ""

    @property
    def ratio(self) -> float:
        """Median of the ratios of the rounds."""
        return median(pair.ratio for pair in self.pairs)

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        return self.goal.met(self.ratio, self.goal.bound)

    def as_json(self) -> dict[str, Any]:
        """The row of the results."""
        goal = self.goal
        return {
            "name": goal.name,
            "ratio": round(self.ratio, 3),
            "bound": goal.bound,
            "holds": self.holds,
            "aim": goal.aim,
            "sign": goal.sign,
            "against": goal.against,
            "unit": goal.unit,
            "ours": median(pair.ours for pair in self.pairs),
            "raw": median(pair.raw for pair in self.pairs),
            "rounds": [round(pair.ratio, 3) for pair in self.pairs],
            "note": self.note,
        }


Round = Callable[[], Mapping[str, Pair]]
"""Measures once: the name of every row → its pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Rows that are measured together.

    Attributes:
        name: what `--only` selects.
        goals: the rows.
        prepare: given an empty folder and a scale, sets everything up, gives the round, clears up.
        note: what a reader has to know, given the scale.
    """

    name: str
    goals: Sequence[Goal]
    prepare: Callable[[Path, Scale], AbstractContextManager[Round]]
    note: Callable[[Scale], str] = lambda _: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: how often every row is measured.
        runs: runs of one case in a round where calls are timed one by one.
        calls: calls of each of the 64 callers in a round.
        records: stored records of the large ledger.
        verified: records of the ledger that is verified.
        recomputed: records of the history that is recomputed.
        quick: this is a sample: its rows are fewer than the design asks for.
    """

    rounds: int = 5
    runs: int = 10
    calls: int = 20
    records: int = 1_000_000
    verified: int = 100_000
    recomputed: int = 100_000
    quick: bool = False


def in_turns(cases: Mapping[str, Callable[[Stopwatch], None]], turns: int) -> dict[str, Stopwatch]:
    """Give every case its turn, again and again, each time another one first."""
    watches = {name: Stopwatch() for name in cases}
    names = list(cases)
    with undisturbed():
        for turn in range(turns):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                cases[name](watches[name])
    return watches


@contextmanager
def undisturbed() -> Iterator[None]:
    """Measure without paying for garbage of others: it is collected before."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def rate(count: int, work: Callable[[], Any]) -> float:
    """How many a second, when `work` does `count` of them."""
    with undisturbed():
        began = perf_counter()
        work()
        return count / (perf_counter() - began)
