"""Swaps under load: every decision is of one, whoever asks and whenever, and recomputes from it."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from guardrail import Guardrail
from guardrail.editions import read_edition
from guardrail.errors import Denied
from guardrail.policy import AllOf
from guardrail.rego import RegoPolicy
from guardrail.replay.history import History, Stretch
from guardrail.replay.recompute import recompute
from tests.editions.conftest import Team
from tests.editions.shelf import Shelf, edition, rule

SWAPS = 1_000 if os.environ.get("GUARDRAIL_SOAK") else 100
THREADS, TASKS = 3, 8
PACE = 0.02
"""Seconds between two calls of one caller: they load the machine, and do not keep the swaps from it."""


def twice(number: int, *, review: bool = False) -> dict[str, bytes]:
    """An edition with two rules in two modules, which both say which one it is."""
    files = edition(number) | {"second.rego": rule(f"edition {number}", "second")}
    if review:
        files["reviewing.rego"] = (
            b"package guardrail.rules.reviewing\n\n"
            b'allow contains {"rule": "reviewing.all", "message": "edition %d"} if input.point == "output"\n'
            % number
        )
    return files


def decided(guard: Guardrail) -> list[tuple[str, set[str]]]:
    """Of every recorded decision, the revision that it names, and the editions that its rules speak of."""
    found = []
    for record in guard.ledger.records():
        detail = orjson.loads(record.detail or b"{}")
        for decision in (detail.get("decision"), (detail.get("review") or {}).get("decision")):
            if decision:
                rules = [one for one in decision["reasons"] if one["message"].startswith("edition ")]
                found.append((decision["revision"], {one["message"] for one in rules}))
    return found


def called_while(guard: Guardrail, swap: Callable[[int], object], swaps: int) -> tuple[int, Counter[object]]:
    """Call from threads and tasks while editions are swapped: how often, and what came of the swaps."""
    done = threading.Event()
    ran: Counter[str] = Counter()

    def pay(number: int) -> int:
        ran["sync"] += 1  # counted by one thread at a time: the interpreter lock is held
        return number

    async def pay_async(number: int) -> int:
        ran["async"] += 1
        return number

    paying = guard.tool(pay, agent="clerk", name="pay")
    paying_async = guard.tool(pay_async, agent="clerk", name="pay")

    def call_on(caller: int) -> int:
        number = 0
        with guard.run(f"thread-{caller}"):
            while not done.is_set():
                assert paying(number) == number
                number += 1
                done.wait(PACE)
        return number

    async def calls_on(caller: int) -> int:
        number = 0
        with guard.run(f"task-{caller}"):
            while not done.is_set():
                assert await paying_async(number) == number
                number += 1
                await asyncio.sleep(PACE)
        return number

    async def all_tasks() -> list[int]:
        return await asyncio.gather(*(calls_on(caller) for caller in range(TASKS)))

    with ThreadPoolExecutor(THREADS + 1) as pool:
        callers = [pool.submit(call_on, caller) for caller in range(THREADS)]
        tasks = pool.submit(asyncio.run, all_tasks())
        try:
            found = Counter(swap(number) for number in range(swaps))
        finally:
            done.set()
        called = sum(caller.result() for caller in callers) + sum(tasks.result())
    assert ran.total() == called
    return called, found


def check(team: Team, guard: Guardrail, editions: dict[str, str], called: int) -> int:
    """Nothing was lost or mixed, and everything recomputes; answers how many editions have decided."""
    decisions = decided(guard)
    mixed = [(revision, said) for revision, said in decisions if said - {editions[revision]}]
    assert mixed == []
    kinds = Counter(record.kind for record in guard.ledger.records())
    assert (kinds["admitted"], kinds["settled"], kinds["denied"]) == (called, called, 0)
    assert guard.ledger.status().unknown == 0
    verified = guard.ledger.verify()
    assert verified.ok, verified.faults
    history = History(path=team.folder / "guardrail.db", key=team.folder / "guardrail.key")
    again = recompute(history, Stretch())
    assert (again.differences, again.equal, dict(again.unsaid)) == ((), len(decisions), {})
    return len({revision for revision, _ in decisions})


@pytest.mark.soak
def test_editions_that_a_server_hands_out_are_swapped_under_load(team: Team, shelf: Shelf):
    shelf.put(twice(1, review=True))
    team.configure(shelf.url)
    guard, feed = team.guard()

    def swap(number: int) -> str:
        shelf.put(twice(number + 2, review=number % 3 == 0))  # some look at outputs, and some do not
        return feed.look()

    called, found = called_while(guard, swap, SWAPS)
    assert found == {"activated": SWAPS}
    editions = {one.policy: f"edition {one.counter}" for one in guard.ledger.activations.all()}
    assert len(editions) == SWAPS + 1
    assert check(team, guard, editions, called) > SWAPS / 10  # calls were made all along


def test_a_thousand_swaps_under_load(team: Team, shelf: Shelf):
    """The same with editions that were checked before, so that they follow one another as fast as may be."""
    shelf.put(twice(0, review=True))
    team.configure(shelf.url)
    guard, _ = team.guard()
    (rego,) = (owned for owned in guard._owned if isinstance(owned, RegoPolicy))
    prepared = [
        rego.prepared(read_edition(twice(number, review=number % 3 == 0)).bundle) for number in range(10)
    ]
    boundaries = guard.boundaries
    assert boundaries is not None
    editions = {AllOf([boundaries, one]).revision: f"edition {number}" for number, one in enumerate(prepared)}

    def swap(number: int) -> bool:
        rego.adopt(prepared[number % 10])
        return threading.Event().wait(0.001)  # lets the callers go on

    called, found = called_while(guard, swap, 1_000)
    assert found.total() == 1_000
    assert check(team, guard, editions, called) > 5


def test_a_call_ends_under_the_edition_that_it_began_with(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    began, go_on = threading.Event(), threading.Event()

    def pay() -> str:
        began.set()
        assert go_on.wait(60)
        return "paid"

    paying = guard.tool(pay, agent="clerk")
    first = guard.policy.revision

    def call() -> str:
        with guard.run("run"):
            return paying()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call)
        assert began.wait(60)
        stricter = (
            b'package guardrail.rules.stop\n\ndeny contains {"rule": "stop", "message": "no more"} if true\n'
        )
        shelf.put(edition(2) | {"stop.rego": stricter})
        assert feed.look() == "activated"
        go_on.set()
        assert answer.result() == "paid"
    with guard.run("after"), pytest.raises(Denied, match="no more"):
        paying()
    assert [revision for revision, _ in decided(guard)] == [first, guard.policy.revision]


def test_after_a_wait_the_edition_of_now_decides(team: Team, shelf: Shelf):
    asking = b"""package guardrail.rules.asking

ask contains {"rule": "asking", "message": "a person looks", "approvers": ["anna"]} if true
"""
    shelf.put(edition(1) | {"asking.rego": asking})
    team.configure(shelf.url, more="[people.anna]")
    guard, feed = team.guard()
    ran: list[int] = []

    def pay() -> None:
        ran.append(os.getpid())

    paying = guard.tool(pay, agent="clerk")

    def call() -> str:
        with guard.run("run"):
            try:
                paying()
            except Denied as error:
                return str(error)
        return "ran"

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call)
        while not (waiting := guard.ledger.approvals("pending")):
            pass
        stricter = (
            b'package guardrail.rules.stop\n\ndeny contains {"rule": "stop", "message": "no more"} if true\n'
        )
        shelf.put(edition(2) | {"asking.rego": asking, "stop.rego": stricter})
        assert feed.look() == "activated"
        guard.voting.vote(waiting[0].id, "anna", "approve", channel="test")
        assert "no more" in answer.result()
    assert ran == []
    first, second = guard.ledger.activations.all()
    assert [revision for revision, _ in decided(guard)] == [first.policy, second.policy]
