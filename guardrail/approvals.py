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

from guardrail.canonical import digest
from guardrail.clock import is_believed
from guardrail.decisions import Ask
from guardrail.errors import Conflict, GuardrailError

ApprovalState = Literal["pending", "approved", "rejected", "expired", "cancelled", "superseded", "consumed"]
"""pending → approved → consumed; pending → rejected, expired, cancelled or superseded (a person changed
the arguments); approved → expired or superseded (other requirements took its place). Nothing leads back."""

Answer = Literal["approve", "reject"]
"""The two votes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said, once.

    Attributes:
        person: id of a verified person.
        channel: where the vote was cast: `terminal`, `cli`, `scripted`, …
        at: RFC 3339, UTC.
        opened: the channel had shown the complete arguments; it says so itself, so this is counted, never trusted.
    """

    person: str
    answer: Answer
    channel: str
    at: str
    reason: str = ""
    opened: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One request, as stored.

    Attributes:
        id: 32 random hex characters; the only thing that leaves the ledger on its own.
        key: the key of the call that asked first; identical ones that asked meanwhile wait with it.
        digest: what was shown and what may run: agent, chain, tool definition and arguments.
        asks: the requirements, all of them to be met.
        revision: the policy that asked; recorded, not binding, since the line decides again.
        edits: id of the request whose arguments a person changed, where this is the call with the new ones.
        edited_by: who changed them.
        count: how many identical calls wait here; one yes runs one of them.
        changed_by: who put other arguments in the place of these, where that has superseded it.
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
    edits: str | None = None
    edited_by: str | None = None
    count: int = 1
    changed_by: str | None = None

    def is_over(self, now: str) -> bool:
        """Whether its time is over; that of one that was made by a clock far ahead of this one is, too.

        Args:
            now: RFC 3339, UTC, milliseconds.
        """
        return self.expires_at <= now or not is_believed(self.requested_at, now)

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
                    "opened": vote.opened,
                }
                for vote in self.votes
            ],
            "edits": self.edits,
            "edited_by": self.edited_by,
            "count": self.count,
            "changed_by": self.changed_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What people have said to a call, as the approval policy judged it before the admission.

    The admission takes it only while what is stored is what was judged.

    Attributes:
        approval: id of the request that was judged; empty = none was approved then.
        votes: `digest_of` its votes.
        remembered: ids of the scopes that people remembered and that this call is in.
        met: whether this is enough for what is asked now.
        alone: whether what was remembered is, without any vote.
        most: how many requests of one agent may wait in one run.
    """

    approval: str = ""
    votes: str = ""
    remembered: tuple[str, ...] = ()
    met: bool = False
    alone: bool = False
    most: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one more answer would come to, as the approval policy judged it.

    Attributes:
        votes: `digest_of` the votes before it.
        met: whether, with it, the answers are enough.
    """

    votes: str
    met: bool


def digest_of(votes: Sequence[Vote]) -> str:
    """Stands for exactly these votes."""
    return digest(*(f"{vote.person} {vote.answer} {vote.at}".encode() for vote in votes))


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
    """Refuse a vote that may not be cast, by what the request itself says.

    Raises:
        Conflict: as `check_floor`, or the person is not among the approvers.
    """
    check_floor(approval, person)
    if not any(may_answer(ask, person) for ask in approval.asks):
        wanted = sorted({name for ask in approval.asks for name in ask.approvers})
        raise Conflict(
            f"{person} is not an approver of {approval.id}", fix=f"ask one of: {', '.join(wanted)}"
        )


def check_floor(approval: Approval, person: str, principals: Sequence[str] = ()) -> None:
    """Refuse a vote that no policy can let pass.

    Args:
        approval: the request.
        person: who votes.
        principals: who that person is, where agents act for somebody.

    Raises:
        Conflict: decided already, voted already, or barred; the message says which.
    """
    if approval.state != "pending":
        raise Conflict(already_decided(approval))
    if not person or person != _spelt(person):
        raise Conflict(
            f"{person!r} is no plain name of a person (empty, blanks at its ends, letters with a plainer form)",
            fix="vote under one plain name: --as NAME",
        )
    if is_agent(approval, person):
        raise Conflict(f"{person} is an agent of this call; agents do not vote")
    if is_principal(approval, person, principals):
        raise Conflict(f"the agents act for {person} here: somebody else has to answer")
    if _same_as(person, [vote.person for vote in approval.votes]):
        raise Conflict(f"{person} has voted on {approval.id} already")


def is_agent(approval: Approval, person: str) -> bool:
    """Whether a person has the name of an agent of the call."""
    return _same_as(person, approval.chain)


def is_principal(approval: Approval, person: str, principals: Sequence[str] = ()) -> bool:
    """Whether the agents act for this person."""
    return _same_as(approval.principal, (person, *principals))


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
    """The answer to a late or repeated vote: who decided it, where people did."""
    match approval.state:
        case "approved" | "consumed":
            people = [vote.person for vote in approval.votes if vote.answer == "approve"]
        case "rejected":
            people = [vote.person for vote in approval.votes if vote.answer == "reject"]
        case _:
            people = [] if approval.changed_by is None else [approval.changed_by]
    by = f" by {', '.join(people)}" if people else ""
    return f"approval {approval.id} is already {approval.state}{by}"
