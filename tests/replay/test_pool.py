"""Several processes: the same result as one, whoever is lost."""

import multiprocessing
import os
from pathlib import Path

import pytest

from guardrail.errors import ConfigError, LedgerError
from guardrail.replay.pool import in_processes, recompute_all
from guardrail.replay.recompute import Recomputation
from tests.replay.scene import history


def test_two_processes_find_what_one_does(folder: Path):
    assert recompute_all(history(folder), processes=2, size=10) == recompute_all(history(folder))


def test_what_a_lost_process_was_about_to_do_is_done_again(folder: Path):
    read = history(folder)
    found = in_processes(read, read.stretches(4), 2)
    parts = [next(found)]
    for child in multiprocessing.active_children():
        child.kill()
    parts += found
    assert Recomputation.of(parts) == recompute_all(read)


def test_processes_that_are_lost_again_and_again_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guardrail.replay.pool.recompute", ends_its_process)
    read = history(folder)
    with pytest.raises(LedgerError, match="lost 3 times in a row"):
        list(in_processes(read, read.stretches(10), 2))


def ends_its_process(*_: object) -> None:
    os._exit(9)


def test_nobody_is_too_few(folder: Path):
    with pytest.raises(ConfigError, match="somebody has to recompute"):
        recompute_all(history(folder), processes=0)
