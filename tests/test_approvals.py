"""Votes are words, people and numbers, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.approvals import Approval, Vote, check_voter, read_answer, tally
from guardrail.decisions import Ask
from guardrail.errors import Conflict, GuardrailError


def approval(**changes: object) -> Approval:
    fields: dict[str, object] = {
        "id": "a" * 32, "key": "k", "digest": "d", "run": "r", "agent": "payer", "chain": ("supervisor", "payer"),
        "principal": "user:anna", "tool": "bank/send_money", "revision": "v",
        "asks": (Ask(rule="x", message="m", approvers=("bob", "eve")),),
        "state": "pending", "requested_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T00:15:00Z", **changes,
    }  # fmt: skip
    return Approval(**fields)  # type: ignore[arg-type]


def vote(person: str, answer: str = "approve") -> Vote:
    return Vote(person=person, answer=answer, channel="test", at="2026-01-01T00:01:00Z")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["approve", " APPROVE\n", "Approve"])
def test_the_word_approve_is_a_yes(text: str):
    assert read_answer(text) == "approve"


@pytest.mark.parametrize(
    "text",
    [
        "I do NOT approve",
        "approve?",
        "approved",
        "disapprove",
        "yes",
        "y",
        "ok",
        "",
        "аpprove",
        "approve reject",
    ],
)
def test_a_look_alike_is_no_vote(text: str):
    with pytest.raises(GuardrailError, match="is not a vote"):
        read_answer(text)


@given(st.text())
def test_nothing_but_the_two_words_is_a_vote(text: str):
    try:
        assert read_answer(text) == text.strip().casefold()
    except GuardrailError:
        assert text.strip().casefold() not in {"approve", "reject"}


@pytest.mark.parametrize(
    ("changes", "person", "said"),
    [
        ({"state": "rejected", "votes": (vote("bob", "reject"),)}, "eve", "already rejected by bob"),
        ({}, "payer", "agents do not vote"),
        ({}, "supervisor", "agents do not vote"),
        ({}, "mallory", "not an approver"),
        ({}, " ", "no plain name"),
        ({}, "eve ", "no plain name"),
        ({}, "ｅve", "no plain name"),
        ({}, "e\u200bve", "no plain name"),
        ({}, "PAYER", "agents do not vote"),
        ({"votes": (vote("bob"),)}, "BOB", "has voted"),
        ({"votes": (vote("bob"),)}, "bob", "has voted"),
    ],
)
def test_who_may_not_vote_is_told_why(changes: dict[str, object], person: str, said: str):
    with pytest.raises(Conflict, match=said):
        check_voter(approval(**changes), person)


def test_an_approver_may_vote():
    check_voter(approval(), "eve")


TWO = Ask(rule="two", message="two people", quorum=2)
BOSS = Ask(rule="boss", message="the boss", approvers=("eve",))


@pytest.mark.parametrize(
    ("asks", "votes", "result"),
    [
        ([TWO], [vote("bob")], "pending"),
        ([TWO], [vote("bob"), vote("bob")], "pending"),
        ([TWO], [vote("bob"), vote("Bob")], "pending"),
        ([TWO], [vote("bob"), vote("eve")], "approved"),
        ([TWO, BOSS], [vote("bob"), vote("ann")], "pending"),
        ([TWO, BOSS], [vote("bob"), vote("eve")], "approved"),
        ([BOSS], [vote("bob")], "pending"),
        ([BOSS], [vote("bob", "reject")], "pending"),
        ([TWO, BOSS], [vote("bob"), vote("eve", "reject")], "rejected"),
        ([TWO], [vote("bob"), vote("eve"), vote("ann", "reject")], "rejected"),
        ([BOSS], [], "pending"),
    ],
)
def test_every_requirement_needs_its_quorum_of_distinct_people_and_one_no_is_final(
    asks: list[Ask], votes: list[Vote], result: str
):
    assert tally(asks, votes) == result
