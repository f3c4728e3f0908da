"""The steps of the line: what it asks of a driver, and what it is answered. They hold no I/O."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from guardrail.admission import Admit, Refuse, Released, Settle, Ticket
from guardrail.approvals import Approval, Consent
from guardrail.budgets import Reservation
from guardrail.calls import Call
from guardrail.decisions import Decision
from guardrail.outcomes import Outcome
from guardrail.provenance import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """What do the policies say? Answered with `Decided`.

    Attributes:
        edited_by: the person whose arguments these are; empty = nobody has changed them.
    """

    call: Call
    edited_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the policies said, and of what.

    Attributes:
        given: the policy input, as JSON text.
        version: the version of the run's state that was read.
        reservations: what the boundaries take from budgets for this call.
        observe: the guard decides and records, and enforces nothing.
        consent: what people have said so far, where the decision asks.
    """

    decision: Decision
    given: bytes
    version: int
    reservations: tuple[Reservation, ...] = ()
    observe: bool = False
    consent: Consent | None = None

    @property
    def goes_on(self) -> bool:
        """Whether nothing that was said so far keeps the call from its admission."""
        asked = self.consent is not None and self.consent.met
        return self.observe or self.decision.effect == "allow" or (self.decision.effect == "ask" and asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitApproval:
    """Wait for people. Answered with True once the approval is no longer pending, False if nobody waits."""

    call: Call
    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Run the tool. Answered with its `Outcome`, whatever it raised.

    Attributes:
        given: the policy input that it was judged by, as JSON text.
    """

    call: Call
    ticket: Ticket
    deadline: float | None
    given: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """May what the tool returned, or raised, be handed on? Answered with `Reviewed`.

    Attributes:
        call: what ran.
        content: what somebody would read of it, as a JSON value.
        raised: these are the words of an error.
        held: people were asked about it: whatever is decided now, the answer names the call that hands it on.
    """

    call: Call
    content: Any
    raised: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What was decided about a result.

    Attributes:
        decision: what the policies said; None = nobody was asked.
        given: the policy input of that, as JSON text.
        released: what is to become of it.
        source: what is handed on then, as what values of later calls may come from.
        labels: what the run is labelled with then.
        release: the call that hands it on, where people are or were asked about that.
        version: the version of the run's state that was read.
        consent: what people have said so far.
        changed: an obligation has changed what is handed on.
    """

    source: Source
    labels: tuple[str, ...] = ()
    released: Released = "unreviewed"
    decision: Decision | None = None
    given: bytes = b""
    release: Call | None = None
    version: int = 0
    consent: Consent | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The same call runs already: wait for it.

    Answered with its `Outcome`, None if it came to nothing, or `INSIDE` where its own tool asks: nobody waits.
    """

    call: Call
    elsewhere: bool


Step = Decide | Refuse | Admit | AwaitApproval | Execute | Review | Join | Settle
"""What the line may ask of a driver."""

Line = Generator[Step, Any, Outcome]
"""The line of one call: yields steps, is sent their answers, returns the outcome."""
