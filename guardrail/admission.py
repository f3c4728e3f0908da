"""The admission: one transaction between the decision and the execution.

Key, halt switches, budgets, approval use and intent record are checked and written together, all or
nothing, durably, before the tool runs. Here are the forms in which the line asks the ledger and the
ledger answers; the ledger itself is `guardrail.ledger`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from guardrail.approvals import Approval, Consent
from guardrail.budgets import Reservation
from guardrail.calls import Call
from guardrail.decisions import Decision, Reason
from guardrail.outcomes import Heading, Status
from guardrail.provenance import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """May this call run now?

    Attributes:
        decision: what the policies said: `allow`, or `ask` with its requirements.
        given: the policy input as JSON text: sealed beside the record.
        version: the run's version that the decision was made at; another one now answers `Moved`.
        reservations: what the call takes from its budgets.
        observe: enforce nothing but halts: budgets and asks are recorded and let pass.
        consent: what people have said, as the approval policy judged it, where the decision asks; None = nobody
            judged, and the votes are counted by what the decision itself asks for.
        edits: id of the request whose arguments a person changed, where this is the call with the new ones.
    """

    call: Call
    decision: Decision
    given: bytes
    version: int
    reservations: tuple[Reservation, ...] = ()
    observe: bool = False
    consent: Consent | None = None
    edits: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Record that the call was denied. Answered with None once it is written."""

    call: Call
    decision: Decision
    given: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Yes: the intent is committed, this caller runs the tool, nobody else does.

    Attributes:
        key: the call's key.
        fence: number of this attempt's lease; a settlement with an older one is recorded as late and changes nothing.
        approval: the approval that was used up, if one was needed.
        mask: JSON pointers into the arguments that nothing may show.
    """

    key: str
    fence: int
    approval: str | None = None
    mask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Not yet: people have to answer first."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The run's labels or halts, or what people have said, changed since the decision: decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A person changed the arguments: the call with the new ones goes down the whole line.

    Attributes:
        approval: id of the request that was changed.
        arguments: the new ones; they are still to be validated.
        person: who changed them.
        reason: why, in that person's words.
    """

    approval: str
    arguments: Mapping[str, Any]
    person: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """No: halted, over budget, refused by a person, expired. The refusal is recorded already."""

    reasons: tuple[Reason, ...]
    heading: Heading = "DENIED"
    approval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """It ran before.

    Attributes:
        status: how that ended; `unknown` also where it was started and its owner is gone.
        result: what the codec kept of the result; None = not kept.
        message: the error in words, where it raised.
        withheld: why its result was not handed on.
        held: people have to let its result through first; it is what was kept.
    """

    status: Status
    result: bytes | None = None
    message: str = ""
    withheld: tuple[Reason, ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """It runs now: in this process (join it) or in another one whose lease is alive."""

    elsewhere: bool = False


Released = Literal["unreviewed", "whole", "changed", "withheld", "held"]
"""What became of a result: handed on without anybody looking, as it was, with changes; not at all; not yet."""

Admission = Ticket | Pending | Moved | Edited | Stopped | Settled | InFlight
"""What the ledger answers to `Admit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Record how an admitted call ended. Answered with `SettleAnswer`.

    Attributes:
        result: what the codec kept of the value, as JSON bytes; None = nothing to keep or not keepable.
        message: the error in words; it is sealed, not in the record.
        labels: labels that the run gains by this outcome.
        source: what is handed on, as what values of later calls may come from; None = nothing is.
        review: what was decided about handing it on, where anybody was asked.
        given: the policy input of that, as JSON text.
        released: what became of it.
    """

    call: Call
    ticket: Ticket
    status: Status
    result: bytes | None = None
    message: str = ""
    labels: tuple[str, ...] = ()
    source: Source | None = None
    review: Decision | None = None
    given: bytes = b""
    released: Released = "unreviewed"


SettleAnswer = Literal["settled", "late"]
"""`late`: the call was resolved by somebody else meanwhile; the result is recorded and changes nothing."""
