"""Requests, votes, edits and scopes at random: nothing runs twice, unseen, or without enough people who may say yes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from guardrail.errors import Conflict
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.people import People, Person
from guardrail.scopes import Remembered
from guardrail.sealing import SealingKey
from guardrail.standing import ApprovalPolicy
from guardrail.testing import ScriptedPolicy
from guardrail.voting import Voting
from tests.ledger.conftest import Clock
from tests.payments import Payments
from tests.servers import somewhere

NAMES = ("ben", "eve", "joe")
EVERYBODY = ("anna", "payer", "mia", *NAMES)
POLICY = ApprovalPolicy()
KEY = SealingKey(bytes(32))


class Life(RuleBasedStateMachine):
    """Three calls, two of them identical, and the people around them."""

    database = "sqlite"

    @initialize(quorum=st.integers(1, 2))
    def begin(self, quorum: int) -> None:
        self.held = ExitStack()
        self.place = self.held.enter_context(somewhere(self.database))
        self.clock = Clock()
        self.ledger = Ledger.open(self.place, key=KEY, clock=self.clock)
        self.scene = Payments(self.ledger, approvers=["role:finance"], quorum=quorum, expires_in=600.0)
        self.finance = set(NAMES)
        self.ran: dict[int, str | None] = {}
        self.everybody_is_there(self.finance)

    @rule(finance=st.sets(st.sampled_from(NAMES), min_size=1))
    def everybody_is_there(self, finance: set[str]) -> None:
        """Roles are given and taken."""
        self.finance = finance
        people = [Person(id=name, roles=("finance",) if name in finance else ()) for name in EVERYBODY]
        people[0] = Person(id="anna", roles=("finance",), principals=("user:anna",))
        self.scene.voting = Voting(self.ledger, People(people), POLICY)
        policy = ScriptedPolicy(self.scene._decide)
        self.scene.guard = Guardrail(policy=policy, ledger=self.ledger, voting=self.scene.voting)

    @rule(quorum=st.integers(1, 3))
    def the_policy_changes(self, quorum: int) -> None:
        self.scene.asked["quorum"] = quorum

    @rule(turn=st.sampled_from([1, 2, 3]))
    def walk(self, turn: int) -> None:
        before = len(self.scene.sent)
        outcome = self.scene.walk(500 if turn < 3 else 600, turn)
        new = self.scene.sent[before:]
        if turn in self.ran:
            assert (new, outcome.repeated) == ([], True)
        elif outcome.status == "returned":
            assert len(new) == 1
            assert outcome.approval is None or outcome.approval not in self.ran.values()
            self.ran[turn] = outcome.approval
            assert len(self._who_agreed(outcome.approval, new[0])) >= self.scene.asked["quorum"]
        else:
            assert new == []

    @rule(
        turn=st.sampled_from([1, 2, 3]),
        people=st.permutations(NAMES),
        amount=st.sampled_from([None, None, 300]),
        remembered=st.booleans(),
        goes_on=st.booleans(),
    )
    def ask_and_agree(
        self, turn: int, people: list[str], amount: int | None, remembered: bool, goes_on: bool
    ) -> None:
        """The usual course: a call asks, somebody may change it, people say yes, and it goes on."""
        self.walk(turn)
        if amount is not None:
            self.edit(people[0], amount, 0)
            self.walk(turn)
        for person in people:
            for at in range(len(self.ledger.approvals("pending"))):
                self.vote(person, "approve", at)
        if remembered:
            for person in people:
                self.remember(person, len(self.ledger.approvals()) - 1)
        if goes_on:
            self.walk(turn)

    def _who_agreed(self, number: str | None, amount: int) -> set[str]:
        """Whoever said yes to exactly what ran, by a vote or beforehand, and may say it now."""
        (admitted,) = [record.fields for record in self.ledger.records() if record.kind == "admitted"][-1:]
        scopes = {scope.id: scope for scope in self.ledger.all_scopes()}
        agreed: set[str] = set()
        for scope in (scopes[name] for name in admitted.get("remembered", ())):
            assert scope.forgotten_by is None
            assert scope.call["arguments"] == {"amount": amount}
            agreed.add(scope.person)
        if number is not None:
            request = self.ledger.approval(number)
            assert (request.state, self.ledger.approval_arguments(number).arguments) == (
                "consumed",
                {"amount": amount},
            )
            assert all(vote.answer == "approve" for vote in request.votes)
            agreed |= {vote.person for vote in request.votes}
        return agreed & self.finance

    @rule(
        person=st.sampled_from(EVERYBODY),
        answer=st.sampled_from(["approve", "approve", "approve", "reject"]),
        at=st.integers(0, 2),
    )
    def vote(self, person: str, answer: Any, at: int) -> None:
        requests = self.ledger.approvals("pending")
        if not requests:
            return
        before = requests[at % len(requests)]
        may = person in self.finance and person not in {vote.person for vote in before.votes}
        assert (self.scene.voting.may_vote(before.id, person) is None) == may
        try:
            after = self.scene.vote(before, person, answer)
        except Conflict:
            assert not may
            assert self.ledger.approval(before.id) == before
            return
        assert may
        assert len(after.votes) == len(before.votes) + 1
        assert (after.state == "rejected") == (answer == "reject")

    @rule(person=st.sampled_from(NAMES), amount=st.sampled_from([300, 400]), at=st.integers(0, 2))
    def edit(self, person: str, amount: int, at: int) -> None:
        requests = self.ledger.approvals("pending")
        if requests:
            request = requests[at % len(requests)]
            try:
                assert (
                    self.scene.voting.edit(request.id, person, {"amount": amount}, channel="t").state
                    == "superseded"
                )
            except Conflict:
                assert self.ledger.approval(request.id) == request

    @rule(person=st.sampled_from(NAMES), at=st.integers(0, 5))
    def remember(self, person: str, at: int) -> None:
        requests = self.ledger.approvals()
        if requests:
            request = requests[at % len(requests)]
            approved = any(vote.person == person and vote.answer == "approve" for vote in request.votes)
            try:
                self.scene.voting.remember(request.id, person, Remembered(seconds=300), channel="t")
                assert approved
            except Conflict:
                assert not approved

    @precondition(lambda self: self.ledger.all_scopes())
    @rule(at=st.integers(0, 2))
    def forget(self, at: int) -> None:
        scopes = [scope for scope in self.ledger.all_scopes() if scope.forgotten_by is None]
        if scopes:
            self.scene.voting.forget(scopes[at % len(scopes)].id, "mia")

    @rule(at=st.integers(0, 2))
    def cancel(self, at: int) -> None:
        requests = self.ledger.approvals("pending")
        if requests:
            request = requests[at % len(requests)]
            after = self.ledger.cancel(request.id, request.key)
            assert after.state == ("cancelled" if request.count == 1 else "pending")

    @rule(seconds=st.sampled_from([1, 100, 700]))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            verification = self.ledger.verify()
            self.ledger.close()
            self.held.close()
            assert verification.ok, verification.claim


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=2_000 if os.environ.get("GUARDRAIL_SOAK") else 60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class LifeOnPostgres(Life):
    """The same."""

    database = "postgres"


TestLifeOnPostgres = LifeOnPostgres.TestCase
TestLifeOnPostgres.settings = settings(
    TestLife.settings, max_examples=500 if os.environ.get("GUARDRAIL_SOAK") else 10
)
