"""The approval: a durable request that people answer, bound to one exact call.

A yes is for now: an approval that is not used for as long as people would have been waited for expires too.

The row lives in the ledger; this module is the rules of it, without I/O: who is barred from voting,
which words are votes, and what a set of votes amounts to. Silence is a refusal: an approval that
reaches `expires_at` unanswered is `expired`, and no setting turns that into a yes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from guardrail.decisions import Ask
from guardrail.errors import Conflict, GuardrailError

ApprovalState = Literal["pending", "approved", "rejected", "expired", "cancelled", "consumed"]
"""pending → approved → consumed; pending → rejected, expired or cancelled; approved → expired or
cancelled (where a new request, with other requirements, takes its place). Nothing leads back."""

Answer = Literal["approve", "reject"]
"""The two votes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said, once.

    Attributes:
        person: id of a verified person.
        channel: where the vote was cast: `terminal`, `cli`, `scripted`, …
        at: RFC 3339, UTC.
    """

    person: str
    answer: Answer
    channel: str
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One request, as stored.

    Attributes:
        id: 32 random hex characters; the only thing that leaves the ledger on its own.
        key: the call's key: this request answers for that attempt only.
        digest: what was shown and what may run: agent, chain, tool definition and arguments.
        asks: the requirements, all of them to be met.
        revision: the policy that asked; recorded, not binding, since the line decides again.
    """

    id: str
    key: str
    digest: str
    run: str
    agent: str
    chain: tuple[str, ...]
    principal: str
    tool: str
    asks: tuple[Ask, ...]
    revision: str
    state: ApprovalState
    requested_at: str
    expires_at: str
    votes: tuple[Vote, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For listings: everything but the arguments, which are sealed."""
        return {
            "id": self.id,
            "state": self.state,
            "run": self.run,
            "agent": self.agent,
            "chain": list(self.chain),
            "principal": self.principal,
            "tool": self.tool,
            "asks": [ask.as_json() for ask in self.asks],
            "requested_at": self.requested_at,
            "expires_at": self.expires_at,
            "votes": [
                {
                    "person": vote.person,
                    "answer": vote.answer,
                    "channel": vote.channel,
                    "at": vote.at,
                    "reason": vote.reason,
                }
                for vote in self.votes
            ],
        }


def read_answer(text: str) -> Answer:
    """The vote that a person typed: exactly `approve` or `reject`, in any letter case.

    "I do NOT approve" holds the word and is no vote; neither are `y`, `ok` or an empty line.

    Raises:
        GuardrailError: the text is not one of the two words.
    """
    word = text.strip().casefold()
    if word == "approve":
        return "approve"
    if word == "reject":
        return "reject"
    raise GuardrailError(f"{text.strip()!r} is not a vote", fix="type the one word 'approve' or 'reject'")


def check_voter(approval: Approval, person: str) -> None:
    """Refuse a vote that may not be cast at all.

    Raises:
        Conflict: decided already, voted already, barred, or not among the approvers; the message says which.
    """
    if approval.state != "pending":
        raise Conflict(already_decided(approval))
    if not person or person != _spelt(person):
        raise Conflict(
            f"{person!r} is no plain name of a person (empty, blanks at its ends, letters with a plainer form)",
            fix="vote under one plain name: --as NAME",
        )
    if _same_as(person, approval.chain):
        raise Conflict(f"{person} is an agent of this call; agents do not vote")
    if _same_as(person, [vote.person for vote in approval.votes]):
        raise Conflict(f"{person} has voted on {approval.id} already")
    if not any(may_answer(ask, person) for ask in approval.asks):
        wanted = sorted({name for ask in approval.asks for name in ask.approvers})
        raise Conflict(
            f"{person} is not an approver of {approval.id}", fix=f"ask one of: {', '.join(wanted)}"
        )


def may_answer(ask: Ask, person: str) -> bool:
    """Whether a person's vote counts for one requirement."""
    return not ask.approvers or person in ask.approvers


def _spelt(person: str) -> str:
    """The one spelling of a name (Unicode NFKC, no blanks around it, printable); "" where it has none."""
    plain = unicodedata.normalize("NFKC", person).strip()
    return plain if plain.isprintable() else ""


def _same_as(person: str, names: Sequence[str]) -> bool:
    """Whether somebody of that name is among them, however the letters' case is written."""
    return person.casefold() in {name.casefold() for name in names}


def tally(asks: Sequence[Ask], votes: Sequence[Vote]) -> Literal["pending", "approved", "rejected"]:
    """What the votes amount to: one eligible no is final; every requirement needs its quorum of yes."""
    if any(vote.answer == "reject" and any(may_answer(ask, vote.person) for ask in asks) for vote in votes):
        return "rejected"
    for ask in asks:
        people = {
            vote.person.casefold()
            for vote in votes
            if vote.answer == "approve" and may_answer(ask, vote.person)
        }
        if len(people) < ask.quorum:
            return "pending"
    return "approved"


def already_decided(approval: Approval) -> str:
    """The answer to a late or repeated vote."""
    people = ", ".join(vote.person for vote in approval.votes)
    return f"approval {approval.id} is already {approval.state}" + (f" by {people}" if people else "")
