"""Channels: how people learn of a request, and of what became of it.

A channel only tells. Votes come in through `guardrail.voting`, whichever channel brought them. What is to be told
stands in the outbox of the ledger, written in one transaction with what it tells of; a notice is given to one
process at a time and given out again where that process dies, so a channel may see a notice twice: it updates
what it posted, by the `place` that it answered then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from guardrail.showing import Shown

RESUME = "resume"
"""The channel through which decisions reach the runs that wait for them."""

NoticeKind = Literal["asked", "decided", "settled"]
"""A request waits; it no longer does (approved, rejected, expired, …); the call that it was for has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell through one channel. Those of one request come in their order, the next after the last.

    Attributes:
        id: the same at every delivery of this notice.
        approval: id of the request.
        kind: what happened; what is shown is the request as it stands when the notice is delivered.
        channel: name of the channel.
        attempt: 1 for the first delivery; an answer to an older attempt than the latest changes nothing.
        place: what the channel answered last for this request; None where it has told nothing of it yet.
    """

    id: str
    approval: str
    kind: NoticeKind
    channel: str
    attempt: int
    place: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """It was told.

    Attributes:
        place: plain JSON by which the channel finds again what it posted; None keeps what was known.
    """

    place: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """It was not told; the notice comes again.

    Attributes:
        why: for the operator, without secrets.
        after: seconds until then at the earliest (`Retry-After`); the delivery's own backoff may be longer.
    """

    why: str
    after: float = 0.0


class Channel(Protocol):
    """Tells people, somewhere."""

    @property
    def name(self) -> str:
        """Under which its notices stand in the outbox; the same in every process."""
        ...

    def deliver(self, notice: Notice, shown: Shown) -> Delivered | Retry:
        """Tell. Called in a thread of the channel's own, one notice after the other; may take its time.

        Args:
            notice: what to tell, and where it was told before.
            shown: the request as it stands now, for people.
        """
        ...
