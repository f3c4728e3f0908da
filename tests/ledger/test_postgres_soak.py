"""4 processes of 16 threads, and the server is killed and started again in the middle: nothing lost, nothing twice.

`make test` runs a sample; `GUARDRAIL_SOAK=1` (`make soak`) runs five minutes of it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.admission import Admission, Settled, Stopped, Ticket
from guardrail.errors import LedgerError
from guardrail.ledger import Ledger
from guardrail.sealing import SealingKey
from tests.ledger.lines import admit, budget, call, settle
from tests.ledger.victim import act
from tests.servers import Server, server_or_skip, stranger

KEY = SealingKey(bytes(32))
SECONDS = 300.0 if os.environ.get("GUARDRAIL_SOAK") else 0.0
LEAST = 150
"""Effects before the server is killed, and after."""
MONEY = 400 + 1000 * int(SECONDS)
"""A budget that all of them share; in the sample it is used up."""
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.ledger.test_postgres_soak"])


@pytest.fixture(name="own")
def _own() -> Iterator[Server]:
    server = Server(server_or_skip().binaries)
    yield server
    server.close()


def crew(address: str, folder: Path, number: int) -> None:
    """Target of a process: 16 threads, until a file says stop. What they are told is written down."""
    with Ledger.open(address, key=KEY, wait=20.0) as ledger:
        threads = [
            threading.Thread(target=_work, args=(ledger, folder, number, thread)) for thread in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _work(ledger: Ledger, folder: Path, process: int, thread: int) -> None:
    told: Counter[str] = Counter()
    for turn in itertools.count():
        if (folder / "stop").exists():
            break
        # Every second call is tried by the same thread of every process at about the same time.
        own = turn % 2
        of = call(f"{process if own else 'all'}-{thread}-{turn}", run="own" if own else "shared")
        try:
            answer: Admission = ledger.write(admit(of, budget(MONEY, scope="all/calls")), alone=False)
            told[type(answer).__name__] += 1
            if not isinstance(answer, Ticket):
                continue
            act(folder / "effects", of)
            if ledger.write(settle(of, answer), alone=False) == "settled":
                act(folder / "settled", of)
        except LedgerError as error:
            told[type(error).__name__] += 1
    with (folder / "told").open("a") as file:
        file.writelines(f"{name} {count}\n" for name, count in told.items())


def _keys(path: Path) -> Counter[str]:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def _until(folder: Path, effects: int, seconds: float) -> None:
    """Until so much was done, and for so long."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds or _keys(folder / "effects").total() < effects:
        assert time.monotonic() < begun + seconds + 120
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_server_that_is_killed_in_the_middle_loses_nothing_and_repeats_nothing(own: Server, tmp_path: Path):
    with own.database() as address:
        Ledger.open(address, key=KEY).close()
        processes = [_context.Process(target=crew, args=(address, tmp_path, n)) for n in range(4)]
        for process in processes:
            process.start()
        _until(tmp_path, LEAST, SECONDS / 2)
        own.kill()
        before = _keys(tmp_path / "effects").total()
        own.start()
        _until(tmp_path, min(before + LEAST, MONEY), SECONDS / 2)
        (tmp_path / "stop").touch()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        check(address, tmp_path)


def check(address: str, folder: Path) -> None:
    effects, settled = _keys(folder / "effects"), _keys(folder / "settled")
    with Ledger.open(address, key=KEY) as ledger:
        calls = {found.key: found for run in ("own", "shared") for found in ledger.calls(run)}
        verification = ledger.verify()
        answers = [ledger.write(admit(call(f"all-{n}-0", run="shared")), alone=True) for n in range(16)]
        with stranger(address) as connection:
            (used,) = connection.execute("SELECT used FROM budgets WHERE scope = 'all/calls'").fetchone()
    assert verification.ok, verification.claim
    assert {key for key, count in effects.items() if count > 1} == set(), "nothing runs twice"
    assert effects.keys() - calls.keys() == set(), "nothing runs that was not admitted"
    assert {calls[key].state for key in settled} == {"returned"}, "nothing is lost that was told to be kept"
    ran = {key for key, found in calls.items() if found.state in ("returned", "unknown")}
    assert settled.keys() <= effects.keys() <= ran
    assert (used, used <= MONEY) == (len(ran), True), "the budget is exact"
    told: Counter[str] = Counter()
    for line in (folder / "told").read_text().splitlines():
        name, _, count = line.partition(" ")
        told[name] += int(count)
    assert all(isinstance(answer, Settled | Stopped) for answer in answers)
    assert LEAST < len(effects) <= MONEY
    print(
        f"{len(effects)} effects, {len(settled)} settled:",
        Counter(found.state for found in calls.values()),
        told,
    )
