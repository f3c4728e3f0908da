"""Bad days of the OPA server, through the whole line: what was admitted, denied, unknown, lost."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from guardrail.errors import Denied
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.verify import verify
from guardrail.opa import OpaPolicy, Server
from guardrail.opa.process import Process
from guardrail.opa.testing import StandIn, reply
from guardrail.replay.history import History
from guardrail.replay.pool import recompute_all
from tests.opa.conftest import BUNDLE

CALLS = 6
Fallback = Literal["embedded"] | None


@dataclass
class Day:
    """A guard with a tool that counts how often it ran."""

    guard: Guardrail
    ran: list[int] = field(default_factory=list)
    made: int = 0
    outcomes: list[Counter[str]] = field(default_factory=list)

    def pay(self, amount: int) -> int:
        """Pay."""
        self.ran.append(amount)
        return amount

    async def pay_async(self, amount: int) -> int:
        """Pay."""
        self.ran.append(amount)
        return amount

    def calls(self, way: str, count: int = CALLS) -> Counter[str]:
        """Make calls at the same time, each with an amount of its own."""
        amounts = range(20 + self.made, 20 + self.made + count)
        self.made += count
        found = self._awaited(amounts) if way == "asyncio" else self._threads(amounts)
        self.outcomes.append(Counter(found))
        return self.outcomes[-1]

    def _threads(self, amounts: range) -> list[str]:
        pay = self.guard.tool(self.pay, agent="payer", effect="write")

        def one(amount: int) -> str:
            with self.guard.run(f"run-{amount}", principal="user:anna"):
                try:
                    pay(amount)
                except Denied as error:
                    return error.outcome.reasons[0].code
                return "admitted"

        with ThreadPoolExecutor(len(amounts)) as pool:
            return list(pool.map(one, amounts))

    def _awaited(self, amounts: range) -> list[str]:
        pay = self.guard.tool(self.pay_async, agent="payer", name="pay", effect="write")

        async def one(amount: int) -> str:
            with self.guard.run(f"run-{amount}", principal="user:anna"):
                try:
                    await pay(amount)
                except Denied as error:
                    return error.outcome.reasons[0].code
                return "admitted"

        async def all_of_them() -> list[str]:
            return await asyncio.gather(*map(one, amounts))

        return asyncio.run(all_of_them())


@contextmanager
def day(folder: Path, url: str, *, fallback: Fallback = None, timeout: float = 20.0) -> Iterator[Day]:
    server = Server(url=url, timeout=timeout)
    with (
        closing(OpaPolicy(server, bundle=BUNDLE, fallback=fallback, failures=0)) as policy,
        Guardrail(policy=policy, ledger=folder / "guardrail.db") as guard,
    ):
        yield Day(guard)


def counts(folder: Path, day: Day) -> dict[str, int]:
    """What the ledger says, beside what was done."""
    with Ledger.open(folder / "guardrail.db") as ledger:
        assert verify(ledger.path).ok
        calls = [call for run in ledger.runs() for call in ledger.calls(run.id)]
        denied = sum(record.kind == "denied" for record in ledger.records())
        answers = Counter(
            answer["by"]
            for record in ledger.records()
            if record.kind in ("admitted", "denied")
            for answer in orjson.loads(record.detail or b"{}")["decision"]["answered"]
        )
    states = Counter(call.state for call in calls)
    found = recompute_all(History(path=folder / "guardrail.db", key=folder / "guardrail.db.key"))
    assert found.differences == ()
    assert sum(answers.values()) == day.made
    return {
        "admitted": states["returned"],
        "denied": denied,
        "unknown": states["unknown"] + states["started"],
        "lost": day.made - states["returned"] - denied,
        "ran": len(day.ran),
        "by OPA": answers["opa"],
        "embedded": answers["embedded"],
    }


WAYS = pytest.mark.parametrize("way", ["threads", "asyncio"])
FALLBACKS = pytest.mark.parametrize("fallback", [None, "embedded"])


def expected(fallback: Fallback, calls: int = CALLS) -> dict[str, int]:
    """Two good times and a bad one between them."""
    denied = 0 if fallback else calls
    return {
        "admitted": 3 * calls - denied, "denied": denied, "unknown": 0, "lost": 0, "ran": 3 * calls - denied,
        "by OPA": 2 * calls, "embedded": calls - denied,
    }  # fmt: skip


def between(day: Day, way: str, begin: Callable[[], Any], end: Callable[[], Any]) -> list[str]:
    """Calls before, during and after a fault: what they said during it."""
    assert day.calls(way) == {"admitted": CALLS}
    begin()
    during = day.calls(way)
    end()
    assert day.calls(way) == {"admitted": CALLS}
    return list(during)


@WAYS
@FALLBACKS
def test_a_server_that_is_down_and_comes_back(opa: None, tmp_path: Path, way: str, fallback: Fallback):
    with Process(BUNDLE) as process, day(tmp_path, process.url, fallback=fallback) as today:
        during = between(today, way, process.kill, process.start)
    assert during == ["admitted" if fallback else "policy.unreachable"]
    assert counts(tmp_path, today) == expected(fallback)


@WAYS
@FALLBACKS
def test_a_server_that_is_slow(opa: None, tmp_path: Path, way: str, fallback: Fallback):
    with Process(BUNDLE) as process, day(tmp_path, process.url, fallback=fallback, timeout=3.0) as today:
        during = between(today, way, process.stop, process.go_on)
    assert during == ["admitted" if fallback else "policy.timeout"]
    assert counts(tmp_path, today) == expected(fallback)


@WAYS
@FALLBACKS
@pytest.mark.parametrize(
    ("nonsense", "code"),
    [
        (reply(b"<html>maintenance</html>"), "policy.malformed"),
        (reply(b'{"result": {"allow": true}}'), "policy.malformed"),
        (reply(b"{}"), "policy.undefined"),
        (reply(b"busy", status="503 Busy"), "policy.refused"),
        (b"", "policy.unreachable"),
    ],
    ids=["page", "type", "empty", "busy", "cut"],
)
def test_a_server_that_answers_nonsense(
    tmp_path: Path, way: str, fallback: Fallback, nonsense: bytes, code: str
):
    allow = reply(b'{"result": {"allow": [{"rule": "pay.small", "message": "a small payment"}]}}')
    with StandIn(lambda _: allow) as stand_in, day(tmp_path, stand_in.url, fallback=fallback) as today:

        def answer(what: bytes) -> None:
            stand_in.answer = lambda _: what

        during = between(today, way, lambda: answer(nonsense), lambda: answer(allow))
    told = code == "policy.undefined" or nonsense.endswith(
        b"true}}"
    )  # an answer, and not of a policy of ours
    assert during == ["admitted" if fallback and not told else code]
    found = counts(tmp_path, today)
    wanted = expected(None if told else fallback)
    assert found == wanted | ({"by OPA": 3 * CALLS} if told else {})


@FALLBACKS
def test_a_server_that_is_restarted_under_load(opa: None, tmp_path: Path, fallback: Fallback):
    """Callers go on while the server is killed and started again: each call is admitted or denied, and none is lost."""
    with Process(BUNDLE) as process, day(tmp_path, process.url, fallback=fallback) as today:
        found: Counter[str] = Counter()
        over = threading.Event()
        pay = today.guard.tool(today.pay, agent="payer", effect="write")
        lock = threading.Lock()

        def caller(number: int) -> None:
            last = 0
            while last < 3:  # three more once the server is back
                last += over.is_set()
                with lock:
                    today.made += 1
                    run = f"run-{number}-{today.made}"
                with today.guard.run(run, principal="user:anna"):
                    try:
                        pay(number)
                        said = "admitted"
                    except Denied as error:
                        said = error.outcome.reasons[0].code
                with lock:
                    found[said] += 1

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            process.kill()
            process.start()
        over.set()
        for thread in threads:
            thread.join()
    known = counts(tmp_path, today)
    assert set(found) <= {"admitted", "policy.unreachable"}
    assert (known["admitted"], known["denied"]) == (found["admitted"], found["policy.unreachable"])
    assert (known["ran"], known["unknown"], known["lost"]) == (found["admitted"], 0, 0)
    assert found["admitted"] >= 12
    assert not fallback or found["policy.unreachable"] == 0
