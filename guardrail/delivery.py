"""Delivery: the loop that takes what is due out of the outbox and has its channel tell it.

Each channel has a thread of its own, so that a slow one holds up no other. What cannot be told is tried again, later
and later, and never given up. Beside them one thread renews what is being told at the moment, and turns the silence
on overdue requests into refusals, so that people hear of those too.

Here is the only place that catches whatever a channel may raise. What it says is not logged: it may hold a secret,
such as the address of a webhook.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from typing import Final, Self

from guardrail.channels import Channel, Delivered, Notice, Retry
from guardrail.errors import Conflict, LedgerError
from guardrail.ledger import Ledger
from guardrail.showing import Shown

LONGEST: Final = 300.0
"""Seconds between two tries at the most, but for what a channel asks for itself."""
_log: Final = logging.getLogger("guardrail.delivery")


class Delivery:
    """Tells what is due, until closed; any number of processes may do so over one ledger.

    Args:
        ledger: whose outbox.
        channels: through which.
        show: what a person is shown of a request, by its id.
        every: seconds between two looks into the outbox.
        lease: seconds after which a notice of a process that has died is told by another one.

    Raises:
        ValueError: two channels have the same name.
    """

    def __init__(
        self,
        ledger: Ledger,
        channels: Iterable[Channel],
        show: Callable[[str], Shown],
        *,
        every: float = 0.25,
        lease: float = 30.0,
    ) -> None:
        self._ledger = ledger
        self._show = show
        self._every = every
        self._lease = lease
        self._stop = threading.Event()
        self._held: dict[str, Notice] = {}
        self._threads = [threading.Thread(target=self._look_after, name="guardrail requests", daemon=True)]
        names: set[str] = set()
        for channel in channels:
            if channel.name in names:
                raise ValueError(f"two channels are called {channel.name!r}")
            names.add(channel.name)
            name = f"guardrail channel {channel.name}"
            self._threads.append(threading.Thread(target=self._tell, args=(channel,), name=name, daemon=True))

    def start(self) -> None:
        """Begin; once."""
        for thread in self._threads:
            thread.start()

    def close(self, *, wait: float = 10.0) -> bool:
        """Tell nothing more, and wait for what is being told.

        Args:
            wait: seconds for each channel; what takes longer is told again by another process, or at the next start.

        Returns:
            Whether every channel has ended.
        """
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(wait)
        return not any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether every thread still runs."""
        return not self._stop.is_set() and all(thread.is_alive() for thread in self._threads)

    # -- telling -------------------------------------------------------------------------------------

    def _tell(self, channel: Channel) -> None:
        while not self._stop.is_set():
            try:
                told = self._tell_next(channel)
            except LedgerError as error:
                _log.error("channel %s: the ledger does not answer: %s", channel.name, error.message)
                told = False
            if not told:
                self._stop.wait(self._every)

    def _tell_next(self, channel: Channel) -> bool:
        """Tell the next thing that is due; answers whether there was one."""
        outbox = self._ledger.outbox
        claimed = outbox.claim(channel.name, limit=1, lease=self._lease)
        for notice in claimed:
            self._held[channel.name] = notice
            try:
                answer = self._deliver(channel, notice)
            finally:
                self._held.pop(channel.name, None)
            if isinstance(answer, Delivered):
                outbox.delivered(notice, answer.place)
            else:
                after = max(answer.after, backoff(notice.attempt))
                _log.warning(
                    "channel %s: notice %s was not told (attempt %d), again in %.0f s: %s",
                    channel.name, notice.id, notice.attempt, after, answer.why,
                )  # fmt: skip
                outbox.failed(notice, retry_after=after, why=answer.why)
        return bool(claimed)

    def _deliver(self, channel: Channel, notice: Notice) -> Delivered | Retry:
        try:
            return channel.deliver(notice, self._show(notice.approval))
        except Conflict as error:
            return Retry(why=error.message)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001  channels are other people's code, over other people's networks
            return Retry(why=f"the channel raised {type(error).__name__}")

    # -- looking after -------------------------------------------------------------------------------

    def _look_after(self) -> None:
        pause = min(1.0, self._lease / 3)
        while not self._stop.wait(pause):
            try:
                self._ledger.expire_due()
                for notice in list(self._held.values()):
                    self._ledger.outbox.keep(notice, lease=self._lease)
            except LedgerError as error:
                _log.error("the ledger does not answer: %s", error.message)


def backoff(attempt: int) -> float:
    """Seconds until the next try: 1 to 2 after the first, twice that after the next, and so on."""
    longest = min(2.0 ** min(attempt, 30), LONGEST)
    return random.uniform(longest / 2, longest)  # noqa: S311  it spreads the tries, it hides nothing
