"""What a run of the benchmarks leaves: a table, `results.json`, and the table of `docs/benchmarks.md`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measuring import Row
from rich.table import Table

from guardrail.ledger.sqlite import driver

MAX_DRIFT: Final = 2.0
"""A run whose raw commit varies more than this between rounds says nothing."""
_BEGIN: Final = "<!-- written by `make bench` -->"
_END: Final = "<!-- end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it was measured."""

    cpu: str
    cores: int
    python: str
    sqlite: str
    load: float

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        return cls(
            cpu=_cpu(), cores=os.cpu_count() or 0, python=platform.python_version(),
            sqlite=driver.sqlite_version, load=load,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, Python {self.python}, SQLite {self.sqlite}, load {self.load:.1f}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All rows of a run, and whether it counts.

    Attributes:
        commits: median seconds of a raw commit, before every round.
        quick: the run was a sample.
    """

    machine: Machine
    rows: Sequence[Row]
    commits: Sequence[float]
    quick: bool

    @property
    def drift(self) -> float:
        """The slowest raw commit over the fastest."""
        return max(self.commits) / min(self.commits)

    @property
    def valid(self) -> bool:
        """Whether the machine was quiet enough."""
        return self.drift <= MAX_DRIFT

    @property
    def verdict(self) -> str:
        """What the run says, in one sentence."""
        drift = f"the raw commit drifted {self.drift:.1f}x between rounds"
        if not self.valid:
            return f"INVALID: {drift} (at most {MAX_DRIFT:g}x): another job disturbed this run, its ratios say nothing"
        short = [row.goal.name for row in self.rows if not row.holds]
        held = f"{len(self.rows) - len(short)} of {len(self.rows)} bounds hold"
        return f"{held}; {drift}" + (f". Not held: {', '.join(short)}" if short else "")

    def as_json(self) -> list[dict[str, Any]]:
        """The rows of `results.json`."""
        return [row.as_json() for row in self.rows]

    def write(self, path: Path) -> None:
        """Write the rows."""
        path.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def write_into(self, page: Path) -> None:
        """Put the table between the marks of a Markdown page."""
        before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
        after = rest.partition(_END)[2]
        body = "\n".join(_markdown(self.as_json()))
        text = f"{before}{_BEGIN}\n\n{self.machine}; {self.verdict}.\n\n{body}\n\n{_END}{after}"
        page.write_text(text, encoding="utf-8")


def table(results: Results) -> Table:
    """The rows as a person reads them."""
    title = f"{results.machine}" + (" (quick: a sample, not the rows of the design)" if results.quick else "")
    shown = Table(title=title, title_justify="left", caption=results.verdict, caption_justify="left")
    for name in ("what", "against"):
        shown.add_column(name)
    for name in ("ours", "raw", "ratio", "rounds", "must", "aim", ""):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in results.as_json():
        *cells, holds = _cells(row)
        style = "green" if row["holds"] else "bold red"
        shown.add_row(*cells, f"[{style}]{holds}[/]")
    return shown


def _markdown(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    yield "| what | against | ours | raw | ratio | rounds | must | aim | |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---|"
    for row in rows:
        yield "| " + " | ".join(_cells(row)) + " |"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    sign, rounds = row["sign"], row["rounds"]
    name = f"{row['name']} ({row['note']})" if row["note"] else row["name"]
    aim = "" if row["aim"] is None else f"{sign} {row['aim']:g}"
    return (
        name, row["against"], _quantity(row["ours"], row["unit"]), _quantity(row["raw"], row["unit"]),
        f"{row['ratio']:.2f}", f"{min(rounds):.2f}-{max(rounds):.2f}", f"{sign} {row['bound']:g}", aim,
        "holds" if row["holds"] else "DOES NOT HOLD",
    )  # fmt: skip


def _quantity(value: float, unit: str) -> str:
    return f"{value * 1e6:,.0f} µs" if unit == "s" else f"{value:,.0f}/s"
