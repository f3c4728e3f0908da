"""Traces of requests: each belongs to the trace that its client names (W3C Trace Context), and has a span.

What a vote, a halt or a resumed run does nests below it. Of what a client sends, `traceparent` and `tracestate` are
read; no path but that of the route, no query, no header and no body is told.
"""

from __future__ import annotations

from time import perf_counter
from typing import Final

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.service.logs import route_of
from guardrail.telemetry import contexts, measures, names
from guardrail.telemetry.harmless import begun, harmless
from guardrail.version import __version__

_TRACER: Final = trace.get_tracer("guardrail", __version__)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traced:
    """Gives every request a span; does nothing unless an SDK is configured.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and say how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else names.OTHER
        context = contexts.context_of(Headers(scope=scope))
        span = begun(_TRACER, method, context=context, kind=SpanKind.SERVER)
        token = attach(trace.set_span_in_context(span)) if span.get_span_context().is_valid else None
        start, status = perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            route = route_of(scope) or names.OTHER
            if token is not None:
                detach(token)
            _told(span, method, route, scope["scheme"], status, perf_counter() - start)


@harmless
def _told(span: Span, method: str, route: str, scheme: str, status: int, seconds: float) -> None:
    """Say how a request ended."""
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "url.scheme": scheme,
            }
        )
        if status >= 500:
            span.set_attribute(names.ERROR, str(status))
            span.set_status(Status(StatusCode.ERROR))
    span.end()
    measures.request(method, route, status, seconds)
