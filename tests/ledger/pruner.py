"""Processes of the tests that kill a prune: one that prunes until it is killed, one that writes calls meanwhile."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path

from guardrail.ledger import Ledger, pruning
from guardrail.ledger.pruning import Wish
from tests.ledger.lines import call, ran
from tests.ledger.victim import dies_after
from tests.servers import place_in

NOW = datetime(2027, 8, 15, 12, tzinfo=UTC)
"""By the clock of everybody here."""
pruning._AT_ONCE = 20


def opened(folder: Path) -> Ledger:
    """The ledger of a folder, as of that time."""
    os.chdir(folder)  # where the key of a ledger is that is no file
    return Ledger.open(place_in(folder), clock=lambda: NOW, wait=30.0)


def wish(before: datetime) -> Wish:
    return Wish(by="olga", before=before, without_checkpoint=True)


def prune(folder: Path, before: datetime, steps: int) -> None:
    """Target of a process: prune, and die at this step of the ledger's code."""
    ledger = opened(folder)
    dies_after(steps)
    ledger.pruning.declare(wish(before))
    ledger.pruning.finish()
    ledger.close()


def write(folder: Path, number: int) -> None:
    """Target of a process: run calls until it is killed; each is a line in a file once it is settled."""
    ledger = opened(folder)
    with (folder / "written").open("ab", buffering=0) as file:
        for name in itertools.count():
            of = call(name, run=f"live-{number}")
            ran(ledger, of)
            file.write(of.key.encode() + b"\n")
