"""One caller: the whole line around a plain function, and the decision alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from measuring import Benchmark, Goal, Pair, Round, Scale, Stopwatch, in_turns
from raw import Commits, Evaluation, of_a_run
from scene import RUN_LENGTH, guarded, half_way, rehearse, turn_of

RAW: Final = "evaluation + one durable commit"
_BUFFERED: Final = Goal(name="one caller, outcome buffered", against=RAW, bound=2.0, aim=1.25)
_DURABLE: Final = Goal(name="one caller, both writes waited for", against=RAW, bound=2.8, aim=2.0)
_DECISION: Final = Goal(name="decision only, CPU", against="evaluation", bound=2.0, aim=1.3)


@contextmanager
def _calls(folder: Path, scale: Scale) -> Iterator[Round]:
    rehearsed = rehearse(folder)
    evaluate = Evaluation()
    with ExitStack() as opened:
        buffered = opened.enter_context(guarded(folder / "buffered.db", outcome="buffered"))
        durable = opened.enter_context(guarded(folder / "durable.db", outcome="durable"))
        commit = opened.enter_context(Commits.into(folder / "raw.db"))
        cases = {
            "raw": lambda stopwatch: of_a_run(rehearsed, evaluate, commit, stopwatch),
            "buffered": turn_of(buffered),
            "durable": turn_of(durable),
        }

        def measure() -> Mapping[str, Pair]:
            watches = in_turns(cases, scale.runs)
            raw = watches["raw"].wall
            return {
                _BUFFERED.name: Pair(ours=watches["buffered"].wall, raw=raw),
                _DURABLE.name: Pair(ours=watches["durable"].wall, raw=raw),
            }

        yield measure


@contextmanager
def _decisions(folder: Path, scale: Scale) -> Iterator[Round]:
    evaluate = Evaluation()
    with guarded(folder / "decision.db") as guard, guard.run(principal="user:anna") as run:
        call = half_way(guard, run)
        given = guard.judge.judge(call).given.decode()

        def ours(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                stopwatch.time(guard.decide, replace(call))  # nothing of it is computed yet

        def raw(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                stopwatch.time(evaluate, given)

        def measure() -> Mapping[str, Pair]:
            watches = in_turns({"ours": ours, "raw": raw}, scale.runs)
            return {_DECISION.name: Pair(ours=watches["ours"].cpu, raw=watches["raw"].cpu)}

        yield measure


BENCHMARKS: Final = (
    Benchmark(name="one-caller", goals=(_BUFFERED, _DURABLE), prepare=_calls),
    Benchmark(name="decision", goals=(_DECISION,), prepare=_decisions),
)
