"""A ledger, the key of its log, and where checkpoints are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from guardrail.ledger import Ledger
from guardrail.proofs.signing import FileSigner
from guardrail.proofs.testing import WitnessStandIn

ORIGIN = "example.com/guardrail"


@pytest.fixture(name="signer")
def _signer() -> FileSigner:
    return FileSigner.generate(ORIGIN)


@pytest.fixture(name="witness")
def _witness(signer: FileSigner) -> Iterator[WitnessStandIn]:
    with WitnessStandIn(signer.key) as witness:
        yield witness


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    """An empty Git repository."""
    folder = tmp_path / "repository"
    run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        yield ledger
