"""A yes that is given beforehand: what is in a scope, for how long, and that every use of it says so."""

import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import Conflict, GuardrailError
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.people import People, Person
from guardrail.scopes import Remembered, Scope
from tests.payments import FINANCE, Payments
from tests.servers import stranger

CALL: dict[str, Any] = {
    "agent": {"id": "payer", "chain": ["payer"], "attributes": {}},
    "principal": {"id": "user:anna", "attributes": {}},
    "tool": {"server": "bank", "name": "send", "digest": "d", "effect": "write"},
    "arguments": {"to": "bob", "amount": 50, "note": "rent"},
}


def scope(**varying: Any) -> Scope:
    return Scope(
        id="s", approval="a", person="ben", channel="test", tool="bank/send", at="", until="", forgotten_by=None,
        call=CALL, varying=varying,
    )  # fmt: skip


def with_arguments(**changed: Any) -> dict[str, Any]:
    return {**CALL, "arguments": {**CALL["arguments"], **changed}}


def test_this_exact_call_is_in_its_scope_and_no_other():
    assert scope().covers(CALL)
    for other in (
        with_arguments(amount=51),
        with_arguments(amount=50.5),
        with_arguments(more=1),
        {**CALL, "arguments": {"to": "bob", "amount": 50}},
        {**CALL, "tool": {**CALL["tool"], "digest": "e"}},
        {**CALL, "agent": {**CALL["agent"], "chain": ["supervisor", "payer"]}},
        {**CALL, "principal": {"id": "user:eve", "attributes": {}}},
        {},
    ):
        assert not scope().covers(other)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ({"at_most": 100}, [100, -5, 0.5], [100.5, "5", True, None, [5]]),
        ({"at_least": 1, "at_most": 100}, [1, 100], [0, 101]),
        ("r*t", ["rent", "rt"], ["rents", "Rent", 5, None]),
        ("a?[b]*", ["a?[b]c"], ["axb", "axbc"]),
    ],
)
def test_an_argument_differs_as_the_person_has_said(pattern: Any, inside: list[Any], outside: list[Any]):
    name = "note" if isinstance(pattern, str) else "amount"
    chosen = scope(**{name: pattern})
    covered = [value for value in (*inside, *outside) if chosen.covers(with_arguments(**{name: value}))]
    assert covered == inside


ANYTHING = st.integers(-(2**53) + 1, 2**53 - 1) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=3
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["to", "amount", "note", "x"]), ANYTHING))
def test_what_nobody_has_named_stays_as_it_was(arguments: dict[str, Any]):
    covered = scope(amount={"at_most": 10**9}).covers({**CALL, "arguments": arguments})
    assert not covered or {**arguments, "amount": 50} == CALL["arguments"]


NO_PATTERNS = [
    5, None, {}, {"at_most": "5"}, {"at_most": True}, {"over": 5}, ["x"], {"at_most": float("inf")},
    {"at_least": float("nan")}, {"at_least": 1, "at_most": 1e400}, {"at_most": 10**400}, {"at_most": None}, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("pattern", NO_PATTERNS, ids=ascii)
def test_what_is_no_pattern_is_refused(pattern: Any):
    with pytest.raises(GuardrailError, match="no pattern"):
        Remembered(seconds=60, varying={"amount": pattern})


@pytest.mark.parametrize("pattern", NO_PATTERNS, ids=ascii)
def test_what_is_stored_as_a_pattern_and_is_none_covers_nothing(pattern: Any):
    assert not scope(amount=pattern).covers(with_arguments(amount=5))


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_time_is_no_time(seconds: float):
    with pytest.raises(GuardrailError, match="no time"):
        Remembered(seconds=seconds)


def remembered(scene: Payments, amount: int = 500) -> str:
    request = scene.ask(amount)
    scene.vote(request)
    return scene.voting.remember(request.id, "ben", Remembered(seconds=3600), channel="test")


def admissions(ledger: Ledger) -> list[Any]:
    return [record.fields.get("remembered") for record in ledger.records() if record.kind == "admitted"]


def test_a_call_in_a_scope_runs_without_asking_and_its_record_names_the_scope(ledger: Ledger):
    scene = Payments(ledger, approvers=["role:finance"])
    number = remembered(scene, 500)
    assert [scene.walk(500, turn).value for turn in (1, 2, 3)] == ["sent 500"] * 3
    assert admissions(ledger) == [[number]] * 3
    assert scene.walk(501, 4).heading == "WAITING"
    assert [found.state for found in ledger.approvals()] == ["consumed", "pending"]
    assert ledger.verify().ok


def test_what_another_clock_has_remembered_does_not_count(ledger: Ledger):
    scene = Payments(ledger)
    remembered(scene, 500)
    assert scene.walk(500, 1).value == "sent 500"
    with stranger(ledger.path) as connection:
        connection.execute(
            "UPDATE remembered SET at = '2199-01-01T00:00:00.000Z', until = '2199-02-01T00:00:00.000Z'"
        )
    assert scene.walk(500, 2).heading == "WAITING"


def test_a_pattern_lets_an_argument_differ(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask(500)
    scene.vote(request)
    scope = Remembered(seconds=3600, varying={"amount": {"at_most": 600}})
    scene.voting.remember(request.id, "ben", scope, channel="test")
    assert (scene.walk(600, 2).value, scene.walk(601, 3).heading) == ("sent 600", "WAITING")
    with pytest.raises(Conflict, match="no argument colour"):
        scene.voting.remember(
            request.id, "ben", Remembered(seconds=60, varying={"colour": "*"}), channel="test"
        )


def test_what_is_taken_back_counts_no_more(ledger: Ledger):
    scene = Payments(ledger)
    number = remembered(scene)
    assert scene.walk(500, 2).value == "sent 500"
    scene.voting.forget(number, "mia")
    assert scene.walk(500, 3).heading == "WAITING"
    with pytest.raises(Conflict, match="no remembered scope"):
        scene.voting.forget(number, "mia")
    (found,) = ledger.all_scopes()
    assert (found.forgotten_by, found.person) == ("mia", "ben")
    assert ledger.verify().ok


def test_a_yes_beforehand_is_one_person_s(ledger: Ledger):
    scene = Payments(ledger, quorum=2)
    request = scene.ask()
    for person in ("ben", "eve"):
        scene.vote(request, person)
    scene.voting.remember(request.id, "ben", Remembered(seconds=3600), channel="test")
    second = scene.ask()
    assert second.votes == ()
    assert scene.vote(second, "joe").state == "approved"
    assert (scene.walk(5, 2).value, scene.sent) == ("sent 5", [5])
    scene.voting.remember(request.id, "eve", Remembered(seconds=3600), channel="test")
    assert scene.walk(5, 3).value == "sent 5"


def test_a_yes_beforehand_counts_while_the_person_may_answer(ledger: Ledger):
    before = Payments(ledger, approvers=["role:finance"])
    remembered(before)
    after = Payments(ledger, People([Person(id="ben"), *FINANCE[1:]]), approvers=["role:finance"])
    after.turn = 1
    assert after.request(500, 2).state == "pending"


def test_a_call_whose_shared_yes_is_used_runs_by_what_is_remembered(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask(5)
    assert scene.ask(5).id == request.id
    scene.vote(request)
    assert scene.walk(5, 1).value == "sent 5"
    scene.voting.remember(request.id, "ben", Remembered(seconds=3600), channel="test")
    assert (scene.walk(5, 2).value, scene.sent) == ("sent 5", [5, 5])


def test_those_who_wait_go_on_once_a_yes_is_remembered_for_them(ledger: Ledger):
    scene = Payments(ledger)
    first = scene.ask(5)
    scene.vote(first)
    waiting, other = scene.ask(6), scene.ask(10)
    ended: list[Outcome] = []

    def wait(amount: int, turn: int) -> None:
        ended.append(scene.walk(amount, turn, waiting="wait"))

    threads = [threading.Thread(target=wait, args=(6, turn)) for turn in (2, 4)]
    for thread in threads:
        thread.start()
    while ledger.approval(waiting.id).count < 2:
        time.sleep(0.01)
    upto = Remembered(seconds=3600, varying={"amount": {"at_most": 9}})
    scene.voting.remember(first.id, "ben", upto, channel="test")
    assert (ledger.approval(waiting.id).state, ledger.approval(other.id).state) == ("superseded", "pending")
    for thread in threads:
        thread.join(60)
    assert ([outcome.value for outcome in ended], scene.sent) == (["sent 6"] * 2, [6, 6])
    assert ledger.verify().ok


def test_what_needs_two_people_waits_on_when_one_of_them_has_said_yes_beforehand(ledger: Ledger):
    scene = Payments(ledger, quorum=2)
    first = scene.ask(5)
    for person in ("ben", "eve"):
        scene.vote(first, person)
    second = scene.ask(6)
    upto = Remembered(seconds=3600, varying={"amount": {"at_most": 9}})
    scene.voting.remember(first.id, "ben", upto, channel="test")
    assert ledger.approval(second.id).state == "pending"
    scene.voting.remember(first.id, "eve", upto, channel="test")
    assert (ledger.approval(second.id).state, scene.walk(6, 2).value) == ("superseded", "sent 6")


def test_a_request_that_waits_is_over_once_a_yes_is_remembered_for_it(ledger: Ledger):
    scene = Payments(ledger)
    first, second = scene.ask(500), scene.ask(400)
    scene.vote(first)
    scene.voting.remember(
        first.id, "ben", Remembered(seconds=3600, varying={"amount": {"at_most": 500}}), channel="test"
    )
    assert (scene.walk(400, 2).value, ledger.approval(second.id).state) == ("sent 400", "superseded")


def test_a_no_stands_against_a_yes_beforehand(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask(400)
    scene.vote(request, "ben", "reject")
    remembered(scene, 500)
    scope = Remembered(seconds=3600, varying={"amount": {"at_most": 500}})
    scene.voting.remember(ledger.approvals()[1].id, "ben", scope, channel="test")
    assert scene.walk(400, 1).heading == "REJECTED"
    assert scene.walk(400, 3).value == "sent 400"


def test_only_what_one_has_approved_is_remembered_and_not_for_ever(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask()
    with pytest.raises(Conflict, match="has not approved"):
        scene.voting.remember(request.id, "ben", Remembered(seconds=60), channel="test")
    scene.vote(request)
    with pytest.raises(Conflict, match="at most 604,800 seconds"):
        scene.voting.remember(request.id, "ben", Remembered(seconds=604_801), channel="test")
    with pytest.raises(Conflict, match="not one of the people"):
        scene.voting.remember(request.id, "payer", Remembered(seconds=60), channel="test")
