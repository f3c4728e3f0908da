"""Whatever fails: nothing runs that was not admitted, nothing admitted is lost, and the culprit is named."""

from pathlib import Path

import pytest

from tests.faults.fault import Fault
from tests.faults.load import Load, Made, account
from tests.faults.matrix import FAULTS, happened
from tests.faults.project import project


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.part}: {fault.name}") for fault in FAULTS])
def test_a_fault_under_load(fault: Fault, tmp_path: Path):
    row = happened(fault, tmp_path)
    assert row.lost == ()
    assert set(row.answers) <= fault.answers
    assert set(row.answers) & fault.answers
    assert fault.says in row.sign["text"]
    assert row.sign["fix"]
    assert row.exit_code == fault.exit_code


def test_what_is_lost_is_found(tmp_path: Path):
    effects = tmp_path / "effects"
    with project(tmp_path) as (guard, ledger):
        load = Load(guard, effects)
        with load.running():
            load.until(lambda answers: len(answers) >= 2)
        assert account(ledger.path, load, effects).lost == ()
        first, second, *others = effects.read_text().splitlines()
        effects.write_text("\n".join([second, second, *others, "thread-0 1000000"]))
        load.answers["thread-0", 1_000_001] = "returned"
        assert set(account(ledger.path, load, effects).lost) == {
            f"{_made(first)} is said to have run, and has not",
            f"{_made(second)} ran 2 times",
            "('thread-0', 1000000) ran, and was not admitted",
            "('thread-0', 1000001) was told returned, and is not recorded",
        }


def _made(line: str) -> Made:
    caller, number = line.split()
    return caller, int(number)
