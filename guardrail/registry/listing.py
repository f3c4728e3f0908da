"""All names of an index, for a snapshot."""

from __future__ import annotations

import asyncio
from typing import Final

from guardrail.errors import RegistryUnavailable
from guardrail.registry.bodies import SIMPLE, BadAnswerError, read_names
from guardrail.registry.hosts import Host, Limits, UnreachableError, client
from guardrail.registry.indexes import Index

_LIMITS: Final = Limits(timeout=120.0, answer_bytes=500_000_000)


def all_names(index: Index) -> tuple[str, ...]:
    """Every name of an index of Python, from the root of its Simple API (PEP 691). Not from within an event loop.

    Raises:
        RegistryUnavailable: it gives no such list.
    """
    try:
        return read_names(asyncio.run(_root(index)))
    except (UnreachableError, BadAnswerError, TimeoutError) as error:
        raise RegistryUnavailable(
            f"{index.url} gives no list of its names: {error or 'it was too slow'}",
            fix="try again later, or give the names with --names FILE",
        ) from error


async def _root(index: Index) -> bytes:
    async with asyncio.timeout(_LIMITS.timeout), client(_LIMITS.timeout) as asking:
        host = Host(asking, _LIMITS)
        reply = await host.get(index.url, accept=SIMPLE, authorization=index.authorization)
    if reply.status != 200 or not reply.body:
        raise UnreachableError("there is none, or it is too large")
    return reply.body
