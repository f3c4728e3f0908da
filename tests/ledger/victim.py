"""A process that runs calls until it is killed; the crash tests start it, kill it and read what it left.

Its effect is one line in a file, flushed to the disk: the key of the call. Killed by itself it dies at the n-th
function call, return or C call inside guardrail's ledger, in whichever thread that happens; so every boundary
between two steps is reached, those inside a commit included.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from guardrail.admission import Ticket
from guardrail.errors import LedgerError
from guardrail.ledger import Ledger
from tests.ledger.lines import admit, budget, call, settle
from tests.servers import place_in

_LEDGER = os.sep + os.path.join("guardrail", "ledger") + os.sep


def dies_after(steps: int) -> None:
    """Die by SIGKILL at this step of the ledger's code."""
    left = itertools.count(steps, -1)

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if _LEDGER in frame.f_code.co_filename and next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(profile)
    sys.setprofile(profile)


def act(path: Path, of: Any) -> None:
    """The effect: durable once this returns."""
    with path.open("ab", buffering=0) as file:
        file.write(of.key.encode() + b"\n")
        os.fsync(file.fileno())


def work(folder: Path, run: str, seed: int, names: Any) -> None:
    """Run calls: some settled at once, some buffered, some that raise, some refused for their budget."""
    ledger = ledger_of(folder)
    dice = random.Random(seed)
    for name in names:
        of = call(name, run=run)
        try:
            reserved = budget(0 if dice.random() < 0.1 else 10**6, scope=f"{run}/calls")
            ticket = ledger.write(admit(of, reserved), alone=dice.random() < 0.5)
            if not isinstance(ticket, Ticket):
                continue
            act(folder / "effects", of)
            outcome = settle(of, ticket, "raised" if dice.random() < 0.1 else "returned")
            if dice.random() < 0.3:
                ledger.write_later(outcome)
            else:
                ledger.write(outcome, alone=dice.random() < 0.5)
        except LedgerError as error:
            (folder / "errors").open("a").write(f"{error}\n")


_ledgers: dict[Path, Ledger] = {}


def ledger_of(folder: Path) -> Ledger:
    """The process's ledger; leases are long, so that only death ends them."""
    if folder not in _ledgers:
        os.chdir(folder)  # where the key of a ledger is that is no file
        _ledgers[folder] = Ledger.open(place_in(folder), lease=60.0, wait=30.0)
    return _ledgers[folder]


def one_thread(folder: Path, run: str, seed: int, steps: int | None) -> None:
    """Target of a process: repeat the calls of the run from its beginning, then go on, until killed."""
    ledger_of(folder).start_run(run, principal=call().principal)
    if steps is not None:
        dies_after(steps)
    work(folder, run, seed, itertools.count())


def eight_threads(folder: Path, run: str, seed: int, steps: int | None) -> None:
    """Target of a process with eight threads over the same run; each has calls of its own, and all share some."""
    ledger_of(folder)
    if steps is not None:
        dies_after(steps)
    threads = [
        threading.Thread(
            target=work, args=(folder, run, seed + n, (f"{n % 4}-{i}" for i in itertools.count()))
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
