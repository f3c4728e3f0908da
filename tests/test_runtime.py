"""The line itself, step by step, without any I/O: what it asks for, and what follows from each answer."""

from dataclasses import replace
from typing import Any

import pytest

from guardrail.admission import Admit, InFlight, Moved, Pending, Refuse, Settle, Settled, Stopped, Ticket
from guardrail.approvals import Approval
from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Ask, Decision, Obligation, Reason
from guardrail.execution import Attempt
from guardrail.outcomes import Outcome
from guardrail.provenance import Source
from guardrail.releasing import release_of
from guardrail.runtime import INSIDE, MAX_ROUNDS, UNRECORDED, line
from guardrail.steps import AwaitApproval, Decide, Decided, Execute, Join, Review, Reviewed, Step

CALL = Call.of({"amount": 5}, run="r", id="1", tool=Tool(name="pay", deadline=9.0), agent=Agent(id="payer"))
ALLOW = Decision(effect="allow", reasons=(Reason(rule="ok", message="fine"),), revision="v")
DENY = Decision(effect="deny", reasons=(Reason(rule="no", message="bad", fix="stop"),), revision="v")
ASK = Decision(
    effect="ask",
    reasons=(Reason(rule="ask", message="big"),),
    asks=(Ask(rule="ask", message="big"),),
    revision="v",
)
TICKET = Ticket(key=CALL.key, fence=1)
APPROVAL = Approval(
    id="f" * 32, key=CALL.key, digest=CALL.digest, run="r", agent="payer", chain=("payer",), principal="anonymous",
    tool="local/pay", asks=ASK.asks, revision="v", state="pending", requested_at="", expires_at="",
)  # fmt: skip


def attempt(**changes: Any) -> Attempt:
    def never(call: Call) -> Any:
        raise AssertionError("the line runs nothing itself")

    return Attempt(call=CALL, invoke=never, **changes)


def decided(decision: Decision, **changes: Any) -> Decided:
    return Decided(decision=decision, given=b"{}", version=3, **changes)


def walk(answers: list[Any], **changes: Any) -> tuple[list[Step], Outcome]:
    """Answer the steps one after the other; returns what was asked and how it ended."""
    steps = line(attempt(**changes))
    asked = [next(steps)]
    rest = iter(answers)
    while True:
        try:
            asked.append(steps.send(next(rest)))
        except StopIteration as stop:
            assert next(rest, "nothing left") == "nothing left"
            return asked, stop.value


def admit(decision: Decision = ALLOW, call: Call = CALL, **changes: Any) -> Admit:
    return Admit(call=call, decision=decision, given=b"{}", version=3, **changes)


EXECUTE = Execute(call=CALL, ticket=TICKET, deadline=9.0, given=b"{}")
SAID = Source(kind="untrusted", content="paid", tool="local/pay", call=CALL.reference)
REVIEW = Review(call=CALL, content="paid")
REVIEWED = Reviewed(source=SAID, labels=("untrusted",))
RETURNED = Settle(
    call=CALL, ticket=TICKET, status="returned", result=b'"paid"', source=SAID, labels=("untrusted",)
)


def test_an_allowed_call_is_decided_admitted_executed_and_settled_in_this_order():
    asked, outcome = walk(
        [decided(ALLOW), TICKET, Outcome(status="returned", value="paid"), REVIEWED, "settled"]
    )
    assert asked == [Decide(call=CALL), admit(), EXECUTE, REVIEW, RETURNED]
    assert outcome == Outcome(status="returned", value="paid")


def test_a_denied_call_is_recorded_and_never_admitted():
    asked, outcome = walk([decided(DENY), None])
    assert asked == [Decide(call=CALL), Refuse(call=CALL, decision=DENY, given=b"{}")]
    assert outcome == Outcome(status="blocked", heading="DENIED", reasons=DENY.reasons)


def test_in_observe_mode_a_deny_is_recorded_with_the_admission_and_the_tool_runs():
    answers = [
        decided(DENY, observe=True),
        TICKET,
        Outcome(status="returned", value="paid"),
        REVIEWED,
        "settled",
    ]
    asked, outcome = walk(answers)
    assert asked == [Decide(call=CALL), admit(DENY, observe=True), EXECUTE, REVIEW, RETURNED]
    assert outcome.value == "paid"


def test_after_a_wait_everything_is_decided_again():
    answers = [decided(ASK), Pending(approval=APPROVAL), True, decided(DENY), None]
    asked, outcome = walk(answers)
    assert asked == [
        Decide(call=CALL), admit(ASK), AwaitApproval(call=CALL, approval=APPROVAL), Decide(call=CALL),
        Refuse(call=CALL, decision=DENY, given=b"{}"),
    ]  # fmt: skip
    assert outcome.heading == "DENIED"


def test_where_nobody_waits_the_outcome_says_what_is_waited_for():
    _, outcome = walk([decided(ASK), Pending(approval=APPROVAL), False])
    assert outcome == Outcome(
        status="blocked",
        heading="WAITING",
        reasons=(Reason(rule="ask", message="big"),),
        approval=APPROVAL.id,
    )


def test_an_approval_that_was_used_stands_in_the_outcome():
    used = replace(TICKET, approval=APPROVAL.id)
    _, outcome = walk([decided(ASK), used, Outcome(status="returned", value="paid"), REVIEWED, "settled"])
    assert outcome.approval == APPROVAL.id


def test_labels_that_moved_meanwhile_lead_back_to_the_decision():
    asked, _ = walk([decided(ALLOW), Moved(), decided(DENY), None])
    assert [type(step) for step in asked] == [Decide, Admit, Decide, Refuse]


def test_a_run_that_never_stands_still_ends_in_a_recorded_deny():
    asked, outcome = walk([decided(ALLOW), Moved()] * MAX_ROUNDS + [None])
    assert (type(asked[-1]), outcome.status, outcome.reasons[0].code) == (Refuse, "blocked", "guard.error")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            Stopped(reasons=DENY.reasons, heading="REJECTED", approval="f"),
            Outcome(status="blocked", heading="REJECTED", reasons=DENY.reasons, approval="f"),
        ),
        (Settled(status="returned", result=b"7"), Outcome(status="returned", value=7, repeated=True)),
        (Settled(status="returned"), Outcome(status="returned", heading="RESULT NOT KEPT", repeated=True)),
        (Settled(status="raised", message="E: x"), Outcome(status="raised", message="E: x", repeated=True)),
        (Settled(status="unknown"), Outcome(status="unknown", heading="UNKNOWN OUTCOME", repeated=True)),
    ],
)
def test_what_is_not_admitted_is_answered_without_running(answer: Any, outcome: Outcome):
    asked, ended = walk([decided(ALLOW), answer])
    assert ([type(step) for step in asked], ended) == ([Decide, Admit], outcome)


def test_a_call_in_flight_is_joined():
    joined = Outcome(status="returned", value="paid", repeated=True)
    asked, outcome = walk([decided(ALLOW), InFlight(elsewhere=True), joined])
    assert (asked[-1], outcome) == (Join(call=CALL, elsewhere=True), joined)


def test_a_call_that_joins_itself_is_a_recorded_deny():
    asked, outcome = walk([decided(ALLOW), InFlight(), INSIDE, None])
    assert asked[-2:] == [Join(call=CALL, elsewhere=False), Refuse(call=CALL, decision=INSIDE, given=b"{}")]
    assert outcome == Outcome(status="blocked", heading="DENIED", reasons=INSIDE.reasons)


def test_a_joined_call_that_came_to_nothing_is_decided_again():
    asked, _ = walk([decided(ALLOW), InFlight(), None, decided(DENY), None])
    assert [type(step) for step in asked] == [Decide, Admit, Join, Decide, Refuse]


def obliged(name: Any, value: Any) -> Decision:
    return replace(ALLOW, obligations=(Obligation(name=name, value=value),))


def test_changed_arguments_are_a_new_call_that_is_decided_anew():
    change = obliged("replace", {"/amount": 1})
    edited = CALL.edited({"amount": 1})
    ticket = Ticket(key=edited.key, fence=1)
    answers = [
        decided(change),
        decided(change),
        ticket,
        Outcome(status="returned", value=1),
        REVIEWED,
        "settled",
    ]
    asked, outcome = walk(answers)
    assert asked[1:3] == [Decide(call=edited), admit(change, edited)]
    assert outcome == Outcome(status="returned", value=1, changed=edited)


def test_a_change_that_does_not_validate_is_a_deny():
    def refuse_all(arguments: Any) -> Any:
        from guardrail.errors import InvalidArguments

        raise InvalidArguments("amount: too small")

    _, outcome = walk([decided(obliged("redact", ["/amount"])), None], validate=refuse_all)
    assert (outcome.status, outcome.reasons[0].code) == ("blocked", "obligation.failed")


def test_a_change_of_what_is_not_there_changes_nothing():
    asked, _ = walk([decided(obliged("redact", ["/other"])), Moved(), decided(DENY), None])
    assert type(asked[1]) is Admit


@pytest.mark.parametrize(("asked_for", "got"), [(3.0, 3.0), (30.0, 9.0)])
def test_the_shorter_deadline_counts(asked_for: float, got: float):
    asked, _ = walk(
        [decided(obliged("deadline", asked_for)), TICKET, Outcome(status="returned"), REVIEWED, "settled"]
    )
    assert asked[2] == replace(EXECUTE, deadline=got)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Outcome(status="unknown", message="late", heading="UNKNOWN OUTCOME"), "unknown"),
        (Outcome(status="suspended", message="paused"), "suspended"),
    ],
)
def test_every_end_of_an_execution_is_settled_as_what_it_is(result: Outcome, status: Any):
    asked, outcome = walk([decided(ALLOW), TICKET, result, "settled"])
    assert asked[-1] == Settle(call=CALL, ticket=TICKET, status=status, message=result.message)
    assert outcome == result


def test_what_a_tool_raises_is_reviewed_as_what_it_returns_is():
    error = ValueError("x")
    said = replace(REVIEWED, source=replace(SAID, content="ValueError: x"))
    raised = Outcome(status="raised", message="ValueError: x", error=error)
    asked, outcome = walk([decided(ALLOW), TICKET, raised, said, "settled"])
    assert asked[3:] == [
        Review(call=CALL, content="ValueError: x", raised=True),
        Settle(
            call=CALL, ticket=TICKET, status="raised", message="ValueError: x",
            source=said.source, labels=("untrusted",),
        ),
    ]  # fmt: skip
    assert outcome == raised


def test_what_was_raised_and_is_withheld_is_not_kept_and_a_repeat_says_so_too():
    gone = replace(REVIEWED, released="withheld", decision=DENY, given=b"{}")
    raised = Outcome(status="raised", message="ValueError: x", error=ValueError("x"))
    asked, outcome = walk([decided(ALLOW), TICKET, raised, gone, "settled"])
    assert asked[-1] == Settle(
        call=CALL, ticket=TICKET, status="raised", review=DENY, given=b"{}", released="withheld"
    )
    assert outcome == Outcome(status="raised", heading="WITHHELD", reasons=DENY.reasons)
    _, again = walk([decided(ALLOW), Settled(status="raised", withheld=DENY.reasons)])
    assert again == replace(outcome, repeated=True)


def test_a_result_without_a_stored_form_is_settled_without_one():
    value = object()
    asked, outcome = walk(
        [decided(ALLOW), TICKET, Outcome(status="returned", value=value), REVIEWED, "settled"]
    )
    assert (asked[-1], outcome.value) == (replace(RETURNED, result=None), value)


def test_an_outcome_that_cannot_be_recorded_is_not_handed_on():
    _, outcome = walk(
        [decided(ALLOW), TICKET, Outcome(status="returned", value="paid"), REVIEWED, "unrecorded"]
    )
    assert outcome == Outcome(status="unknown", heading="UNKNOWN OUTCOME", reasons=(UNRECORDED,))


def test_a_line_that_is_closed_early_yields_nothing_more():
    steps = line(attempt())
    next(steps)
    steps.send(decided(ALLOW))
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_a_result_that_is_withheld_is_not_kept_and_a_repeat_says_so_too():
    gone = replace(REVIEWED, released="withheld", decision=DENY, given=b"{}")
    asked, outcome = walk([decided(ALLOW), TICKET, Outcome(status="returned", value="paid"), gone, "settled"])
    assert asked[-1] == Settle(
        call=CALL, ticket=TICKET, status="returned", review=DENY, given=b"{}", released="withheld"
    )
    assert outcome == Outcome(status="returned", heading="WITHHELD", reasons=DENY.reasons)
    _, again = walk([decided(ALLOW), Settled(status="returned", withheld=DENY.reasons)])
    assert again == replace(outcome, repeated=True)


def test_a_result_that_is_changed_is_kept_and_handed_on_as_changed():
    changed = replace(
        REVIEWED, source=replace(SAID, content="p."), released="changed", decision=ALLOW, changed=True
    )
    asked, outcome = walk(
        [decided(ALLOW), TICKET, Outcome(status="returned", value="paid"), changed, "settled"]
    )
    assert (asked[-1].result, asked[-1].source.content, outcome.value) == (b'"p."', "p.", "p.")


HELD = replace(
    REVIEWED,
    released="held",
    decision=ASK,
    given=b"{}",
    version=3,
    release=release_of(CALL, "paid"),
)
LET_THROUGH = release_of(CALL, "paid")
LETTING = Ticket(key=LET_THROUGH.key, fence=1, approval=APPROVAL.id)


def test_a_result_that_people_have_to_let_through_is_kept_and_handed_on_by_a_call_of_its_own():
    answers = [
        decided(ALLOW), TICKET, Outcome(status="returned", value="paid"), HELD, "settled",
        HELD, Pending(approval=APPROVAL), True, HELD, LETTING, "settled",
    ]  # fmt: skip
    asked, outcome = walk(answers)
    assert (asked[4].released, asked[4].result, asked[4].source) == ("held", b'"paid"', None)
    assert (asked[6], asked[7]) == (
        admit(ASK, LET_THROUGH),
        AwaitApproval(call=LET_THROUGH, approval=APPROVAL),
    )
    assert (asked[-1].call, asked[-1].source, asked[-1].labels) == (LET_THROUGH, SAID, ("untrusted",))
    assert outcome == Outcome(status="returned", value="paid", approval=APPROVAL.id)


def test_a_held_result_is_not_handed_on_unless_that_is_recorded():
    answers = [
        decided(ALLOW),
        Settled(status="returned", result=b'"paid"', held=True),
        HELD,
        LETTING,
        "unrecorded",
    ]
    _, outcome = walk(answers)
    assert (outcome.heading, outcome.value) == ("WITHHELD", None)


@pytest.mark.parametrize(
    ("answers", "heading"),
    [
        ([HELD, Pending(approval=APPROVAL), False], "HELD"),
        ([HELD, Stopped(reasons=DENY.reasons, heading="REJECTED", approval="f")], "WITHHELD"),
        ([replace(HELD, released="withheld", decision=DENY), None], "WITHHELD"),
        ([replace(HELD, released="withheld", decision=DENY, release=None)], "WITHHELD"),  # the ledger is lost
    ],
)
def test_a_held_result_that_nobody_lets_through_reaches_nobody(answers: list[Any], heading: str):
    held = Settled(status="returned", result=b'"paid"', held=True)
    _, outcome = walk([decided(ALLOW), held, *answers])
    assert (outcome.heading, outcome.value) == (heading, None)


def test_a_denial_of_what_was_held_is_recorded():
    gone = replace(HELD, released="withheld", decision=DENY)
    held = Settled(status="returned", result=b'"paid"', held=True)
    asked, _ = walk([decided(ALLOW), held, gone, None])
    assert asked[2:] == [
        Review(call=CALL, content="paid", held=True),
        Refuse(call=LET_THROUGH, decision=DENY, given=b"{}"),
    ]


def test_what_was_held_and_nobody_has_to_be_asked_about_any_more_is_handed_on_by_its_own_call_too():
    free = replace(HELD, released="whole", decision=ALLOW)
    held = Settled(status="returned", result=b'"paid"', held=True)
    asked, outcome = walk([decided(ALLOW), held, free, LETTING, "settled"])
    assert asked[3] == admit(ALLOW, LET_THROUGH)
    assert (asked[4].call, asked[4].source, asked[4].labels) == (LET_THROUGH, SAID, ("untrusted",))
    assert outcome.value == "paid"


def test_what_people_were_shown_is_what_is_handed_on():
    """A rule that blanks something is new: it was not blanked when the result was kept."""
    blanked = replace(SAID, content="p.")
    less = replace(HELD, source=blanked, changed=True, release=release_of(CALL, "p."))
    held = Settled(status="returned", result=b'"paid"', held=True)
    asked, outcome = walk([decided(ALLOW), held, less, LETTING, "settled"])
    assert (asked[-1].source, asked[-1].released, outcome.value) == (blanked, "changed", "p.")
    _, again = walk([decided(ALLOW), held, less, Settled(status="returned", result=b"null")])
    assert (again.value, again.repeated) == ("p.", True)


def test_what_cannot_be_kept_for_people_is_withheld_and_its_content_stands_nowhere():
    given = b'{"output":{"content":"paid","bytes":6}}'
    asked, outcome = walk(
        [
            decided(ALLOW),
            TICKET,
            Outcome(status="returned", value=object()),
            replace(HELD, given=given),
            "settled",
        ]
    )
    settle = asked[-1]
    assert (settle.released, settle.result, settle.given) == (
        "withheld",
        None,
        b'{"output":{"content":null,"bytes":6}}',
    )
    assert outcome.heading == "WITHHELD"
