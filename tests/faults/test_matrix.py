"""Whatever fails: nothing runs that was not admitted, nothing admitted is lost, and the culprit is named."""

from pathlib import Path

import pytest

from tests.faults.fault import Fault
from tests.faults.matrix import FAULTS, happened


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.part}: {fault.name}") for fault in FAULTS])
def test_a_fault_under_load(fault: Fault, tmp_path: Path):
    row = happened(fault, tmp_path)
    assert row.lost == ()
    assert set(row.answers) <= fault.answers
    assert set(row.answers) & fault.answers
    assert fault.says in row.sign["text"]
    assert row.sign["fix"]
    assert row.exit_code == fault.exit_code
