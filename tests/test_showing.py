"""What a person is shown of a request is the stored call: all of it, or the word that it is not all."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.canonical import canonical
from guardrail.errors import Waiting
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.scopes import Remembered
from guardrail.showing import Change, changes, show
from guardrail.testing import ScriptedApprover, decision
from tests.payments import Payments

KEY = b"masking"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)

GuardThat = Callable[..., Guardrail]


def asked(guard: Guardrail, **arguments: Any) -> str:
    """Ask people for one call; answers the request's id."""

    def send_money(to: str, amount: int = 500) -> str:
        """Send money."""
        return "sent"

    with guard.run("run-1", principal="user:anna"), pytest.raises(Waiting):
        guard.tool(send_money, agent="payer", server="bank", waiting="answer")(**arguments)
    return guard.ledger.approvals()[-1].id


def test_everything_that_a_person_needs_is_shown(guard_that: GuardThat, ledger: Ledger):
    guard = guard_that(decision("ask", rule="payments.large", message="more than 100", approvers=("ben",)))
    shown = show(ledger, asked(guard, to="p\u0430ypal"), key=KEY)
    it = shown.approval
    assert shown.facts == (
        ("tool", "bank/send_money"),
        ("agent", "payer"),
        ("acts for", "user:anna"),
        ("asked", "more than 100 [payments.large]; needs 1 of ben"),
        ("requested", it.requested_at),
        ("expires", it.expires_at),
        ("run", "run-1"),
        ("call", f"call_{it.key[:16]}"),
        ("digest", it.digest),
    )
    assert shown.lines == ('"amount": 500', r'"to": "p\u{430}ypal"')
    assert (shown.is_whole, shown.is_spelled_out) == (True, True)
    assert shown.extent == "29 bytes of canonical JSON, complete"


def test_what_is_masked_is_named_and_the_request_is_not_whole(guard_that: GuardThat, ledger: Ledger):
    shown = show(ledger, asked(guard_that("ask"), to="bob"), key=KEY, hide=["/to", "/nowhere"])
    assert (shown.hidden, shown.is_whole) == (("/to",), False)
    assert shown.extent == "25 bytes of canonical JSON; NOT SHOWN: /to"
    assert "bob" not in "".join(shown.lines)


def test_where_everything_is_masked_nothing_is_shown(guard_that: GuardThat, ledger: Ledger):
    shown = show(ledger, asked(guard_that("ask"), to="bob"), key=KEY, hide=[""])
    assert (shown.lines, shown.is_whole) == ((), False)
    assert shown.extent == "25 bytes of canonical JSON; NOT SHOWN: everything"


def test_votes_are_shown_with_their_reasons(guard_that: GuardThat, ledger: Ledger):
    approval = asked(guard_that("ask"), to="bob")
    ledger.vote(approval, "ben", "reject", channel="cli", reason="no\u202e")
    shown = show(ledger, approval, key=KEY)
    (vote,) = shown.approval.votes
    assert ("vote", rf"ben: reject at {vote.at} by cli no\u{{202e}}") in shown.facts


def test_what_took_the_place_of_a_superseded_request_is_shown(ledger: Ledger):
    scene = Payments(ledger)
    edited, allowed, more, covered = (scene.ask(amount) for amount in (50, 40, 60, 70))
    scene.voting.edit(edited.id, "ben", {"amount": 41}, channel="test")
    scene.up_to = 45
    assert [scene.walk(50, 1).value, scene.walk(40, 2).value] == ["sent 41", "sent 40"]
    scene.vote(more)
    scene.voting.remember(more.id, "ben", _upto(70), channel="test")
    scene.asked["quorum"] = 2
    scene.walk(60, 3)
    shown = [show(ledger, request.id, key=b"k") for request in (edited, allowed, more, covered)]
    assert [(it.approval.state, it.instead, it.ended) for it in shown] == [
        ("superseded", "edit", "returned"), ("superseded", "nothing", None), ("superseded", "request", None),
        ("superseded", "nothing", None),
    ]  # fmt: skip
    assert ledger.verify().ok


def _upto(amount: int) -> Remembered:
    return Remembered(seconds=3600, varying={"amount": {"at_most": amount}})


def test_how_the_call_ended_is_shown_once_it_was_admitted(guard_that: GuardThat, ledger: Ledger):
    waiting = asked(guard_that("ask"), to="bob")
    with ScriptedApprover(ledger, every=0.01), guard_that("ask").run("run-2"):
        guard_that("ask").tool(lambda: None, agent="payer", name="pause")()
    used = ledger.approvals(state="consumed")[0].id
    assert [show(ledger, approval, key=KEY).ended for approval in (waiting, used)] == [None, "returned"]


def test_identical_calls_that_wait_are_counted(guard_that: GuardThat, ledger: Ledger):
    guard = guard_that("ask")
    assert asked(guard, to="bob") == asked(guard, to="bob")
    (request,) = ledger.approvals()
    assert ("waiting", "2 identical calls; one yes runs one of them") in show(
        ledger, request.id, key=KEY
    ).facts


def test_changes_are_told_leaf_by_leaf():
    before = {"to": "bob", "amount": 5, "lines": [1, 2], "memo": "a", "at": {"x": 1, "y": 2}}
    after = {"to": "b\u043eb", "amount": 5, "lines": [1, 3], "note": "b", "at": {"x": 1, "y": 3}}
    assert list(changes(before, after)) == [
        Change(pointer="/to", before='"bob"', after=r'"b\u{43e}b"'),
        Change(pointer="/lines/1", before="2", after="3"),
        Change(pointer="/memo", before='"a"', after=None),
        Change(pointer="/at/y", before="2", after="3"),
        Change(pointer="/note", before=None, after='"b"'),
    ]


def test_a_change_is_one_line_a_side():
    assert Change(pointer="/a\u200b", before="1", after="2").lines == (r"- /a\u{200b}: 1", r"+ /a\u{200b}: 2")
    assert Change(pointer="/a", before=None, after="2").lines == ("+ /a: 2",)


@given(JSON, JSON)
def test_no_change_goes_untold(before: Any, after: Any):
    assert bool(list(changes(before, after))) == (canonical(before) != canonical(after))
