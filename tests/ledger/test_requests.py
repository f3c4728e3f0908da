"""Approvals: asked once, voted by people, used once, and nothing leads back."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardrail.admission import InFlight, Moved, Pending, Stopped, Ticket
from guardrail.approvals import Approval, Vote, tally
from guardrail.calls import Agent
from guardrail.errors import Conflict
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.listings import ApprovalArguments
from guardrail.sealing import SealingKey
from tests.ledger.conftest import Clock
from tests.ledger.lines import IDEMPOTENT, READ, admit_asking, ask, budget, call, deny, ran, settle
from tests.servers import somewhere, stranger


def asked(ledger: Ledger, *asks: Any, of: Any = None) -> Approval:
    answer = ledger.write(admit_asking(of or call(), *asks), alone=True)
    assert isinstance(answer, Pending), answer
    return answer.approval


def test_a_call_that_is_asked_about_waits_runs_once_and_uses_its_approval(ledger: Ledger) -> None:
    request = asked(ledger, ask("bob", "eve"))
    assert request == Approval(
        id=request.id, key=call().key, digest=call().digest, run="run", agent="payer", chain=("supervisor", "payer"),
        principal="user:anna", tool="bank/send_money", asks=(ask("bob", "eve"),), revision="rev-1", state="pending",
        requested_at="2026-01-31T12:00:00.000Z", expires_at="2026-01-31T12:15:00.000Z",
    )  # fmt: skip
    assert len(request.id) == 32
    assert asked(ledger, ask("bob", "eve")) == request
    voted = ledger.vote(request.id, "bob", "approve", channel="cli", reason="it is due")
    vote = Vote(
        person="bob", answer="approve", channel="cli", at="2026-01-31T12:00:00.000Z", reason="it is due"
    )
    assert (voted.state, voted.votes) == ("approved", (vote,))
    ticket = ledger.write(admit_asking(call(), ask("bob", "eve")), alone=True)
    assert ticket == Ticket(key=call().key, fence=1, approval=request.id)
    assert ledger.approval(request.id).state == "consumed"
    assert ledger.write(admit_asking(call(), ask("bob", "eve")), alone=True) == InFlight()
    assert ledger.read_run("run").usage["asked"] == 1
    assert [record.kind for record in ledger.records("run")] == ["begun", "asked", "voted", "admitted"]
    assert ledger.verify().ok


def test_an_approval_answers_for_its_own_call_only(ledger: Ledger) -> None:
    request = asked(ledger, of=call(1))
    ledger.vote(request.id, "bob", "approve", channel="cli")
    for other in (call(2), call(1, amount=6), call(1, agent=Agent(id="payer")), call(1, run="other")):
        assert asked(ledger, of=other).id != request.id


def test_a_no_is_final(ledger: Ledger) -> None:
    request = asked(ledger, ask(quorum=3))
    assert ledger.vote(request.id, "bob", "approve", channel="cli").state == "pending"
    assert ledger.vote(request.id, "eve", "reject", channel="cli", reason="not this week").state == "rejected"
    for _ in range(2):
        answer = ledger.write(admit_asking(call()), alone=True)
        assert isinstance(answer, Stopped)
        assert (answer.heading, answer.approval, answer.reasons[0].code, answer.reasons[0].message) == (
            "REJECTED", request.id, "approval.rejected", "a person said no (eve: not this week)"
        )  # fmt: skip
    with pytest.raises(Conflict, match=f"approval {request.id} is already rejected by eve"):
        ledger.vote(request.id, "mia", "approve", channel="cli")


@pytest.mark.parametrize("where", ["admission", "vote", "sweep", "cancel"])
def test_silence_is_a_refusal_wherever_it_is_met(ledger: Ledger, clock: Clock, where: str) -> None:
    request = asked(ledger, ask(expires_in=60), ask(expires_in=600))
    assert request.expires_at == "2026-01-31T12:01:00.000Z"
    clock.forward(seconds=60)
    assert ledger.approval(request.id).state == "expired"
    match where:
        case "vote":
            with pytest.raises(Conflict, match="expired"):
                ledger.vote(request.id, "bob", "approve", channel="cli")
        case "sweep":
            assert [found.id for found in ledger.expire_due()] == [request.id]
            assert ledger.expire_due() == ()
        case "cancel":
            assert ledger.cancel(request.id).state == "expired"
        case _:
            pass
    for _ in range(2):
        answer = ledger.write(admit_asking(call()), alone=True)
        assert isinstance(answer, Stopped)
        assert (answer.heading, answer.reasons[0].code) == ("REJECTED", "approval.expired")
    assert [record.kind for record in ledger.records("run")].count("expired") == 1
    assert ledger.verify().ok


def test_a_yes_can_be_used_for_as_long_as_people_would_have_been_waited_for(
    ledger: Ledger, clock: Clock
) -> None:
    request = asked(ledger, ask(expires_in=60))
    clock.forward(seconds=50)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    clock.forward(seconds=50)
    assert ledger.expire_due() == ()
    assert isinstance(ledger.write(admit_asking(call()), alone=True), Ticket)


def test_a_yes_that_was_not_used_in_time_is_none(ledger: Ledger, clock: Clock) -> None:
    request = asked(ledger, ask(expires_in=60))
    ledger.vote(request.id, "bob", "approve", channel="cli")
    clock.forward(seconds=61)
    stopped = ledger.write(admit_asking(call()), alone=True)
    assert isinstance(stopped, Stopped)
    assert (stopped.heading, stopped.reasons[0].code) == ("REJECTED", "approval.expired")
    assert ledger.approval(request.id).state == "expired"
    assert ledger.verify().ok


def test_a_withdrawn_request_stops_the_call(ledger: Ledger) -> None:
    request = asked(ledger)
    assert ledger.cancel(request.id).state == "cancelled"
    assert ledger.cancel(request.id).state == "cancelled"
    answer = ledger.write(admit_asking(call()), alone=True)
    assert isinstance(answer, Stopped)
    assert answer.reasons[0].code == "approval.cancelled"


def test_withdrawing_comes_too_late_after_the_vote(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    assert ledger.cancel(request.id).state == "approved"


def test_votes_count_where_they_meet_what_is_asked_now(ledger: Ledger) -> None:
    request = asked(ledger, ask("bob", "eve"))
    ledger.vote(request.id, "bob", "approve", channel="cli")
    stricter = ask("bob", "eve", quorum=2)
    second = asked(ledger, stricter)
    assert second.id != request.id
    assert [vote.person for vote in second.votes] == ["bob"]
    assert ledger.approval(request.id).state == "superseded"
    with pytest.raises(Conflict, match="bob has voted"):
        ledger.vote(second.id, "bob", "approve", channel="cli")
    assert ledger.vote(second.id, "eve", "approve", channel="cli").state == "approved"
    assert isinstance(ledger.write(admit_asking(call(), stricter), alone=True), Ticket)
    assert ledger.verify().ok


def test_an_approver_who_lost_his_standing_does_not_count(ledger: Ledger) -> None:
    request = asked(ledger, ask("bob"))
    ledger.vote(request.id, "bob", "approve", channel="cli")
    assert asked(ledger, ask("eve")).state == "pending"


@pytest.mark.parametrize("status", ["suspended", "raised"])
def test_a_call_that_goes_on_keeps_the_approval_it_has_used(ledger: Ledger, status: Any) -> None:
    of = call(tool=READ)
    request = asked(ledger, of=of)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    ticket = ledger.write(admit_asking(of), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(of, ticket, status, None), alone=True)
    again = ledger.write(admit_asking(of), alone=True)
    assert again == Ticket(key=of.key, fence=2, approval=request.id)
    ledger.write(settle(of, again, status, None), alone=True)
    assert asked(ledger, ask("eve"), of=of).id != request.id
    assert ledger.calls("run")[0].state == status
    assert ledger.verify().ok


def test_an_idempotent_call_of_unknown_outcome_keeps_its_approval(ledger: Ledger) -> None:
    of = call(tool=IDEMPOTENT)
    request = asked(ledger, of=of)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    ticket = ledger.write(admit_asking(of), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(of, ticket, "unknown", None), alone=True)
    assert ledger.write(admit_asking(of), alone=True) == Ticket(key=of.key, fence=2, approval=request.id)


def test_a_blocked_attempt_has_used_its_approval_up(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    ticket = ledger.write(admit_asking(call()), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(call(), ticket, "blocked", None), alone=True)
    assert asked(ledger).id != request.id


def test_an_approved_call_over_budget_keeps_its_approval_for_later(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    over = ledger.write(admit_asking(call(), reservations=[budget(0)]), alone=True)
    assert isinstance(over, Stopped)
    assert ledger.approval(request.id).state == "approved"
    assert isinstance(ledger.write(admit_asking(call(), reservations=[budget(1)]), alone=True), Ticket)


def test_a_call_that_was_denied_meanwhile_may_be_approved_later(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.write(deny(call()), alone=True)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    assert isinstance(ledger.write(admit_asking(call()), alone=True), Ticket)


def test_who_may_not_vote_is_told_why(ledger: Ledger) -> None:
    request = asked(ledger, ask("bob", "eve", quorum=2))
    ledger.vote(request.id, "bob", "approve", channel="cli")
    for person, why in (("payer", "agents do not vote"), ("bob", "has voted"), ("mallory", "is not an approver"),
                        (" ", "plain name")):  # fmt: skip
        with pytest.raises(Conflict, match=why):
            ledger.vote(request.id, person, "approve", channel="cli")
    with pytest.raises(Conflict, match="is not a vote"):
        ledger.vote(request.id, "eve", "yes", channel="cli")  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="there is no approval 'nope'"):
        ledger.vote("nope", "eve", "approve", channel="cli")
    assert len(ledger.approval(request.id).votes) == 1


def test_the_approver_is_shown_the_complete_arguments(ledger: Ledger) -> None:
    answer = ledger.write(admit_asking(call(amount=7)), alone=True)
    assert isinstance(answer, Pending)
    assert ledger.approval_arguments(answer.approval.id) == ApprovalArguments(
        approval=answer.approval.id, arguments={"to": "DE12", "amount": 7}, mask=()
    )


def test_listings_filter_by_state(ledger: Ledger, clock: Clock) -> None:
    first, second = asked(ledger, of=call(1)), asked(ledger, ask(expires_in=5), of=call(2))
    ledger.vote(first.id, "bob", "approve", channel="cli")
    clock.forward(seconds=6)
    assert [found.id for found in ledger.approvals()] == [first.id, second.id]
    assert [found.id for found in ledger.approvals("approved")] == [first.id]
    assert [found.id for found in ledger.approvals("expired")] == [second.id]
    assert ledger.approvals("pending") == ()


def _race(count: int, work: Any) -> list[Any]:
    start = threading.Barrier(count)

    def one(number: int) -> Any:
        start.wait()
        try:
            return work(number)
        except Conflict as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_8_racing_voters_make_one_decision(ledger: Ledger) -> None:
    for turn in range(5):
        request = asked(ledger, of=call(turn))
        answers = _race(
            8,
            lambda n, request=request: ledger.vote(
                request.id, f"p{n}", "reject" if n % 2 else "approve", channel="t"
            ),
        )
        assert Counter(type(answer).__name__ for answer in answers) == {"Approval": 1, "Conflict": 7}
        decided = ledger.approval(request.id)
        assert (decided.state, len(decided.votes)) == (
            "rejected" if decided.votes[0].answer == "reject" else "approved", 1
        )  # fmt: skip
        assert {str(error).partition(" by ")[0] for error in answers if isinstance(error, Conflict)} == {
            f"approval {request.id} is already {decided.state}"
        }


def test_20_parallel_admissions_of_one_approval_give_one_ticket(ledger: Ledger) -> None:
    request = asked(ledger)
    ledger.vote(request.id, "bob", "approve", channel="cli")
    answers = _race(20, lambda _: ledger.write(admit_asking(call()), alone=False))
    assert Counter(type(answer).__name__ for answer in answers) == {"Ticket": 1, "InFlight": 19}


def test_parallel_asks_of_one_call_make_one_request(ledger: Ledger) -> None:
    answers = _race(8, lambda _: ledger.write(admit_asking(call()), alone=False))
    assert len({answer.approval.id for answer in answers}) == 1
    assert ledger.read_run("run").usage["asked"] == 1


KEY = SealingKey(bytes(32))
PEOPLE = st.sampled_from(["bob", "eve", "mia"])


class Life(RuleBasedStateMachine):
    """One call's requests against a model of four states and a set of votes."""

    database = "sqlite"

    @initialize(quorum=st.integers(1, 3))
    def begin(self, quorum: int) -> None:
        self.held = ExitStack()
        self.place = self.held.enter_context(somewhere(self.database))
        self.clock = Clock()
        self.ledger = Ledger.open(self.place, key=KEY, clock=self.clock)
        self.call = call(tool=READ)
        self.asks = (ask(quorum=quorum, expires_in=100),)
        self.ticket: Ticket | None = None
        self.request: Approval | None = None
        self.finished = False
        self.may_keep = False

    @rule(quorum=st.integers(1, 3))
    def the_policy_changes(self, quorum: int) -> None:
        self.asks = (ask(quorum=quorum, expires_in=100),)

    @rule()
    def admit(self) -> None:
        before = None if self.request is None else self.ledger.approval(self.request.id)
        answer = self.ledger.write(admit_asking(self.call, *self.asks), alone=True)
        if self.ticket is not None:
            assert answer == InFlight()
        elif before is None:
            assert isinstance(answer, Pending)
        elif before.state == "pending":
            assert answer == Pending(approval=before)
        elif before.state in ("rejected", "expired", "cancelled") or self.waited_too_long(before):
            assert isinstance(answer, Stopped)
            assert (answer.heading, answer.approval) == ("REJECTED", before.id)
        elif tally(self.asks, before.votes) == "approved" and (before.state == "approved" or self.may_keep):
            assert isinstance(answer, Ticket)
            assert answer.approval == before.id
        else:
            assert isinstance(answer, Pending)
            assert answer.approval.id != before.id
            assert answer.approval.votes == (before.votes if before.state == "approved" else ())
        if isinstance(answer, Pending):
            self.request = answer.approval
        if isinstance(answer, Ticket):
            self.ticket = answer
        assert not isinstance(answer, Moved)

    def waited_too_long(self, request: Approval) -> bool:
        """A yes is for as long as people would have been waited for."""
        if request.state != "approved":
            return False
        said = max(datetime.fromisoformat(vote.at) for vote in request.votes)
        return self.clock.now >= said + timedelta(seconds=100)

    @precondition(lambda self: self.ticket is not None)
    @rule(status=st.sampled_from(["raised", "suspended", "blocked"]))
    def end(self, status: Any) -> None:
        assert self.ticket is not None
        resumed = self.ledger.calls("run")[0]
        assert resumed.state == "started"
        assert self.ledger.write(settle(self.call, self.ticket, status, None), alone=True) == "settled"
        self.may_keep = self.ledger.calls("run")[0].state in ("raised", "suspended")
        self.ticket = None

    @precondition(lambda self: self.request is not None)
    @rule(person=PEOPLE, answer=st.sampled_from(["approve", "approve", "reject"]))
    def vote(self, person: str, answer: Any) -> None:
        assert self.request is not None
        before = self.ledger.approval(self.request.id)
        if before.state != "pending" or any(vote.person == person for vote in before.votes):
            with pytest.raises(Conflict):
                self.ledger.vote(before.id, person, answer, channel="test")
            return
        after = self.ledger.vote(before.id, person, answer, channel="test")
        assert after.state == tally(before.asks, after.votes)
        assert {vote.person for vote in after.votes} == {vote.person for vote in before.votes} | {person}

    @precondition(lambda self: self.request is not None)
    @rule()
    def cancel(self) -> None:
        assert self.request is not None
        before = self.ledger.approval(self.request.id).state
        after = self.ledger.cancel(self.request.id).state
        assert after == ("cancelled" if before == "pending" else before)

    @rule(seconds=st.sampled_from([1, 60, 120]))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        self.ledger.expire_due()

    @rule()
    def restart(self) -> None:
        """A process that ends and comes back changes nothing but the calls that it was running."""
        if self.ticket is None:
            self.ledger.close()
            self.ledger = Ledger.open(self.place, key=KEY, clock=self.clock)

    @invariant()
    def at_most_one_request_is_open(self) -> None:
        if hasattr(self, "ledger"):
            states = [found.state for found in self.ledger.approvals()]
            assert sum(state in ("pending", "approved") for state in states) <= 1

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            verification = self.ledger.verify()
            self.ledger.close()
            self.held.close()
            assert verification.ok, verification.claim


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class LifeOnPostgres(Life):
    """The same."""

    database = "postgres"


TestLifeOnPostgres = LifeOnPostgres.TestCase
TestLifeOnPostgres.settings = settings(TestLife.settings, max_examples=10)


def test_a_yes_that_is_moved_to_another_call_is_refused_and_found(ledger: Ledger, path: Place) -> None:
    dear = call(2, amount=900)
    mine, other = asked(ledger, of=call(1)), asked(ledger, of=dear)
    ledger.vote(mine.id, "bob", "approve", channel="cli")
    with stranger(path) as connection:
        connection.execute("UPDATE proposals SET approval = ? WHERE key = ?", (mine.id, dear.key))
        connection.execute("UPDATE approvals SET key = ? WHERE id = ?", (dear.key, mine.id))
    refused = ledger.write(admit_asking(dear), alone=True)
    assert isinstance(refused, Stopped)
    assert "is about another one" in refused.reasons[0].message
    faults = [fault.what for fault in ledger.verify().faults]
    assert f"the request of approval {mine.id} is not the one that was recorded" in faults
    assert not any(other.id in fault for fault in faults)


def test_labels_that_are_no_json_are_a_fault_not_a_crash(ledger: Ledger, path: Place) -> None:
    ran(ledger, call(1))
    with stranger(path) as connection:
        connection.execute("UPDATE runs SET labels = 'no json'")
    assert "the labels of run 'run' are not those that are recorded" in [
        f.what for f in ledger.verify().faults
    ]
