"""What was sealed about a run can be deleted, for good: its records stay, and everything still verifies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guardrail
from guardrail.errors import Conflict, Denied, Waiting
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.erasing import Erasure
from guardrail.sealing import SealingKey
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision
from tests.ledger.lines import SQLITE
from tests.servers import stranger

WORDS = "anna-4711"
"""What is to be forgotten: it stands in the task, the arguments, the result, the reasons and the votes."""
KEY = SealingKey(b"k" * 32)


@pytest.fixture(name="file")
def _file(path: Place) -> Place:
    return path


@pytest.fixture(name="guard")
def _guard(file: Place) -> Iterator[Guardrail]:
    def policy(given: Any) -> Any:
        effect = given.call.arguments.get("effect", "allow")
        return decision(effect, message=f"about {given.call.arguments['who']}")

    with (
        Ledger.open(file, key=KEY) as ledger,
        Guardrail(policy=ScriptedPolicy(policy), ledger=ledger) as guard,
    ):
        yield guard


def look_up(who: str, effect: str = "allow") -> str:
    return f"{who} is here"


def worked(guard: Guardrail, run: str) -> None:
    """A run with calls that were allowed, refused, and let through by a person who said why."""
    look = guard.tool(look_up, agent="a")
    with guard.run(run, principal="user:anna", task=f"find {WORDS}"):
        look(WORDS)
        with pytest.raises(Denied):
            look(WORDS, effect="deny")
        with ScriptedApprover(guard.ledger, person="berta"):
            look(WORDS, effect="ask")
        guard.ledger.remember(run, "note", WORDS)


def everything(file: Path, key: SealingKey) -> bytes:
    """All bytes of the database's files, and all that its key opens."""
    with Ledger.open(file, key=key) as ledger:
        details = b"".join(record.detail or b"" for record in ledger.records())
    return details + b"".join(part.read_bytes() for part in file.parent.iterdir() if part.is_file())


def test_an_erased_run_is_forgotten_and_everything_verifies(guard: Guardrail, file: Place):
    worked(guard, "r1")
    worked(guard, "r2")
    before = guard.ledger.verify()
    sealed = sum(record.detail is not None for record in guard.ledger.records("r1"))
    erased = guard.ledger.erasing.erase("r1", by="berta", reason="she asked us to")
    assert erased == Erasure(run="r1", details=sealed, overwritten=isinstance(file, Path))
    after = guard.ledger.verify()
    assert (after.faults, after.erased) == ((), sealed)
    assert after.heads[0].size == before.heads[0].size + 2  # it was halted, and erased
    records = list(guard.ledger.records("r1"))
    assert [record.kind for record in records if record.detail is not None] == ["erased"]
    assert records[-1].as_json()["detail"] == {"reason": "she asked us to"}
    kept = [record.as_json()["detail"] for record in guard.ledger.records("r2") if record.detail is not None]
    assert WORDS in str(kept)


@SQLITE
def test_nothing_of_it_is_left_in_the_files(guard: Guardrail, file: Path):
    worked(guard, "r1")
    (call, *_) = guard.ledger.calls("r1")
    approval = guard.ledger.approvals()[0]
    plain = [WORDS.encode(), approval.digest.encode(), call.reference.removeprefix("call_").encode()]
    assert [word in everything(file, KEY) for word in plain] == [True, True, True]
    ciphers = [
        body
        for (body,) in _ask(
            file, "SELECT body FROM sealed WHERE record IN (SELECT id FROM records WHERE run = 'r1')"
        )
    ]
    guard.ledger.erasing.erase("r1", by="berta", reason="")
    assert [word in everything(file, KEY) for word in plain] == [False, False, False]
    left = b"".join(part.read_bytes() for part in file.parent.iterdir() if part.is_file())
    assert [body for body in ciphers if body in left] == []


def _ask(file: Place, question: str) -> list[Any]:
    with stranger(file) as connection:
        return connection.execute(question).fetchall()


def test_what_was_erased_runs_never_again(guard: Guardrail):
    worked(guard, "r1")
    guard.ledger.erasing.erase("r1", by="berta", reason="")
    with guard.run("r1", principal="user:anna"), pytest.raises(Denied, match="it was erased"):
        guard.tool(look_up, agent="a")(WORDS)


def test_the_listings_still_read_it(guard: Guardrail):
    worked(guard, "r1")
    before = [(call.tool, call.state) for call in guard.ledger.calls("r1")]
    guard.ledger.erasing.erase("r1", by="berta", reason="")
    assert [(call.tool, call.state) for call in guard.ledger.calls("r1")] == before
    assert [run.task for run in guard.ledger.runs()] == [None]
    (approval,) = guard.ledger.approvals()
    assert (approval.state, approval.asks, approval.digest) == ("consumed", (), "")
    assert guard.ledger.recall("r1", "note") is None
    for call in guard.ledger.calls("r1"):
        assert guard.ledger.call(call.reference) == call


def test_what_somebody_still_needs_is_not_erased(guard: Guardrail):
    look = guard.tool(look_up, agent="a", waiting="answer")
    with guard.run("r1"), pytest.raises(Waiting):
        look(WORDS, effect="ask")
    with pytest.raises(Conflict, match="1 requests of run 'r1' wait for a person"):
        guard.ledger.erasing.erase("r1", by="berta", reason="")
    with pytest.raises(Conflict, match="there is no run 'r9'"):
        guard.ledger.erasing.erase("r9", by="berta", reason="")
    assert guard.ledger.verify().erased == 0


def test_a_call_that_runs_keeps_its_run(guard: Guardrail):
    refused: list[str] = []

    def slow(who: str) -> None:
        with pytest.raises(Conflict) as caught:
            guard.ledger.erasing.erase("r1", by="berta", reason="")
        refused.append(str(caught.value))

    with guard.run("r1"):
        guard.tool(slow, agent="a")(WORDS)
    assert refused == ["a call of run 'r1' is running\n  To do: wait until it has ended"]


def test_erasing_twice_deletes_nothing_more(guard: Guardrail):
    worked(guard, "r1")
    guard.ledger.erasing.erase("r1", by="berta", reason="")
    again = guard.ledger.erasing.erase("r1", by="berta", reason="")
    assert (again.details, guard.ledger.verify().faults) == (0, ())


def test_a_detail_that_goes_later_is_not_taken_for_erased(guard: Guardrail, file: Place):
    worked(guard, "r1")
    worked(guard, "r2")
    guard.ledger.erasing.erase("r1", by="berta", reason="")
    guard.close()
    with stranger(file) as connection:
        connection.execute("DELETE FROM sealed WHERE record = (SELECT max(id) FROM records WHERE run = 'r2')")
    with Ledger.open(file, key=KEY) as ledger:
        assert [fault.what for fault in ledger.verify().faults] == [
            "1 sealed details of run 'r2' are gone, 0 were erased"
        ]
