"""Several processes over one file: what is exact among threads is exact among them."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from guardrail.admission import Admission, InFlight, Settled, Ticket
from guardrail.calls import Call
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.sealing import SealingKey
from tests.ledger.lines import admit, budget, call, settle

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.ledger.victim"])

KEY = SealingKey(bytes(32))
PROCESSES, THREADS = 4, 8


def _crew(path: Place, number: int, pipe: Any) -> None:
    """Target of a process: eight threads that each try some calls, all let go at once by the test."""
    with Ledger.open(path, key=KEY, wait=60) as ledger, ThreadPoolExecutor(THREADS) as pool:

        def attempt(of: Call, *limits: Any) -> Admission:
            answer = ledger.write(admit(of, *limits), alone=False)
            if isinstance(answer, Ticket):
                assert ledger.write(settle(of, answer), alone=False) == "settled"
            return answer

        pipe.send("ready")
        pipe.recv()
        own = [call(f"{number}-{thread}", run=f"run-{number}") for thread in range(THREADS)]
        shared = [call(thread, run="shared") for thread in range(THREADS)]
        limited = pool.map(lambda of: attempt(of, budget(10)), own)
        raced = pool.map(attempt, shared)
        pipe.send((Counter(type(answer).__name__ for answer in limited), list(raced)))
        pipe.recv()  # nobody closes his ledger before the others have read their answers


def test_budgets_and_keys_are_exact_across_processes(path: Place) -> None:
    Ledger.open(path, key=KEY).close()
    pipes, processes = [], []
    for number in range(PROCESSES):
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_crew, args=(path, number, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    for word in ("ready", None):
        answers = [pipe.recv() for pipe in pipes]
        for pipe in pipes:
            pipe.send("go on")
        if word is not None:
            assert answers == [word] * PROCESSES
    for process in processes:
        process.join()
        assert process.exitcode == 0
    limited = sum((count for count, _ in answers), Counter[str]())
    assert limited == {"Ticket": 10, "Stopped": PROCESSES * THREADS - 10}
    for thread in range(THREADS):
        said = [raced[thread] for _, raced in answers]
        assert sum(isinstance(answer, Ticket) for answer in said) == 1
        done = Settled(status="returned", result=b'"ok"')
        assert all(
            isinstance(answer, Ticket) or answer in (InFlight(elsewhere=True), done) for answer in said
        )
    with Ledger.open(path, key=KEY) as ledger:
        assert {found.state for found in ledger.calls("shared")} == {"returned"}
        assert ledger.verify().ok
