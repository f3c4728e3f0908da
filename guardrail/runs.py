"""The run that a call belongs to, and the agents it passes through: context set by host code only.

Both travel in context variables, which asyncio tasks and LangGraph's threads copy. Nothing here is
ever read from a model's words, a message or a caller's metadata.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import cast

from guardrail.calls import Principal
from guardrail.canonical import check_text
from guardrail.errors import InvalidArguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One piece of work that agents do for a principal; budgets, labels and history are its own."""

    id: str
    principal: Principal = field(default_factory=Principal)
    task: str = ""


def check_run(run: Run) -> None:
    """Refuse a run that nothing could be written down under.

    Raises:
        InvalidArguments: an id is no text, or holds a NUL character or a lone surrogate; the message names it.
    """
    for what, named in (("the id of the run", run.id), ("the id of the principal", run.principal.id)):
        if not isinstance(cast("object", named), str):
            raise InvalidArguments(f"{what} is a {type(named).__name__}, not a text")
        check_text(named, what)


def fresh_run_id() -> str:
    """An id that no other run has."""
    return f"run_{secrets.token_hex(8)}"


def fresh_call_id() -> str:
    """An id for a call whose framework gives none: no two attempts are the same call."""
    return secrets.token_hex(8)


_RUN: ContextVar[Run | None] = ContextVar("guardrail_run", default=None)
_CHAIN: ContextVar[tuple[str, ...]] = ContextVar("guardrail_chain", default=())


def current_run() -> Run | None:
    """The run that host code has opened around this code, if any."""
    return _RUN.get()


def current_chain() -> tuple[str, ...]:
    """The agents through which this code was reached, outermost first."""
    return _CHAIN.get()


def chain_to(agent: str, *, through: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The chain that ends in `agent`; an agent that goes on by itself is not its own delegate."""
    base = current_chain() if through is None else through
    return base if base and base[-1] == agent else (*base, agent)


@contextmanager
def inside(run: Run, chain: tuple[str, ...] | None = None) -> Generator[Run]:
    """Make `run` (and, where given, `chain`) the context of everything below."""
    run_token = _RUN.set(run)
    chain_token = _CHAIN.set(chain) if chain is not None else None
    try:
        yield run
    finally:
        if chain_token is not None:
            _CHAIN.reset(chain_token)
        _RUN.reset(run_token)
