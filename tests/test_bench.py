"""The benchmarks run and say what they measured. What they measured is asserted nowhere: no test is a timed one."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"
KEYS = {
    "name", "ratio", "bound", "holds", "aim", "sign", "against", "unit", "ours", "raw", "rounds", "note",
}  # fmt: skip


def test_a_quick_run_writes_the_rows_it_was_asked_for(tmp_path: Path):
    file = tmp_path / "results.json"
    page = BENCH.parent / "docs" / "benchmarks.md"
    before = page.read_text()
    run = subprocess.run(
        [sys.executable, BENCH, "--quick", "--rounds", "1", "--only", "decision", "--json", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (0, False), run.stderr
    [row] = json.loads(file.read_text())
    assert (row.keys(), row["name"], row["bound"], len(row["rounds"])) == (KEYS, "decision only, CPU", 2.0, 1)
    assert row["holds"] == (row["ratio"] <= row["bound"])
    assert "a sample" in " ".join(run.stdout.split())  # the line is broken where the table is narrow
    assert page.read_text() == before


def test_a_benchmark_that_does_not_exist_is_refused_with_the_names_that_do():
    run = subprocess.run(
        [sys.executable, BENCH, "--only", "speed"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, "one-caller" in run.stderr) == (2, True)
