"""Spans and one histogram for every call, through the OpenTelemetry API.

Nothing happens unless the host has configured an SDK. The names are those of the GenAI conventions
(execute_tool span, semantic-conventions v1.41, status: development), all in this module, since they
may change. Arguments and results never go into spans; only ids, effects, rule ids and states do.
"""

from __future__ import annotations

from contextvars import Token
from time import perf_counter
from types import TracebackType
from typing import Final, Self

from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import SpanKind, Status, StatusCode

from guardrail.calls import Call
from guardrail.decisions import Reason
from guardrail.outcomes import Outcome

_TRACER: Final = trace.get_tracer("guardrail")
_DURATION: Final = metrics.get_meter("guardrail").create_histogram(
    "gen_ai.execute_tool.duration", unit="s", description="Duration of a guarded tool call, waits included"
)


_DECIDED: Final = metrics.get_meter("guardrail").create_histogram(
    "guardrail.approval.duration", unit="s", description="From a request to the answer that decided it"
)


def decided(state: str, *, channel: str, opened: bool, seconds: float) -> None:
    """Measure how long people took; `opened` tells whether the last one had the arguments before him."""
    _DECIDED.record(
        seconds,
        {
            "guardrail.approval.state": state,
            "guardrail.channel": channel,
            "guardrail.approval.opened": opened,
        },
    )


_WAITING: Final = Outcome(
    status="blocked",
    heading="WAITING",
    reasons=(Reason(rule="guardrail.approval", message="waits for people"),),
)


class CallSpan:
    """The span of one call; a refused call gets one too, with `error.type` = `guardrail.denied`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._begun = perf_counter()
        self._span = _TRACER.start_span(f"execute_tool {call.tool.name}", kind=SpanKind.INTERNAL)
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        if self._span.get_span_context().is_valid:  # else nothing is configured, and nothing is to be said
            self._token = attach(trace.set_span_in_context(self._span))
        return self

    def waits(self) -> None:
        """Say that the call waits for people; walking it again begins another span."""
        self.ended(_WAITING)

    def ended(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        error = _error_type(outcome)
        measured = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": self._call.tool.name}
        if error:
            measured["error.type"] = error
        _DURATION.record(perf_counter() - self._begun, measured)
        if not self._span.is_recording():
            return
        call = self._call
        self._span.set_attributes(
            {
                **measured,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call.id,
                "gen_ai.agent.name": call.agent.id,
                "gen_ai.conversation.id": call.run,
                "guardrail.agent.chain": call.agent.chain,
                "guardrail.outcome": outcome.status,
                "guardrail.rules": tuple(reason.rule for reason in outcome.reasons),
                "guardrail.approval": outcome.approval or "",
                "guardrail.repeated": outcome.repeated,
            }
        )
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        self._span.end()  # what a tool raises may hold arguments: it is never told to the span


def _error_type(outcome: Outcome) -> str:
    if outcome.status == "blocked":
        return "guardrail.waiting" if outcome.heading == "WAITING" else "guardrail.denied"
    if outcome.status == "unknown":
        return "guardrail.unknown"
    if outcome.status == "raised":
        return type(outcome.error).__name__ if outcome.error is not None else "guardrail.raised"
    return ""
