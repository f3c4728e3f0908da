"""Killed at any point: every effect has its intent, none happened twice, and what is not known reads `unknown`.

`make test` runs a sample; `GUARDRAIL_SOAK=1` (`make soak`) runs 500 rounds of each.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from guardrail.admission import InFlight, Settled, Ticket
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from tests.ledger import victim
from tests.ledger.lines import admit, admitted, call, settle
from tests.servers import place_in

SOAK = bool(os.environ.get("GUARDRAIL_SOAK"))
ROUNDS = 500 if SOAK else 40


def rounds_on(place: Place) -> int:
    """A sample of the same on the other database."""
    return ROUNDS if SOAK or isinstance(place, Path) else ROUNDS // 4


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.ledger.victim"])


def check(folder: Path, runs: list[str]) -> Counter[str]:
    """The promises, after a crash."""
    effects = (
        Counter((folder / "effects").read_text().split()) if (folder / "effects").exists() else Counter[str]()
    )
    with Ledger.open(place_in(folder)) as ledger:
        calls = {found.key: found for run in runs for found in ledger.calls(run)}
        verification = ledger.verify()
        settled = {key: ledger.settled(key) for key in effects}
    assert verification.ok, verification.claim
    assert not (folder / "errors").exists(), (folder / "errors").read_text()
    assert {key for key, count in effects.items() if count > 1} == set()
    assert effects.keys() - calls.keys() == set()
    assert {calls[key].state for key in effects} <= {"returned", "raised", "unknown"}
    assert {found.state for found in calls.values()} <= {"returned", "raised", "unknown", "denied"}
    assert all(isinstance(answer, Settled) for answer in settled.values())
    return Counter(found.state for found in calls.values())


def kill(processes: list[Any]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
        assert process.exitcode == -signal.SIGKILL
        process.close()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_one_caller_killed_at_every_step(tmp_path: Path, path: Place) -> None:
    dice, rounds = random.Random(20260131), rounds_on(path)
    for turn in range(rounds):
        run = f"run-{turn // 4}"  # some runs are taken up again by the next victim: its calls must not run again
        steps = dice.randrange(4, 3000 if isinstance(path, Path) else 20_000) if turn % 4 else None
        process = _context.Process(target=victim.one_thread, args=(tmp_path, run, turn, steps))
        process.start()
        if steps is None:
            time.sleep(dice.uniform(0.0, 0.4))
            process.kill()
        process.join(60)
        kill([process])
        if turn % 5 == 4 or turn == rounds - 1:
            states = check(tmp_path, [f"run-{number}" for number in range(turn // 4 + 1)])
    assert states["unknown"] > rounds / 20
    assert states["returned"] > rounds / (4 if isinstance(path, Path) else 8)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_4_processes_of_8_threads_killed_at_any_time(tmp_path: Path, path: Place) -> None:
    dice, rounds = random.Random(20260201), rounds_on(path)
    runs = ["shared", "other"]
    Ledger.open(place_in(tmp_path)).close()
    for turn in range(rounds):
        processes = [
            _context.Process(
                target=victim.eight_threads,
                args=(tmp_path, runs[n % 2], turn * 100 + n, dice.randrange(10, 20_000) if n == 0 else None),
            )
            for n in range(4)
        ]
        for process in processes:
            process.start()
        enough = _size(tmp_path) + 65 * dice.randrange(1, 25)  # 65 bytes an effect
        _wait_for(lambda enough=enough, crew=processes: _size(tmp_path) > enough or not crew[1].is_alive())
        kill(processes)
        if turn % 5 == 4:
            states = check(tmp_path, runs)
    assert states["returned"] > rounds
    assert states["unknown"] > rounds


def _size(folder: Path) -> int:
    effects = folder / "effects"
    return effects.stat().st_size if effects.exists() else 0


def _hold(folder: Path, pipe: Any) -> None:
    """Target of a process: admit a call, wait to be let go, then settle it."""
    with Ledger.open(place_in(folder), lease=1.5) as ledger:
        ticket = admitted(ledger, call())
        pipe.send("ready")
        pipe.recv()
        settled = ledger.write(settle(call(), ticket), alone=True)
        pipe.send((settled, isinstance(ledger.write(admit(call(2)), alone=True), Ticket)))


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(name="holder")
def _holder(tmp_path: Path, path: Place) -> Any:
    pipe, theirs = _context.Pipe()
    process = _context.Process(target=_hold, args=(tmp_path, theirs))
    process.start()
    assert pipe.recv() == "ready"
    yield process, pipe
    process.kill()
    process.join()
    pipe.close()
    theirs.close()


def test_a_call_that_runs_elsewhere_is_in_flight_while_its_lease_is_renewed(
    tmp_path: Path, holder: Any
) -> None:
    _, pipe = holder
    with Ledger.open(place_in(tmp_path)) as ledger:
        time.sleep(3.2)  # more than two leases
        assert ledger.write(admit(call()), alone=True) == InFlight(elsewhere=True)
        assert ledger.settled(call().key) == InFlight(elsewhere=True)
        pipe.send("go on")
        assert pipe.recv() == ("settled", True)
        assert ledger.write(admit(call()), alone=True) == Settled(status="returned", result=b'"ok"')


def test_a_call_of_a_killed_process_is_unknown_at_once(tmp_path: Path, holder: Any) -> None:
    process, _ = holder
    with Ledger.open(place_in(tmp_path)) as ledger:
        assert ledger.calls("run")[0].state == "started"
        process.kill()
        process.join()
        assert ledger.calls("run")[0].state == "unknown"
        assert ledger.settled(call().key) == Settled(status="unknown")
        assert ledger.write(admit(call()), alone=True) == Settled(status="unknown")
        assert [record.kind for record in ledger.records("run")] == ["begun", "admitted", "settled"]
        assert ledger.verify().ok


def test_a_process_stopped_past_its_lease_settles_late_and_takes_another_log(
    tmp_path: Path, holder: Any
) -> None:
    process, pipe = holder
    with Ledger.open(place_in(tmp_path)) as ledger:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            _wait_for(lambda: ledger.calls("run")[0].state == "unknown")
            assert ledger.write(admit(call()), alone=True) == Settled(status="unknown")
            assert [log.id for log in ledger.status().logs] == [1]  # its log was taken over
        finally:
            pipe.send("go on")
            os.kill(process.pid, signal.SIGCONT)
        assert pipe.recv() == ("late", True)
        assert ledger.write(admit(call()), alone=True) == Settled(status="unknown")
        assert [log.id for log in ledger.status().logs] == [1, 2]
        assert "late" in [record.kind for record in ledger.records("run")]
        assert ledger.verify().ok
