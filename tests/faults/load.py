"""Several callers, threads and tasks, whose tool writes down outside what it has done; and what became of each call."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.errors import Denied, UnknownOutcome
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.sealing import SealingKey

THREADS: Final = 3
TASKS: Final = 3
CALLERS: Final = tuple(f"thread-{number}" for number in range(THREADS)) + tuple(
    f"task-{number}" for number in range(TASKS)
)
PACE: Final = 0.01
"""Seconds between two calls of one caller: a refusal costs nothing, and would be asked for thousands of times."""
PATIENCE: Final = 100.0
"""Seconds after which a load that does not get on has failed."""
KEY: Final = SealingKey(bytes(32))

_RAN: Final = frozenset({"returned", "unknown"})
"""Answers to calls that were admitted."""

Made = tuple[str, int]
"""A call, by its caller and number: these are its arguments, too."""


class Load:
    """Callers that call one after the other until they are told to stop.

    Args:
        guard: whose tool they call.
        effects: the file in which the tool writes what it has done.
    """

    def __init__(self, guard: Guardrail, effects: Path) -> None:
        self._guard, self._effects = guard, effects
        self._done = threading.Event()
        self._changed = threading.Condition()
        self._failed: BaseException | None = None
        self.answers: dict[Made, str] = {}
        self._file = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Callers call."""
        with ThreadPoolExecutor(THREADS + 1) as pool:
            callers: list[Future[Any]] = [pool.submit(self._calls, caller) for caller in CALLERS[:THREADS]]
            callers.append(pool.submit(asyncio.run, self._all_tasks()))
            for caller in callers:
                caller.add_done_callback(self._ended)
            try:
                yield
            finally:
                self._done.set()
            for caller in callers:
                caller.result()
        os.close(self._file)

    def until(self, enough: Callable[[Sequence[str]], bool]) -> None:
        """Wait until the answers that each caller gets from now on are enough."""
        with self._changed:
            known = dict.fromkeys(CALLERS, 0) | Counter(caller for caller, _ in self.answers)

            def is_enough() -> bool:
                if self._failed is not None:
                    raise self._failed
                return all(enough(self._since(caller, known[caller])) for caller in CALLERS)

            assert self._changed.wait_for(is_enough, PATIENCE), Counter(self.answers.values())

    def _since(self, caller: str, number: int) -> list[str]:
        answers: list[str] = []
        while (answer := self.answers.get((caller, number + len(answers)))) is not None:
            answers.append(answer)
        return answers

    def _ended(self, caller: Future[Any]) -> None:
        with self._changed:
            self._failed = self._failed or caller.exception()
            self._changed.notify_all()

    def _note(self, made: Made, answer: str) -> None:
        with self._changed:
            self.answers[made] = answer
            self._changed.notify_all()

    def _act(self, caller: str, number: int) -> int:
        """What the tool does: a line in a file, which nobody can take back."""
        os.write(self._file, f"{caller} {number}\n".encode())
        return number

    def _calls(self, caller: str) -> None:
        def pay(caller: str, number: int) -> int:
            return self._act(caller, number)

        tool = self._guard.tool(pay, agent="payer")
        with self._guard.run(caller, principal="user:anna"):
            number = 0
            while not self._done.is_set():
                try:
                    answer = "returned" if tool(caller, number) == number else "another result"
                except (Denied, UnknownOutcome) as error:
                    answer = _told(error)
                self._note((caller, number), answer)
                number += 1
                self._done.wait(PACE)

    async def _all_tasks(self) -> None:
        await asyncio.gather(*(self._calls_async(caller) for caller in CALLERS[THREADS:]))

    async def _calls_async(self, caller: str) -> None:
        async def pay(caller: str, number: int) -> int:
            return self._act(caller, number)

        tool = self._guard.tool(pay, agent="payer")
        with self._guard.run(caller, principal="user:anna"):
            number = 0
            while not self._done.is_set():
                try:
                    answer = "returned" if await tool(caller, number) == number else "another result"
                except (Denied, UnknownOutcome) as error:
                    answer = _told(error)
                self._note((caller, number), answer)
                number += 1
                await asyncio.sleep(PACE)


def _told(error: Denied | UnknownOutcome) -> str:
    return "unknown" if isinstance(error, UnknownOutcome) else error.outcome.reasons[0].code


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Where every call went.

    Attributes:
        admitted: were written down, ran once, and their end was written down.
        denied: did not run, and the caller was told so.
        unknown: were admitted, and their end is not in the ledger.
        lost: ran without being admitted, or twice; are in the ledger as what the caller was not told; or are nowhere.
    """

    admitted: int
    denied: int
    unknown: int
    lost: tuple[str, ...]


def account(place: Place, load: Load, effects: Path) -> Accounts:
    """Compare what callers were told, what the tool has done, and what the ledger says.

    Raises:
        AssertionError: the ledger does not verify, or times in one of its logs go back.
    """
    with Ledger.open(place, key=KEY) as ledger:
        verified = ledger.verify()
        assert verified.ok, verified.faults
        states = _states(ledger)
    done = Counter(_made(line) for line in effects.read_text().splitlines())
    returned = {made for made, state in states.items() if state == "returned"}
    unknown = states.keys() - returned
    denied = {made for made, answer in load.answers.items() if answer not in _RAN} - states.keys()
    lost = [f"{made} ran, and was not admitted" for made in done.keys() - states.keys()]
    lost += [f"{made} ran {times} times" for made, times in done.items() if times > 1]
    lost += [f"{made} is said to have run, and has not" for made in returned - done.keys()]
    lost += [f"{made} is recorded, and nobody called" for made in states.keys() - load.answers.keys()]
    for made, answer in load.answers.items():
        may_be = {"returned": returned, "unknown": states.keys()}.get(answer, denied | unknown)
        if made not in may_be:
            lost.append(f"{made} was told {answer}, and is {states.get(made, 'not recorded')}")
    return Accounts(admitted=len(returned), denied=len(denied), unknown=len(unknown), lost=tuple(lost))


def _states(ledger: Ledger) -> dict[Made, str]:
    """How each admitted call stands."""
    states = {call.key: call.state for caller in CALLERS for call in ledger.calls(caller)}
    found: dict[Made, str] = {}
    latest: dict[int, str] = {}
    for record in ledger.records():
        at = str(record.fields["at"])
        assert latest.get(record.log, "") <= at, f"log {record.log} goes back to {at}"
        latest[record.log] = at
        if record.kind == "admitted":
            detail = orjson.loads(record.detail or b"")
            arguments = detail["given"]["arguments"]
            found[arguments["caller"], arguments["number"]] = states[detail["key"]]
    return found


def _made(line: str) -> Made:
    caller, number = line.split()
    return caller, int(number)
