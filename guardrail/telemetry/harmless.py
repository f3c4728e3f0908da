"""Telemetry that changes nothing: samplers, processors and exporters are other people's code, which may raise.

A call that has run has run, whatever becomes of its span. What is raised is logged by its type, once for each: its
words may hold what a span must not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec

from opentelemetry.trace import INVALID_SPAN, Span, Tracer

_P = ParamSpec("_P")
_log: Final = logging.getLogger("guardrail.telemetry")
_known: Final[set[str]] = set()


def harmless(tell: Callable[_P, None]) -> Callable[_P, None]:
    """The same, and whatever it raises is logged and goes no further."""

    @wraps(tell)
    def told(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  other people's code, see above
            _failed(error)

    return told


def begun(tracer: Tracer, name: str, **options: Any) -> Span:
    """A span that has begun; one that says nothing, where that fails."""
    try:
        return tracer.start_span(name, **options)
    except Exception as error:  # noqa: BLE001  likewise
        _failed(error)
        return INVALID_SPAN


def _failed(error: Exception) -> None:
    kind = type(error).__name__
    level = logging.DEBUG if kind in _known else logging.WARNING
    _known.add(kind)
    _log.log(level, "telemetry raised %s, and what is told is not whole; no call is changed by it", kind)
