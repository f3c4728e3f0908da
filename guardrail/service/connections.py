"""Connections: one that does not come to the point is closed, before there is a request that limits could be put on.

Whoever connects and says nothing, or one letter of a header a minute, takes a place from somebody who has something to
say; uvicorn by itself waits for ever.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class Prompt(H11Protocol):
    """HTTP/1.1 over a connection on which the headers of each request are there in time, or it is closed."""

    seconds = 10.0
    """From the first byte that may come to the last of the headers."""
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: the time runs."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something came: the time stops while a request is answered, and runs again from the next one's first byte."""
        super().data_received(data)
        request = cast(
            "RequestResponseCycle | None", self.cycle
        )  # None before the first, whatever uvicorn declares
        if request is not None and not request.response_complete:
            self._wait_no_more()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.seconds, self.timeout_keep_alive_handler)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def prompt_within(seconds: float) -> type[Prompt]:
    """The protocol with this limit, as uvicorn takes it.

    Args:
        seconds: until when the headers of a request have to be there.
    """
    return type("Prompt", (Prompt,), {"seconds": seconds})
