"""A person changes the arguments: the edit is a new call, which goes down the whole line."""

from typing import Any

import pytest

from guardrail.approvals import Approval
from guardrail.errors import Conflict
from guardrail.ledger import Ledger
from guardrail.people import People, Person
from guardrail.policy import PolicyInput
from guardrail.resuming import resume_all
from guardrail.scopes import Remembered
from guardrail.testing import ScriptedPolicy
from tests.payments import FINANCE, PEOPLE, Payments


def edit(scene: Payments, request: Approval, amount: Any, person: str = "ben") -> Approval:
    return scene.voting.edit(request.id, person, {"amount": amount}, channel="test", reason="less will do")


def test_a_call_that_is_allowed_with_the_new_arguments_runs_with_them_once(ledger: Ledger):
    scene = Payments(ledger, up_to=100)
    request = scene.ask(500)
    assert edit(scene, request, 100).state == "superseded"
    for repeated in (False, True, True):
        outcome = scene.walk(500, 1)
        assert (outcome.value, outcome.repeated) == ("sent 100", repeated)
        assert outcome.changed is not None
        assert outcome.changed.arguments == {"amount": 100}
        assert [reason.message for reason in outcome.reasons] == ["ben changed the arguments: less will do"]
    assert scene.sent == [100]
    assert ledger.verify().ok


def test_people_are_asked_anew_where_the_new_arguments_need_them_too(ledger: Ledger):
    scene = Payments(ledger)
    first = scene.ask(500)
    edit(scene, first, 300)
    second = scene.request(500, 1)
    assert (second.edits, second.edited_by, second.votes) == (first.id, "ben", ())
    assert ledger.approval_arguments(second.id).arguments == {"amount": 300}
    assert scene.request(500, 1) == second
    assert scene.vote(second).state == "approved"
    assert (scene.walk(500, 1).value, scene.walk(500, 1).value, scene.sent) == ("sent 300", "sent 300", [300])
    assert ledger.approval(first.id).state == "superseded"
    assert ledger.approval(second.id).state == "consumed"
    assert ledger.verify().ok


def test_an_edit_may_be_edited(ledger: Ledger):
    scene = Payments(ledger)
    edit(scene, scene.ask(500), 300)
    edit(scene, scene.request(500, 1), 200, "eve")
    third = scene.request(500, 1)
    scene.vote(third)
    assert (third.edited_by, scene.walk(500, 1).value, scene.sent) == ("eve", "sent 200", [200])


def test_new_arguments_that_the_policy_denies_are_denied(ledger: Ledger):
    scene = Payments(ledger)
    edit(scene, scene.ask(500), 2_000_000)
    outcome = scene.walk(500, 1)
    assert (outcome.status, outcome.heading, outcome.reasons[0].rule) == ("blocked", "DENIED", "scripted")
    assert (outcome.reasons[1].message, scene.sent) == ("ben changed the arguments: less will do", [])


@pytest.mark.parametrize("amount", ["lots", None, 1.5])
def test_new_arguments_that_do_not_validate_are_refused(ledger: Ledger, amount: Any):
    scene = Payments(ledger)
    edit(scene, scene.ask(500), amount)
    outcome = scene.walk(500, 1)
    assert (outcome.heading, outcome.reasons[0].code, scene.sent) == ("DENIED", "approval.edited", [])
    assert "ben's change of the arguments does not validate" in outcome.reasons[0].message


def test_what_was_decided_is_not_changed_any_more(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask(500)
    with pytest.raises(Conflict, match="nothing would change"):
        edit(scene, request, 500)
    scene.vote(request)
    with pytest.raises(Conflict, match=f"approval {request.id} is already approved by ben"):
        edit(scene, request, 100, "eve")
    other = scene.ask(600)
    edit(scene, other, 100)
    with pytest.raises(Conflict, match="already superseded"):
        scene.vote(other)


def test_whoever_changed_the_arguments_does_not_approve_them_where_two_people_have_to(ledger: Ledger):
    scene = Payments(ledger, PEOPLE, {"settings": {"two_person": True}})
    edit(scene, scene.ask(500), 300)
    second = scene.request(500, 1)
    with pytest.raises(Conflict, match=r"approval.two_person"):
        scene.vote(second, "ben")
    assert scene.vote(second, "eve").state == "pending"
    assert scene.vote(second, "joe").state == "approved"


def test_an_edited_call_asks_apart_from_an_identical_one_that_nobody_changed(ledger: Ledger):
    scene = Payments(ledger, PEOPLE, {"settings": {"two_person": True}})
    plain = scene.ask(7)
    edit(scene, scene.ask(5), 7)
    own = scene.request(5, 2)
    assert (own.id != plain.id, own.edited_by, own.count, ledger.approval(plain.id).count) == (
        True,
        "ben",
        1,
        1,
    )
    assert scene.ask(7).id == plain.id
    assert [scene.vote(plain, person).state for person in ("ben", "eve")] == ["pending", "approved"]
    assert (scene.walk(5, 2).heading, scene.sent) == ("WAITING", [])
    with pytest.raises(Conflict, match=r"approval.two_person"):
        scene.vote(own, "ben")


def test_who_edits_into_a_call_that_waits_already_does_not_approve_it(ledger: Ledger):
    scene = Payments(ledger, PEOPLE, {"settings": {"two_person": True}})
    waiting = scene.request(7, 1)
    edit(scene, scene.request(5, 1), 7)  # call-1 with 7, which waits: the same key
    assert scene.request(5, 1) == waiting
    assert [scene.vote(waiting, person).state for person in ("ben", "eve")] == ["pending", "approved"]
    again = scene.request(5, 1)
    assert (again.edited_by, [vote.person for vote in again.votes], scene.sent) == ("ben", ["ben", "eve"], [])
    assert scene.vote(again, "joe").state == "approved"
    assert (scene.walk(5, 1).value, scene.sent) == ("sent 7", [7])


def test_who_edits_a_call_into_a_scope_of_his_own_is_not_one_of_two_people(ledger: Ledger):
    scene = Payments(ledger, PEOPLE, {"settings": {"two_person": True}})
    first = scene.ask(7)
    for person in ("ben", "eve"):
        scene.vote(first, person)
        scene.voting.remember(first.id, person, Remembered(seconds=3600), channel="test")
    edit(scene, scene.ask(5), 7)
    second = scene.request(5, 2)
    assert (second.edited_by, scene.sent) == ("ben", [])
    assert scene.vote(second, "joe").state == "approved"
    assert (scene.walk(5, 2).value, scene.sent) == ("sent 7", [7])


def test_changed_arguments_stay_changed_when_the_policy_would_allow_the_first_ones_later(ledger: Ledger):
    scene = Payments(ledger)
    edit(scene, scene.ask(500), 300)
    scene.up_to = 1_000
    assert (scene.walk(500, 1).value, scene.sent) == ("sent 300", [300])


def test_nobody_passes_a_call_off_as_edited_by_a_person(ledger: Ledger):
    scene = Payments(ledger)
    request = scene.ask(500)
    from dataclasses import replace

    from guardrail.admission import Pending
    from tests.ledger.lines import admit_asking, call

    claimed = replace(admit_asking(call()), edits=request.id)
    answer = ledger.write(claimed, alone=True)
    assert isinstance(answer, Pending)
    assert (answer.approval.edits, answer.approval.edited_by) == (None, None)


def test_an_obligation_changes_the_edited_arguments_too(ledger: Ledger):
    """Whoever changes arguments sends a new call down the line: a person, then a policy."""
    scene = Payments(ledger)

    def half(given: PolicyInput) -> Any:
        from guardrail.decisions import Decision, Obligation, Reason

        amount = given.call.arguments["amount"]
        if amount <= 100:
            return "allow"
        if amount > 400:
            return "ask"
        return Decision(
            effect="allow",
            reasons=(Reason(rule="half", message="half of it"),),
            obligations=(Obligation(name="replace", value={"/amount": amount // 4}),),
        )

    from guardrail.guard import Guardrail

    scene.guard = Guardrail(policy=ScriptedPolicy(half), ledger=ledger, voting=scene.voting)
    edit(scene, scene.ask(500), 300)
    outcome = scene.walk(500, 1)
    assert (outcome.value, scene.sent) == ("sent 75", [75])


def test_a_run_whose_edited_call_has_gone_on_is_resumed_no_more(ledger: Ledger):
    scene = Payments(ledger, up_to=100)
    requests = [scene.ask(amount) for amount in (500, 600, 700)]
    for request, amount in zip(requests, (100, 2_000_000, 300), strict=True):  # allowed, denied, asked about
        edit(scene, request, amount)
    resumed: list[str] = []

    def resume(approval: Approval) -> None:
        resumed.append(approval.id)
        for turn, amount in enumerate((500, 600, 700), 1):
            scene.walk(amount, turn)

    assert ([len(resume_all(ledger, resume)) for _ in range(3)], scene.sent) == ([1, 0, 0], [100])
    (again,) = ledger.approvals("pending")
    scene.vote(again)
    assert [len(resume_all(ledger, resume)) for _ in range(2)] == [1, 0]
    assert (scene.sent, ledger.verify().ok) == ([100, 300], True)


def test_one_person_who_is_gone_has_still_changed_the_arguments(ledger: Ledger):
    before = Payments(ledger)
    edit(before, before.ask(500), 300)
    after = Payments(ledger, People([Person(id="mia"), *FINANCE[1:]]))
    second = after.request(500, 1)
    assert second.edited_by == "ben"
