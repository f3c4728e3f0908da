"""The names: completes the facts of URLs with the addresses that their hosts lead to, where the owner wants that.

To look a name up tells whoever owns it: an agent that was talked into `https://WHAT-IT-HAS-READ.example/` has told it
all without a connection. So names are looked up last, for calls that everything else lets go, and then the policies
are asked once more.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from guardrail.calls import Call
from guardrail.facts import Facts
from guardrail.facts.addresses import address_of, classify

Resolve = Callable[[str, int], Sequence[str]]
"""Looks a name up: host, port → addresses. Raises `OSError`."""
Resolution = Literal["unasked", "found", "failed"]
"""What was done about a host: no look-up, one that found addresses, or one that did not."""

AT_ONCE: Final = 64
"""How many look-ups a process has under way; a system that does not answer holds on to each."""
MOST: Final = 16
"""How many names one call may need."""
_under_way: Final = threading.BoundedSemaphore(AT_ONCE)


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class Names:
    """Completes facts of URLs: `addresses`, `resolution`, and `why` a look-up found nothing.

    Args:
        timeout: seconds for all names of one call; None = no name is looked up.
        resolve: looks one up.
    """

    def __init__(self, *, timeout: float | None = None, resolve: Resolve = resolve) -> None:
        self._timeout = timeout
        self._resolve = resolve

    def may_ask(self, call: Call) -> bool:
        """Whether the network may be needed for a call; False only where no name is looked up."""
        declared = "url" in call.tool.kinds.values()
        return self._timeout is not None and (declared or b":/" in call.body or b":\\" in call.body)

    def are_due(self, facts: Facts) -> bool:
        """Whether `look_up` would look any name up."""
        return self._timeout is not None and bool(_hosts(facts))

    def look_up(self, facts: Facts) -> Facts:
        """The same facts, those of URLs complete. Blocks while names are looked up, at most the timeout."""
        asked = _hosts(facts)
        if self._timeout is None or not asked:
            return facts
        told = self._answers(asked[:MOST])
        many = _failed(f"one call may need {MOST} names, and this one needs more")
        urls, guessed = (
            tuple({**fact, **told.get(host, many)} if (host := _host(fact)) else fact for fact in some)
            for some in (facts.urls, facts.guessed["urls"])
        )
        return replace(facts, urls=urls, guessed={**facts.guessed, "urls": guessed})

    def _answers(self, hosts: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What each name leads to; what has not answered in time is failed, and its answer is forgotten."""
        end = time.monotonic() + (self._timeout or 0)
        answers = queue.SimpleQueue[tuple[str, Mapping[str, Any]]]()
        told = {host: _failed("no answer in time") for host in hosts}
        begun = [host for host in hosts if self._begun(host, answers, end)]
        for _ in begun:
            with contextlib.suppress(queue.Empty):
                host, answer = answers.get(timeout=max(0.0, end - time.monotonic()))
                told[host] = answer
        return told

    def _begun(self, host: str, answers: queue.SimpleQueue[Any], end: float) -> bool:
        """Have a name looked up in a thread of its own: the system's look-up cannot be cut short."""
        if not _under_way.acquire(timeout=max(0.0, end - time.monotonic())):
            return False

        def look() -> None:
            try:
                answers.put((host, _found(self._resolve(host, 0))))
            except (OSError, UnicodeError) as error:
                answers.put((host, _failed(str(error) or type(error).__name__)))
            finally:
                _under_way.release()

        threading.Thread(target=look, name=f"guardrail names {host}", daemon=True).start()
        return True


def _hosts(facts: Facts) -> list[str]:
    """The names to look up, each once."""
    found = (_host(fact) for fact in (*facts.urls, *facts.guessed["urls"]))
    return list(dict.fromkeys(host for host in found if host))


def _host(fact: Mapping[str, Any]) -> str:
    """The name to look up; empty = it is an address."""
    host: str = fact["host"]
    return host if address_of(host) is None else ""


def _found(addresses: Sequence[str]) -> Mapping[str, Any]:
    if not addresses:
        return _failed("it leads nowhere")
    classed = [{"address": address, "class": classify(address)} for address in addresses]
    return {"addresses": classed, "resolution": "found", "why": ""}


def _failed(why: str) -> Mapping[str, Any]:
    return {"addresses": [], "resolution": "failed", "why": why}
