"""Trace contexts: how a call is found again after it has waited, and what asks for it (W3C Trace Context)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent", "tracestate")


def current() -> str:
    """The span that this code is in, as a `traceparent`; empty where there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(headers: Mapping[str, str]) -> Context:
    """The trace that a request belongs to, by its headers; an empty context where they name none that is well formed.

    Baggage is left out: it is text of the client.
    """
    return _W3C.extract({name: headers[name] for name in _HEADERS if name in headers}, Context())


def link_to(traceparent: str) -> Link | None:
    """A link to the span that is meant; None where it is empty or malformed."""
    span = trace.get_current_span(context_of({"traceparent": traceparent})).get_span_context()
    return Link(span) if span.is_valid else None
