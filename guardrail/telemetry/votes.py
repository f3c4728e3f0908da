"""The span of a vote: linked to the call that it is about, whichever process made that, and whenever."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from guardrail.approvals import Approval
from guardrail.telemetry import contexts, measures, names
from guardrail.telemetry.harmless import begun, harmless
from guardrail.version import __version__

_TRACER: Final = trace.get_tracer("guardrail", __version__)


class VoteSpan:
    """One answer of one person; neither who it is nor what he says is told.

    Args:
        approval: id of the request.
        answer: `approve`, `reject` or `edit`: other arguments, which supersede the request.
        channel: where.
    """

    def __init__(self, approval: str, answer: str, channel: str) -> None:
        self._answer, self._channel = answer, channel
        self._span: Span = begun(
            _TRACER,
            names.VOTE,
            kind=SpanKind.INTERNAL,
            attributes={
                names.REQUEST: names.plain(approval),
                names.ANSWER: answer,
                names.CHANNEL: names.plain(channel),
            },
        )

    @property
    def is_recording(self) -> bool:
        """Whether somebody will see it."""
        return self._span.is_recording()

    @harmless
    def about(self, traceparent: str) -> None:
        """Link it to the call that people were asked about."""
        if (link := contexts.link_to(traceparent)) is not None:
            self._span.add_link(link.context)

    @harmless
    def counted(self, approval: Approval) -> None:
        """The vote counts: the request stands like this now."""
        measures.vote(self._answer, self._channel)
        if self._span.is_recording():
            self._span.set_attributes(measures.about(approval))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        self._end(kind)

    @harmless
    def _end(self, kind: type[BaseException] | None) -> None:
        if kind is not None:  # its words may hold what people wrote: the type says enough
            self._span.set_attribute(names.ERROR, kind.__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
