"""Measure the ratios of `docs/benchmarks.md`, each paired with its raw baseline in the same run.

    python bench [--rounds N] [--only NAME] [--quick] [--json PATH]

Exit code 1: the machine was too restless for the run to count. A bound that is not held is said in the
table and in `results.json`; it is no error of the run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asking
import many_callers
import one_caller
import postgres
import reading
import replaying
import stored
import toolnode
from measuring import Benchmark, Row, Scale
from raw import Commits, commit_seconds
from report import Machine, Results, table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
BENCHMARKS: Final = (
    *one_caller.BENCHMARKS, *toolnode.BENCHMARKS, *many_callers.BENCHMARKS, *stored.BENCHMARKS, *reading.BENCHMARKS,
    *replaying.BENCHMARKS, *asking.BENCHMARKS, *postgres.BENCHMARKS,
)  # fmt: skip
_QUICK: Final = Scale(
    rounds=3, runs=4, calls=8, records=50_000, verified=20_000, recomputed=8_000, quick=True
)


def main() -> int:
    """Measure what the command line asks for, print and keep it."""
    arguments = _arguments()
    scale = _QUICK if arguments.quick else Scale()
    rounds = arguments.rounds or scale.rounds
    chosen = [bench for bench in BENCHMARKS if not arguments.only or bench.name in arguments.only]
    machine = Machine.here()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=HERE) as folder:
        rows, commits = _measure(chosen, scale, rounds, Path(folder))
    results = Results(machine=machine, rows=rows, commits=commits, quick=arguments.quick)
    Console(width=None if sys.stdout.isatty() else 200).print(table(results))
    results.write(arguments.json)
    if results.valid and len(chosen) == len(BENCHMARKS) and not arguments.quick:
        results.write_into(PAGE)
    return 0 if results.valid else 1


def _measure(
    chosen: Sequence[Benchmark], scale: Scale, rounds: int, folder: Path
) -> tuple[list[Row], list[float]]:
    """All rows, and the raw commit before every round."""
    rows: list[Row] = []
    commits: list[float] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        Commits.into(folder / "probe.db") as commit,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("", total=len(chosen) * rounds)
        for bench in chosen:
            progress.update(bar, description=bench.name)
            found = {goal.name: Row(goal=goal, note=bench.note(scale)) for goal in bench.goals}
            own = folder / bench.name
            own.mkdir()
            with bench.prepare(own, scale) as measure:
                for _ in range(rounds):
                    commits.append(commit_seconds(commit))
                    for name, pair in measure().items():
                        found[name].pairs.append(pair)
                    progress.advance(bar)
            rows += found.values()
    return rows, commits


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python bench", description="Ratios to raw baselines.")
    names = [bench.name for bench in BENCHMARKS]
    add = parser.add_argument
    add("--rounds", type=_positive, metavar="N", help="how often every row is measured (5, quick: 3)")
    add(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"measure only this: {', '.join(names)}",
    )
    add("--quick", action="store_true", help="a sample: fewer calls and records; says so")
    add("--json", type=Path, default=HERE / "results.json", metavar="PATH", help="where the rows go")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
