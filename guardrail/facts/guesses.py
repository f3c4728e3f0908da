"""Guesses: what an argument that nobody declared looks like, as a whole.

A guess adds facts, apart from those of declared arguments, and nothing where its reader sees nothing: it never makes a
call opaque, and takes nothing away from what is declared. Who relies on an argument declares it.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.calls import ArgumentKind

MAX_LENGTH: Final = 4096
"""The longest text, in characters, about which anything is guessed."""
MAX_SQL: Final = 1024
"""How many characters of SQL are read in one call, all guesses together: it is slow, and read in every dialect."""

_PROGRAMS: Final = (
    "sudo|rm|mv|cp|chmod|chown|curl|wget|bash|sh|python3?|pip3?|npm|npx|uv|git|docker|kubectl|ssh|scp|nc|dd|mkfs|"
    "systemctl"
)
_STATEMENTS: Final = "select|with|insert|update|delete|drop|create|truncate"
_LOOKS: Final[tuple[tuple[ArgumentKind, re.Pattern[str]], ...]] = (
    ("url", re.compile(r"\s*(?:https?|wss?|ftp):[/\\]\S+\s*", re.IGNORECASE)),
    ("path", re.compile(r"\.{0,2}/(?!/)\S*")),
    ("sql", re.compile(rf"\s*(?:{_STATEMENTS})\s.*", re.ASCII | re.IGNORECASE | re.DOTALL)),
    ("command", re.compile(rf"\s*(?:{_PROGRAMS})\s.*", re.ASCII | re.DOTALL)),
)
# A text among canonical arguments that may look like any of them; looking for the quote first is fast.
_ANY: Final = re.compile(
    rf'"(?:\.{{0,2}}/|(?:\\[a-z0-9]+|\s)*(?:(?i:https?|wss?|ftp):[/\\]|(?:(?i:{_STATEMENTS})|{_PROGRAMS})[\s\\]))'.encode()
)


def may_look_like_any(body: bytes) -> bool:
    """Whether it is worth looking: False only where `guess` is None for each of the texts.

    Args:
        body: the canonical arguments of a call.
    """
    return _ANY.search(body) is not None


def guess(text: str) -> ArgumentKind | None:
    """The kind that a text looks like."""
    if len(text) > MAX_LENGTH:
        return None
    return next((kind for kind, looks in _LOOKS if looks.fullmatch(text)), None)
