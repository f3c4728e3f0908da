"""What holds across processes: one effect for one yes, word of it in time, and no secret where agents run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardrail.delivery import Delivery
from guardrail.errors import Conflict
from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from guardrail.resuming import Resuming
from guardrail.showing import show
from tests.approvals.calls import payment
from tests.approvals.conftest import Parties
from tests.approvals.world import World

LEARNED = 0.5
"""Seconds within which whoever waits has to know; on a machine that is busy with other things, four times that."""


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What is found, once there is something."""
    deadline = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return what


def test_20_executions_of_one_approval_in_4_processes_have_one_effect(parties: Parties) -> None:
    parties.serve()
    racers = [parties.run("racer", 5, stdout=subprocess.PIPE) for _ in range(4)]
    awake = parties.agent / "awake"
    until(lambda: awake.exists() and len(awake.read_text().split()) == len(racers))
    with parties.config().open_ledger() as ledger:
        (request,) = until(lambda: ledger.approvals("pending"))
        assert parties.vote("ben", request.id).json()["state"] == "approved"
        answers = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
        (used,) = ledger.approvals()
        assert [(call.state, call.attempts) for call in ledger.calls("run-1")] == [("returned", 1)]
    assert answers == [["paid 1"] * 5] * 4
    assert (parties.agent / "payments").read_text() == "1\n"
    assert (used.id, used.state) == (request.id, "consumed")


def blocking(guard: Guardrail, act: Callable[[int], str]) -> Outcome:
    return guard.perform(payment(guard, act, 1), waiting="wait")


def in_a_task(guard: Guardrail, act: Callable[[int], str]) -> Outcome:
    return asyncio.run(guard.perform_async(payment(guard, act, 1), waiting="wait"))


@pytest.mark.parametrize("wait", [blocking, in_a_task])
def test_whoever_waits_learns_of_a_decision_that_another_process_takes(
    parties: Parties, wait: Callable[..., Outcome]
) -> None:
    parties.serve()
    ran: list[float] = []

    def pay(_: int) -> str:
        ran.append(time.monotonic())
        return "paid"

    with parties.guard() as guard:
        agent = threading.Thread(target=wait, args=(guard, pay))
        agent.start()
        (request,) = until(lambda: guard.ledger.approvals("pending"))
        assert parties.vote("ben", request.id).json()["state"] == "approved"
        voted = time.monotonic()
        agent.join(30)
    took = ran[0] - voted
    print(f"\n{wait.__name__}: the tool ran {took * 1000:.0f} ms after the vote was answered")
    assert took < 4 * LEARNED


def test_a_suspended_run_goes_on_when_another_process_has_decided(parties: Parties) -> None:
    parties.configure('[resume]\ncallable = "graphs:resume"\n')
    parties.serve()
    ran: list[float] = []
    with parties.guard() as guard:
        ledger, key = guard.ledger, b""

        def resume(_: Any) -> None:
            guard.perform(payment(guard, world.pay, 1), waiting="answer")
            ran.append(time.monotonic())

        world = World(parties.agent)
        request = guard.perform(payment(guard, world.pay, 1), waiting="answer").approval or ""
        with Delivery(ledger, [Resuming(ledger, resume)], lambda number: show(ledger, number, key=key)):
            assert parties.vote("ben", request).json()["state"] == "approved"
            voted = time.monotonic()
            until(lambda: ran)
    took = ran[0] - voted
    print(f"\nsuspended: the run had gone on {took * 1000:.0f} ms after the vote was answered")
    assert took < 4 * LEARNED
    assert (parties.agent / "payments").read_text() == "1\n"


def holds(data: bytes, parties: Parties) -> list[str]:
    """Which secrets of others there are in it."""
    key = (parties.service / "service.key").read_bytes().splitlines()[1]
    tokens = {f"token of {person}": token.encode() for person, token in parties.tokens.items()}
    return [name for name, secret in {"signing key": key, **tokens}.items() if secret in data]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into processes through /proc")
def test_the_agents_process_has_neither_the_signing_key_nor_a_token(parties: Parties) -> None:
    service, agent = parties.serve(), parties.run("agent")
    with parties.config().open_ledger() as ledger:
        for request in until(lambda: two if len(two := ledger.approvals("pending")) == 2 else ()):
            assert parties.vote("ben", request.id).json()["state"] == "approved"
        until(lambda: len(ledger.approvals("consumed")) == 2)
    process = Path(f"/proc/{agent.pid}")
    told = [(process / name).read_bytes() for name in ("environ", "cmdline")]
    opened = [os.path.realpath(file) for file in (process / "fd").iterdir()]
    agent.kill()
    assert [held for data in told if (held := holds(data, parties))] == []
    assert [file for file in opened if file.startswith((str(parties.service), str(parties.people)))] == []
    files = [
        file for folder in (parties.agent, parties.shared) for file in folder.rglob("*") if file.is_file()
    ]
    assert {"guardrail.db", "guardrail.toml", "agent.log", "graphs.db"} <= {file.name for file in files}
    assert [(file, held) for file in files if (held := holds(file.read_bytes(), parties))] == []
    assert holds((parties.service / "service.key").read_bytes(), parties) == ["signing key"]
    assert holds(service.log_path.read_bytes(), parties) == []


def test_what_the_agents_process_has_does_not_make_a_yes(parties: Parties) -> None:
    settings = parties.config()
    assert (settings.serve.signing_key, settings.asking(signing=True).signing) == (None, None)
    with parties.guard() as guard:
        waiting = guard.perform(payment(guard, World(parties.agent).pay, 1), waiting="answer")
        for cast in (guard.voting.vote, guard.ledger.vote):
            with pytest.raises(Conflict, match="grants are required"):
                cast(waiting.approval or "", "ben", "approve", channel="cli")
        assert guard.ledger.approval(waiting.approval or "").votes == ()
        assert guard.perform(payment(guard, World(parties.agent).pay, 1), waiting="answer") == waiting
