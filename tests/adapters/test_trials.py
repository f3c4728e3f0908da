"""Parallel calls, answered in any order, over restarts: every effect once, no answer to another call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.trial import Trial

MAX_STEPS = 12


def run_trial(trial: Trial, step: Callable[[], list[str] | None]) -> None:
    answers = None
    for _ in range(MAX_STEPS):
        answers = step()
        assert len(trial.effects) == len(set(trial.effects))
        assert set(trial.effects) <= set(trial.expected_effects())
        if answers is not None:
            break
    assert answers == trial.expected_answers()
    assert sorted(trial.effects) == trial.expected_effects()


@pytest.mark.parametrize("seed", range(72))
def test_calls_answered_in_any_order(tmp_path: Path, seed: int) -> None:
    """Guard, graph, ledger and checkpoints are opened anew from files for every step."""
    trial = Trial(tmp_path, seed)
    run_trial(trial, trial.step)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(72 if os.environ.get("GUARDRAIL_SOAK") else 4))
def test_calls_answered_in_any_order_by_a_fresh_process_for_every_step(tmp_path: Path, seed: int) -> None:
    def step() -> list[str] | None:
        command = [sys.executable, "-m", "tests.adapters.trial", str(tmp_path), str(seed)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        answers: list[str] | None = json.loads(done.stdout)
        return answers

    run_trial(Trial(tmp_path, seed), step)
