"""Agent, service and people as real processes, killed at any moment: every yes runs once, and nothing runs without.

`make test` runs a sample; `GUARDRAIL_SOAK=1` (`make soak`) runs 200 rounds.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.approvals import Approval
from guardrail.ledger import Ledger
from tests.approvals.approver import QUORUM, REFUSED
from tests.approvals.conftest import Parties

ROUNDS = 200 if os.environ.get("GUARDRAIL_SOAK") else 6
VICTIMS = ("agent", "service", "approver")
DEATHS = {
    "agent": (("execution", 400), ("anything", 12_000)),
    "service": (("vote", 6_000),),
    "approver": (),
}
"""From where on a process counts its steps to its death, and how many about a task, or its votes, take from there."""
LATE = "is already (rejected|approved|consumed) by "


class Campaign:
    """The three processes, and how often each was killed."""

    def __init__(self, parties: Parties, dice: random.Random) -> None:
        self.parties, self._dice = parties, dice
        self.kills: Counter[str] = Counter()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for victim in VICTIMS:
            self._start(victim)

    def round(self, victim: str, *, inside: bool) -> None:
        """Kill one of them at some moment; with `inside`, its successor at some step of the work, too."""
        process = self._running[victim]
        self._wait_until_awake(victim)
        time.sleep(self._dice.uniform(0.0, 0.8))
        assert process.poll() is None, self._log(victim)
        process.kill()
        process.wait(30)
        self.kills[victim] += 1
        if inside and DEATHS[victim]:
            begin, steps = DEATHS[victim][self.kills[f"{victim}, inside"] % len(DEATHS[victim])]
            self._start(victim, str(self._dice.randrange(1, steps)), begin)
            assert self._dies(victim), self._log(victim)
        self._start(victim)

    def finish(self) -> None:
        """Let the agent work through what it has begun."""
        (self.parties.agent / "enough").touch()
        assert self._running["agent"].wait(300) == 0, self._log("agent")
        self._running["approver"].kill()

    def _start(self, victim: str, *death: str) -> None:
        if victim != "service":
            self._running[victim] = self.parties.run(victim, *death)
        elif death:
            self._running[victim] = self.parties.serve("tests.approvals.dying", death[0]).process
        else:
            self._running[victim] = self.parties.serve().process

    def _dies(self, victim: str) -> bool:
        """Whether it has come to its step; one that has nothing left to do is killed instead."""
        process = self._running[victim]
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        self.kills[f"{victim}, inside"] += 1
        return process.wait(30) == -signal.SIGKILL

    def _wait_until_awake(self, victim: str) -> None:
        """A kill before the work has begun would show nothing; a service that was started listens."""
        while victim != "service":
            awake = self._folder(victim) / "awake"
            if awake.exists() and str(self._running[victim].pid) in awake.read_text().split():
                return
            assert self._running[victim].poll() is None, self._log(victim)
            time.sleep(0.02)

    def _folder(self, victim: str) -> Path:
        return self.parties.agent if victim == "agent" else self.parties.people

    def _log(self, victim: str) -> str:
        if victim == "service":
            return self.parties.instances[-1].log_path.read_text()
        return (self._folder(victim) / f"{victim}.log").read_text()


@pytest.fixture(name="campaign")
def _campaign(tmp_path: Path) -> Iterator[Campaign]:
    parties = Parties(tmp_path, quorum=len(QUORUM))
    yield Campaign(parties, random.Random(20261124))
    parties.close()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_agent_service_and_people_killed_at_any_moment_run_every_yes_once_and_nothing_without_one(
    campaign: Campaign,
) -> None:
    dice = random.Random(20261125)
    rounds = [(VICTIMS[turn % 3], turn % 6 < 3) for turn in range(ROUNDS)]
    dice.shuffle(rounds)
    for victim, inside in rounds:
        campaign.round(victim, inside=inside)
    campaign.finish()
    with campaign.parties.config().open_ledger() as ledger:
        found = Found(campaign.parties, ledger)
        print(f"\n{dict(campaign.kills)} kills; {found}")
        found.check(campaign.kills)
        verification = ledger.verify()
    assert verification.ok, verification
    check_late_answers(campaign.parties, found.requests)


class Found:
    """What the ledger says in the end, and what has happened in the world."""

    def __init__(self, parties: Parties, ledger: Ledger) -> None:
        self._public, self._ledger = parties.public, ledger
        self.requests = {request.id: request for request in ledger.approvals()}
        self.tasks = range(len((parties.agent / "begun").read_text().split()))
        self.calls = {
            (call.tool.removeprefix("bank/"), number): call
            for number in self.tasks
            for call in ledger.calls(f"run-{number}")
        }
        paid = (parties.agent / "payments").read_text().split()
        with sqlite3.connect(parties.agent / "bank.db") as bank:
            moved = [number for (number,) in bank.execute("SELECT number FROM transfers")]
        self.effects = Counter([("pay", int(number)) for number in paid])
        self.effects.update(("transfer", number) for number in moved)

    def __str__(self) -> str:
        states = Counter(call.state for call in self.calls.values())
        asked = Counter(request.state for request in self.requests.values())
        return f"{len(self.tasks)} tasks; calls: {dict(states)}; requests: {dict(asked)}"

    def check(self, kills: Counter[str]) -> None:
        """The promises."""
        assert self.calls.keys() == {(tool, number) for tool in ("pay", "transfer") for number in self.tasks}
        assert [effect for effect, count in self.effects.items() if count > 1] == []
        unknown = 0
        for (tool, number), call in self.calls.items():
            request = self.requests[call.approval or self._asked(tool, number)]
            happened = self.effects[tool, number]
            if number % REFUSED == 0:
                assert (request.state, happened, call.state) == ("rejected", 0, "denied"), call
            elif tool == "pay" and call.state == "unknown":  # killed between its beginning and its end
                unknown += 1
                self._used(request)
            else:
                assert (call.state, happened) == ("returned", 1), call
                self._used(request)
        assert unknown <= 2 * sum(count for victim, count in kills.items() if victim.startswith("agent"))
        assert {request.state for request in self.requests.values()} <= {"consumed", "rejected"}

    def _asked(self, tool: str, number: int) -> str:
        """The request for a call that did not run."""
        (asked,) = (
            request.id
            for request in self.requests.values()
            if (request.run, request.tool) == (f"run-{number}", f"bank/{tool}")
        )
        return asked

    def _used(self, request: Approval) -> None:
        """Two people have said yes, and the service has signed that."""
        said = {(vote.person, vote.answer) for vote in request.votes}
        assert (request.state, said) == ("consumed", {(person, "approve") for person in QUORUM})
        signed = self._ledger.grant(request.id)
        assert signed is not None
        grant = self._public.verify(signed)
        assert (grant.request, grant.digest, grant.state) == (request.id, request.digest, "approved")
        assert {vote.person for vote in grant.votes} == set(QUORUM)


def check_late_answers(parties: Parties, requests: dict[str, Approval]) -> None:
    """Who came too late was told by whom it is decided; whom the agents act for was told so; neither counts."""
    answers: list[Any] = [json.loads(line) for line in (parties.people / "late").read_text().splitlines()]
    for kind, request, status, text in answers:
        expected = (
            LATE if kind == "late" else f"{LATE}|the agents act for anna here: somebody else has to answer"
        )
        assert (status, bool(re.search(expected, text))) == (409, True), (kind, requests[request], text)
    assert {request for kind, request, _, _ in answers if kind == "late"} != set()
    for request in requests.values():
        late = parties.vote("mia", request.id).json()["error"]["message"]
        decisive = "reject" if request.state == "rejected" else "approve"
        deciders = ", ".join(vote.person for vote in request.votes if vote.answer == decisive)
        assert late.startswith(f"approval {request.id} is already {request.state} by {deciders}"), late
