"""The matrix: every fault under the same load, and what became of every call.

python -m tests.faults.matrix NUMBER FOLDER    one row, in a process of its own; printed as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from guardrail.cli.app import app
from tests.faults import bundles, clocks, collecting, opa, postgres, sqlite
from tests.faults.fault import Fault
from tests.faults.load import Load, account

ROOT: Final = Path(__file__).parents[2]
FAULTS: Final[Sequence[Fault]] = (
    *opa.FAULTS, *sqlite.FAULTS, *postgres.FAULTS, *collecting.FAULTS, *bundles.FAULTS, *clocks.FAULTS
)  # fmt: skip
ANSWERS: Final = 200 if os.environ.get("GUARDRAIL_SOAK") else 3
"""How many answers of the expected kind each caller gets before, while and after the fault."""
_CUT: Final = frozenset({"returned", "unknown"})
"""What callers may get also while a fault lasts: those whose call was admitted before it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of a fault.

    Attributes:
        answers: what callers got while it lasted.
        admitted: calls, as `Accounts` has them, and so on.
        sign: what `guardrail doctor` said of the culprit meanwhile.
        exit_code: its exit code.
    """

    answers: tuple[str, ...]
    admitted: int
    denied: int
    unknown: int
    lost: tuple[str, ...]
    sign: dict[str, str]
    exit_code: int


def happened(fault: Fault, folder: Path) -> Row:
    """Let a fault happen in an empty folder."""
    return _elsewhere(fault, folder) if fault.alone else _here(fault, folder)


def _here(fault: Fault, folder: Path) -> Row:
    effects = folder / "effects"
    with fault.scene(folder) as scene:
        load = Load(scene.guard, effects)
        with load.running():
            load.until(_has({"returned"}))
            before = set(load.answers)
            scene.strike()
            load.until(_has(fault.answers, 1 if fault.is_slow else ANSWERS))
            sign, exit_code = _doctor(fault, folder)
            during = {answer for made, answer in load.answers.copy().items() if made not in before}
            scene.mend()
            load.until(_has({"returned"}))
        accounts = account(scene.place, load, effects)
    return Row(
        answers=tuple(sorted(during - (_CUT - fault.answers))), admitted=accounts.admitted, denied=accounts.denied,
        unknown=accounts.unknown, lost=accounts.lost, sign=sign, exit_code=exit_code,
    )  # fmt: skip


def _has(wanted: Collection[str], times: int = ANSWERS) -> Callable[[Sequence[str]], bool]:
    return lambda answers: sum(answer in wanted for answer in answers) >= times


def _doctor(fault: Fault, folder: Path) -> tuple[dict[str, str], int]:
    """What the doctor says of the culprit: the worst of the signs about it."""
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(folder / "guardrail.toml")])
    signs: list[dict[str, str]] = json.loads(result.stdout)["signs"]
    found = [sign for sign in signs if sign["about"] == fault.about and sign["state"] == fault.state]
    if not found:
        bad = [sign for sign in signs if sign["state"] not in {"ok", "note"}]
        raise AssertionError(f"the doctor does not name the culprit: {bad}")
    return found[0], result.exit_code


def _elsewhere(fault: Fault, folder: Path) -> Row:
    command = [sys.executable, "-m", "tests.faults.matrix", str(FAULTS.index(fault)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Row(**{**row, "answers": tuple(row["answers"]), "lost": tuple(row["lost"])})


if __name__ == "__main__":
    print(json.dumps(asdict(_here(FAULTS[int(sys.argv[1])], Path(sys.argv[2])))))
