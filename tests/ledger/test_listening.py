"""Whoever waits for people is woken by an answer from another process, where the database is PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from collections.abc import Iterator

import pytest

from guardrail.errors import LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.sealing import SealingKey
from tests.ledger.lines import admit_asking, call
from tests.servers import server_or_skip, template

KEY = SealingKey(bytes(32))
FOREVER = 3600.0


@pytest.fixture(name="address")
def _address() -> Iterator[str]:
    with server_or_skip().database(template()) as address:
        yield address


def asked(ledger: Ledger, number: int = 1) -> str:
    found: str = ledger.write(admit_asking(call(number, run=f"run-{number}")), alone=True).approval.id  # type: ignore[union-attr, assignment]
    return found


def woken(ledger: Ledger, waits: threading.Thread, other: Ledger) -> None:
    """Answer in another process until whoever waits has heard of it."""
    waits.start()
    for number in itertools.count():
        if not waits.is_alive():
            return
        with contextlib.suppress(LedgerUnavailable):
            other.vote(asked(other, number + 100), "bob", "approve", channel="cli")
        waits.join(0.05)


def waiting_twice(ledger: Ledger) -> threading.Thread:
    """That it has begun to hear wakes it once; the second time needs an answer."""

    def wait() -> None:
        for _ in range(2):
            ledger.wait_for_answers(FOREVER)

    return threading.Thread(target=wait)


def test_a_vote_in_another_process_wakes_a_thread_that_waits(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger, Ledger.open(address, key=KEY) as other:
        woken(ledger, waiting_twice(ledger), other)


def test_it_wakes_a_task(address: str) -> None:
    async def waits(ledger: Ledger) -> None:
        for _ in range(2):
            await ledger.wait_for_answers_async(FOREVER)

    with Ledger.open(address, key=KEY) as ledger, Ledger.open(address, key=KEY) as other:
        woken(ledger, threading.Thread(target=lambda: asyncio.run(waits(ledger))), other)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_fork_meanwhile_changes_nothing(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        approval = asked(ledger)
        ledger.wait_for_answers(0.0)  # it listens from now on
        child = os.fork()
        if child == 0:
            ledger.vote(approval, "bob", "approve", channel="cli")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with Ledger.open(address, key=KEY) as other:  # the fork has ended its listening: it is begun anew
            woken(ledger, waiting_twice(ledger), other)
