"""Whoever waits for people learns of their answer soon, wherever they give it."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardrail.drivers import LOOK
from guardrail.errors import Rejected
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.waiting import Doorbell

ANSWER = """
import sys
from guardrail.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    (request,) = ledger.approvals("pending")
    ledger.vote(request.id, "ben", sys.argv[2], channel="test")
"""


def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


async def pay_later(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def answer_elsewhere(ledger: Ledger, path: Path, answer: str) -> threading.Thread:
    def work() -> None:
        while not ledger.approvals("pending"):
            time.sleep(0.01)
        subprocess.run([sys.executable, "-c", ANSWER, str(path), answer], check=True, timeout=60)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_longest_between_two_looks_is_well_below_half_a_second():
    assert LOOK <= 0.25


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_a_blocking_call_goes_on_once_another_process_has_answered(
    guard_that: Callable[..., Guardrail], ledger: Ledger, tmp_path: Path, answer: str
):
    tool = guard_that("ask").tool(pay, agent="payer")
    thread = answer_elsewhere(ledger, tmp_path / "guardrail.db", answer)
    try:
        if answer == "approve":
            assert tool(5) == "paid 5"
        else:
            with pytest.raises(Rejected):
                tool(5)
    finally:
        thread.join()


def test_a_task_goes_on_once_another_process_has_answered(
    guard_that: Callable[..., Guardrail], ledger: Ledger, tmp_path: Path
):
    tool: Any = guard_that("ask").tool(pay_later, agent="payer")
    thread = answer_elsewhere(ledger, tmp_path / "guardrail.db", "approve")
    try:
        assert asyncio.run(tool(5)) == "paid 5"
    finally:
        thread.join()


def test_an_answer_in_this_process_wakes_who_would_have_slept_on():
    bell, woken = Doorbell(), list[str]()

    async def task() -> None:
        await bell.wait_async(60)
        woken.append("task")

    def thread() -> None:
        bell.wait(60)
        woken.append("thread")

    waiting = [threading.Thread(target=thread), threading.Thread(target=asyncio.run, args=(task(),))]
    for one in waiting:
        one.start()
    while any(one.is_alive() for one in waiting):
        bell.ring()
        time.sleep(0.01)
    assert sorted(woken) == ["task", "thread"]


def test_nobody_waits_longer_than_he_asked():
    bell = Doorbell()
    bell.wait(0.01)
    asyncio.run(bell.wait_async(0.01))
