"""The spans of the line: one for a call, and in it one for each step that the line takes.

A call's span is `execute_tool {tool}`; a refused one has one too, with `error.type` = `guardrail.denied`. While a tool
runs, and while policies are asked, the step's span is the current one: what they do themselves nests below. A call
that goes on after a wait, in this process or in another one, is linked to the call that asked.

What a tool raises is never told to a span: there may be arguments in it. Its type is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from datetime import datetime
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self, cast

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from guardrail.admission import (
    Admission,
    Admit,
    Edited,
    InFlight,
    Moved,
    Pending,
    Refuse,
    Settle,
    Settled,
    Stopped,
    Ticket,
)
from guardrail.calls import Call
from guardrail.decisions import Decision, ReasonCode
from guardrail.errors import GuardrailError
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.steps import AwaitApproval, Decide, Decided, Execute, Join, Review, Reviewed, Step
from guardrail.telemetry import contexts, measures, names
from guardrail.telemetry.harmless import begun, harmless
from guardrail.version import __version__

_TRACER: Final = trace.get_tracer("guardrail", __version__)
_NAMES: Final[Mapping[type[Step], str]] = {
    Decide: names.span_name("action"),
    Admit: names.ADMIT,
    AwaitApproval: names.APPROVAL,
    Execute: names.EXECUTE,
    Review: names.span_name("output"),
    Join: names.JOIN,
    Settle: names.RECORDING,
    Refuse: names.RECORDING,
}
_AROUND: Final = (Decide, Execute, Review)
"""Steps in which other people's code may run: its spans nest below theirs."""
_ANSWERS: Final[Mapping[type[Any], str]] = {
    Ticket: "admitted",
    Pending: "pending",
    Moved: "moved",
    Edited: "edited",
    Stopped: "stopped",
    Settled: "settled",
    InFlight: "running",
}


class LineSpan:
    """The span of one call.

    Args:
        call: the call.
        ledger: where it is read from which trace people were asked.
        waits: the walk waits in place while people decide.
        unknown: there is no tool of that name: the name is a model's word, and is told to nobody.
    """

    def __init__(
        self, call: Call, ledger: Ledger | None = None, *, waits: bool = True, unknown: bool = False
    ) -> None:
        self.call = call
        self.tool = names.OTHER if unknown else names.plain(call.tool.name)
        self.mode = "enforce"
        self.waits = waits
        self.span: Span = begun(_TRACER, f"execute_tool {self.tool}", kind=SpanKind.INTERNAL)
        self.is_idle = not (self.span.is_recording() or measures.is_on())
        self.is_told = False
        self._ledger = ledger
        self._waited: set[str] = set()
        self._token: Token[Context] | None = None
        self._begun = perf_counter()

    def __enter__(self) -> Self:
        if self.span.get_span_context().is_valid:  # else nothing is configured, and nothing is to be said
            self._token = attach(trace.set_span_in_context(self.span))
        return self

    def step(self, step: Step) -> StepSpan:
        """The span of one step of the line."""
        return StepSpan(None if isinstance(step, AwaitApproval) and not self.waits else self, step)

    @harmless
    def suspended(self) -> None:
        """Say that the call waits for people; walking it again begins another span."""
        if self.is_idle:
            return
        self._told(outcome="blocked", error="guardrail.waiting")

    @harmless
    def ended(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        if self.is_idle:
            return
        self._told(
            outcome="repeated" if outcome.repeated else outcome.status,
            error=_error_of(outcome),
            rules=names.all_plain(reason.rule for reason in outcome.reasons),
            request=outcome.approval or "",
        )

    @harmless
    def refused(self, decision: Decision, outcome: Outcome) -> None:
        """Say that what was asked for could not be stated as a call."""
        if not self.is_idle:
            measures.decision(decision, self.tool, point="action", mode=self.mode)
        self.ended(outcome)

    def waited(self, approval: str) -> None:
        """People decided while this walk waited: the span of that step tells of it."""
        self._waited.add(approval)

    def resumed(self, approval: str | None) -> None:
        """Link a call that goes on after people decided to the one that asked, and tell how long they took."""
        if (
            approval is None
            or approval in self._waited
            or self._ledger is None
            or not self.span.is_recording()
        ):
            return
        self._waited.add(approval)
        with suppress(GuardrailError):  # nothing depends on it
            request = self._ledger.approval(approval)
            asked = contexts.link_to(self._ledger.asked_from(approval))
            if asked is not None:
                self.span.add_link(asked.context)
            silence = request.expires_at if request.state == "expired" else ""
            since, ended = request.requested_at, max((vote.at for vote in request.votes), default=silence)
            if ended:  # what was decided, if only by silence: a trace of its own, as long as people took
                span = begun(
                    _TRACER,
                    names.APPROVAL,
                    context=Context(),
                    attributes=measures.about(request),
                    links=[] if asked is None else [asked],
                    start_time=_nanoseconds(since),
                )
                self.span.add_link(span.get_span_context())
                span.end(max(_nanoseconds(since), _nanoseconds(ended)))

    def request(self, approval: str) -> Mapping[str, names.Value]:
        """A request as it stands now, where somebody will see it."""
        if self._ledger is not None and self.span.is_recording():
            with suppress(GuardrailError):
                return measures.about(self._ledger.approval(approval))
        return {}

    def _told(self, *, outcome: str, error: str, rules: tuple[str, ...] = (), request: str = "") -> None:
        self.is_told = True
        seconds = perf_counter() - self._begun
        measures.call(self.tool, outcome=outcome, mode=self.mode, error=error, seconds=seconds)
        call = self.call
        self.span.set_attributes(
            {
                names.OPERATION: "execute_tool",
                names.TOOL: self.tool,
                names.TOOL_TYPE: "function",
                names.CALL_ID: names.plain(call.id),
                names.AGENT: call.agent.id,
                names.CONVERSATION: call.run,
                names.CHAIN: call.agent.chain,
                names.REFERENCE: call.reference,
                names.OUTCOME: outcome,
                names.MODE: self.mode,
                names.RULES: rules,
            }
        )
        if request:
            self.span.set_attribute(names.REQUEST, request)
        if error:
            self.span.set_attribute(names.ERROR, error)
            self.span.set_status(Status(StatusCode.ERROR, error))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        self._end(kind)

    @harmless
    def _end(self, kind: type[BaseException] | None) -> None:
        if not (self.is_told or self.is_idle):
            self._told(outcome="blocked", error=kind.__name__ if kind is not None else "guardrail.error")
        self.span.end()


class StepSpan:
    """The span of one step; with no line above it, nothing.

    Attributes:
        answer: what the step was answered with, set by whoever performs it.
    """

    __slots__ = ("_begun", "_line", "_span", "_step", "_token", "answer")

    def __init__(self, line: LineSpan | None, step: Step) -> None:
        self._line = line
        self._step = step
        self._token: Token[Context] | None = None
        self.answer: Any = None

    def __enter__(self) -> Self:
        if self._line is None:
            return self
        self._span = begun(_TRACER, _NAMES[type(self._step)], kind=SpanKind.INTERNAL)
        if isinstance(self._step, _AROUND) and self._span.get_span_context().is_valid:
            self._token = attach(trace.set_span_in_context(self._span))
        self._begun = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if self._line is None:
            return
        seconds = perf_counter() - self._begun
        if self._token is not None:
            detach(self._token)
        self._end(self._line, kind, seconds)

    @harmless
    def _end(self, line: LineSpan, kind: type[BaseException] | None, seconds: float) -> None:
        if kind is None:
            self._span.set_attributes(_answered(line, self._step, self.answer, seconds))
        else:
            self._span.set_attribute(names.ERROR, kind.__name__)
            self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
        self._span.end()


def _answered(line: LineSpan, step: Step, answer: Any, seconds: float) -> Mapping[str, names.Value]:
    """What a step's span says of its answer, which is measured, too."""
    match step:
        case Decide(call=call):
            decided = cast("Decided", answer)
            line.mode = "observe" if decided.observe else "enforce"
            return _decision(line, call, decided.decision, "action", seconds)
        case Review(call=call):
            return _reviewed(line, call, cast("Reviewed", answer), seconds)
        case Admit():
            return _admitted(line, cast("Admission", answer), seconds)
        case Execute():
            outcome = cast("Outcome", answer)
            measures.execution(line.tool, outcome.status, seconds)
            failed = {names.ERROR: _error_of(outcome)} if outcome.status != "returned" else {}
            return {names.OUTCOME: outcome.status, **failed}
        case AwaitApproval(approval=approval):
            line.waited(approval.id)
            return line.request(approval.id) or measures.about(approval)
        case Settle(status=status):
            return {names.RECORD: str(answer), names.OUTCOME: status}
        case Refuse():
            return {names.RECORD: "unrecorded" if isinstance(answer, Stopped) else "denied"}
        case Join():
            return {names.OUTCOME: answer.status} if isinstance(answer, Outcome) else {}


def _decision(
    line: LineSpan, call: Call, decision: Decision, point: str, seconds: float
) -> dict[str, names.Value]:
    measures.decision(decision, line.tool, point=point, mode=line.mode, seconds=seconds)
    if not line.span.is_recording():
        return {}
    rules = names.all_plain(decision.rules)
    code: ReasonCode = decision.reasons[0].code
    told: dict[str, names.Value] = {
        names.POINT: point,
        names.EFFECT: decision.effect,
        names.RULES: rules,
        names.OBSERVED: names.all_plain(reason.rule for reason in decision.observed),
        names.REVISION: decision.revision,
        names.MODE: line.mode,
    }
    changed = any(item.name != "deadline" for item in decision.obligations)
    draft = names.drafted(
        point, decision.effect, rules, call=names.plain(call.id), run=call.run, revision=decision.revision,
        code=code, changed=changed,
    )  # fmt: skip
    return {**told, **draft}


def _reviewed(line: LineSpan, call: Call, reviewed: Reviewed, seconds: float) -> Mapping[str, names.Value]:
    told: dict[str, names.Value] = {names.RELEASED: reviewed.released}
    if reviewed.decision is None:  # nobody was asked
        return {**told, names.POINT: "output"}
    return {**_decision(line, call, reviewed.decision, "output", seconds), **told}


def _admitted(line: LineSpan, admission: Admission, seconds: float) -> Mapping[str, names.Value]:
    answer = _ANSWERS[type(admission)]
    measures.admission(answer, seconds)
    told = {names.ADMISSION: answer}
    match admission:
        case Ticket(approval=approval) | Stopped(approval=approval):
            line.resumed(approval)
            return told if approval is None else {**told, names.REQUEST: approval}
        case Pending(approval=request):
            return {**told, names.REQUEST: request.id}
        case Edited(approval=changed):
            line.resumed(changed)
            return {**told, names.REQUEST: changed}
        case _:
            return told


def _error_of(outcome: Outcome) -> str:
    if outcome.status == "blocked":
        return "guardrail.waiting" if outcome.heading == "WAITING" else "guardrail.denied"
    if outcome.status == "unknown":
        return "guardrail.unknown"
    if outcome.status == "raised":
        return names.plain(type(outcome.error).__name__) if outcome.error is not None else "guardrail.raised"
    return ""


def _nanoseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1_000_000_000)
