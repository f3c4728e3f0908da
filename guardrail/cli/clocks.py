"""Whether this computer's clock agrees with what the ledger has seen of the time: what `guardrail doctor` says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from guardrail.cli.signs import Sign
from guardrail.clock import BELIEVED, wall

if TYPE_CHECKING:
    from guardrail.ledger.listings import Status

APART: Final = timedelta(seconds=5)
"""How far clocks may be apart."""
_SET: Final = "set the clocks of the machines that use the ledger (NTP)"
_RESTART: Final = f"{_SET}, then restart the processes that went on from the later time"


def clocks(status: Status) -> Iterator[Sign]:
    """What is to be said of this computer's clock, the database server's, and the time of the last record."""
    here = wall()
    if status.server_time and abs(away := here - datetime.fromisoformat(status.server_time)) > APART:
        text = f"this computer's clock is {_apart(away)} the database server's"
        yield Sign(about="clock", state="error", text=text, fix=_SET)
    elif status.latest and (ahead := datetime.fromisoformat(status.latest) - here) > APART:
        text = f"the last record is of {status.latest}, {_length(ahead)} ahead of this computer's clock"
        if ahead > BELIEVED:
            text = f"{text}, too far to be believed"
        yield Sign(about="clock", state="error", text=text, fix=_RESTART)
    else:
        agreed = "the database server's and the last record" if status.server_time else "the last record"
        yield Sign(about="clock", state="ok", text=f"agrees with {agreed}")


def _apart(away: timedelta) -> str:
    return f"{_length(abs(away))} {'ahead of' if away > timedelta() else 'behind'}"


def _length(length: timedelta) -> str:
    """A length of time in its largest units."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(hours / 24):,} days"
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )
