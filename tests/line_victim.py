"""A process that walks calls down the whole line until it is killed; `test_line_crashes.py` starts and kills it.

Killed by itself it dies at the n-th step of any of guardrail's code: before the decision, inside the
admission, between effect and outcome, inside the settlement. Its effect is one flushed line in a file.
"""

import asyncio
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from guardrail.boundaries import Boundaries, Boundary
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.rego import RegoPolicy
from tests.servers import place_in

_CODE = os.sep + "guardrail" + os.sep
TOOL = Tool(name="append", effect="write")


def guard_over(folder: Path) -> Guardrail:
    """The shipped rules and a boundary, over the ledger of the folder."""
    boundaries = Boundaries({"clerk": Boundary(tools=("local/append",), calls_per_run=10**6)})
    os.chdir(folder)  # where the key of a ledger is that is no file
    return Guardrail(policy=RegoPolicy(Bundle.shipped()), boundaries=boundaries, ledger=place_in(folder))


def attempt(folder: Path, run: str, number: int) -> Attempt:
    """The same number is the same call, in whatever process."""
    call = Call.of({"number": number}, run=run, id=str(number), tool=TOOL, agent=Agent(id="clerk"))

    def append(judged: Call) -> int:
        with (folder / "effects").open("ab", buffering=0) as file:
            file.write(judged.key.encode() + b"\n")
            os.fsync(file.fileno())
        number: int = judged.arguments["number"]
        return number

    return Attempt(call=call, invoke=append)


def dies_after(steps: int) -> None:
    """Die by SIGKILL at this step of guardrail's code, in whichever thread."""
    left = itertools.count(steps, -1)

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if _CODE in frame.f_code.co_filename and next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(profile)
    sys.setprofile(profile)


def work(folder: Path, run: str, steps: int, way: str) -> None:
    """Target of a process: calls of the run from its first one on, blocking, in threads, or as tasks."""
    guard = guard_over(folder)
    guard.perform(attempt(folder, "warm-up", os.getpid()))
    dies_after(steps)
    if way == "blocking":
        for number in itertools.count():
            guard.perform(attempt(folder, run, number))
    elif way == "threads":
        threads = [
            threading.Thread(target=_every_fourth, args=(guard, folder, run, first)) for first in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        asyncio.run(_tasks(guard, folder, run))


def _every_fourth(guard: Guardrail, folder: Path, run: str, first: int) -> None:
    for number in itertools.count(first, 4):
        guard.perform(attempt(folder, run, number))


async def _tasks(guard: Guardrail, folder: Path, run: str) -> None:
    async def some(first: int) -> None:
        for number in itertools.count(first, 8):
            await guard.perform_async(attempt(folder, run, number))

    await asyncio.gather(*(some(first) for first in range(8)))
