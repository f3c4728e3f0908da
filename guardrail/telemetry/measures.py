"""The measurements. Attributes are words of closed sets, or names of which so many are let in (`Bounded`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.util.types import AttributeValue

from guardrail.approvals import Approval
from guardrail.decisions import Decision
from guardrail.errors import GuardrailError
from guardrail.telemetry import names
from guardrail.version import __version__

_METER: Final = metrics.get_meter("guardrail", __version__)
_QUICK: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
_CALLS_LAST: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_PEOPLE_TAKE: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)
_TOGETHER: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


def _seconds(name: str, text: str, bounds: tuple[float, ...]) -> metrics.Histogram:
    return _METER.create_histogram(
        name, unit="s", description=text, explicit_bucket_boundaries_advisory=bounds
    )


_CALL_TIME: Final = _seconds(
    "gen_ai.execute_tool.duration", "Duration of a guarded tool call, waits included", _CALLS_LAST
)
_CALLS: Final = _METER.create_counter(
    "guardrail.calls", unit="{call}", description="Calls, by how they ended"
)
_DECISIONS: Final = _METER.create_counter(
    "guardrail.decisions",
    unit="{decision}",
    description="Decisions, by effect and by the first rule that spoke",
)
_PASSED: Final = _METER.create_counter(
    "guardrail.observed", unit="{reason}", description="Reasons that were recorded and not enforced"
)
_DECISION_TIME: Final = _seconds("guardrail.decision.duration", "From a call to its decision", _QUICK)
_ADMISSION_TIME: Final = _seconds(
    "guardrail.admission.duration", "Of an admission, its commit included", _QUICK
)
_EXECUTION_TIME: Final = _seconds("guardrail.execution.duration", "Of the tool itself", _CALLS_LAST)
_VOTES: Final = _METER.create_counter("guardrail.votes", unit="{vote}", description="Answers of people")
_APPROVAL_TIME: Final = _seconds(
    "guardrail.approval.duration", "From a request to the answer that decided it", _PEOPLE_TAKE
)
_BATCH: Final = _METER.create_histogram(
    "guardrail.ledger.batch.size",
    unit="{write}",
    description="Writes that were committed together",
    explicit_bucket_boundaries_advisory=_TOGETHER,
)
_COMMIT_TIME: Final = _seconds("guardrail.ledger.commit.duration", "Of one commit of the ledger", _QUICK)
_FAILURES: Final = _METER.create_counter(
    "guardrail.ledger.failures", unit="{write}", description="Writes that the ledger could not commit"
)
_REQUEST_TIME: Final = _seconds(
    "http.server.request.duration", "Of requests to the service", (0.005, *_QUICK[6:], 7.5, 10.0)
)

_tool, _rule, _error = names.Bounded(), names.Bounded(), names.Bounded()


def is_on() -> bool:
    """Whether the host has configured an SDK for measurements: the API's own providers keep nothing."""
    return not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")


def call(tool: str, *, outcome: str, mode: str, error: str, seconds: float) -> None:
    """A call has ended, or waits for people; `error` is empty where nothing went wrong."""
    tool = _tool(tool)
    measured = {names.OPERATION: "execute_tool", names.TOOL: tool}
    if error:
        measured[names.ERROR] = _error(error)
    _CALL_TIME.record(seconds, measured)
    _CALLS.add(1, {names.TOOL: tool, names.OUTCOME: outcome, names.MODE: mode})


def decision(said: Decision, tool: str, *, point: str, mode: str, seconds: float | None = None) -> None:
    """Something was decided; what is not enforced of it is counted on its own."""
    tool = _tool(tool)
    about: dict[str, AttributeValue] = {names.POINT: point, names.MODE: mode}
    first = _rule(said.reasons[0].rule)
    _DECISIONS.add(1, {**about, names.EFFECT: said.effect, names.RULE: first, names.TOOL: tool})
    passed = [reason.rule for reason in said.observed]
    if mode == "observe" and said.effect != "allow":
        passed += said.rules
    for rule in passed:
        _PASSED.add(1, {**about, names.RULE: _rule(rule), names.TOOL: tool})
    if seconds is not None:
        _DECISION_TIME.record(seconds, {names.POINT: point})


def admission(answer: str, seconds: float) -> None:
    """The ledger has answered."""
    _ADMISSION_TIME.record(seconds, {names.ADMISSION: answer})


def execution(tool: str, outcome: str, seconds: float) -> None:
    """A tool has ended."""
    _EXECUTION_TIME.record(seconds, {names.TOOL: _tool(tool), names.OUTCOME: outcome})


def vote(answer: str, channel: str) -> None:
    """A person has answered."""
    _VOTES.add(1, {names.ANSWER: answer, names.CHANNEL: names.plain(channel)})


def decided(state: str, *, channel: str, opened: bool, seconds: float) -> None:
    """Measure how long people took; `opened` tells whether the last one had the arguments before him."""
    _APPROVAL_TIME.record(
        seconds, {names.STATE: state, names.CHANNEL: names.plain(channel), names.OPENED: opened}
    )


def commit(writes: int, seconds: float) -> None:
    """Something was committed."""
    _BATCH.record(writes)
    _COMMIT_TIME.record(seconds)


def lost(writes: int) -> None:
    """Something could not be committed."""
    _FAILURES.add(writes)


def request(method: str, route: str, status: int, seconds: float) -> None:
    """The service has answered a request."""
    _REQUEST_TIME.record(
        seconds,
        {"http.request.method": method, "http.route": route, "http.response.status_code": status},
    )


def about(approval: Approval) -> dict[str, names.Value]:
    """A request for people, as a span tells it: neither who they are, nor what they say."""
    yes = {vote.person for vote in approval.votes if vote.answer == "approve"}
    told: dict[str, names.Value] = {
        names.REQUEST: approval.id,
        names.STATE: "approved" if approval.state == "consumed" else approval.state,
        names.QUORUM: max((ask.quorum for ask in approval.asks), default=1),
        names.REACHED: len(yes),
        names.EXPIRES: approval.expires_at,
    }
    if approval.votes:
        told[names.CHANNEL] = names.plain(approval.votes[-1].channel)
    return told


Figures = Iterable[tuple[float, names.Attributes]]
"""What is read of one owner: values and what they are of."""


class Gauge:
    """A figure that is read when somebody measures, over whatever is open in this process.

    Args:
        name: its name.
        unit: in the notation of UCUM.
        text: what it is.
        joined: what several owners come to: `max` where each says the same of one database, `sum` else.
    """

    def __init__(
        self, name: str, unit: str, text: str, joined: Callable[[Iterable[float]], float] = max
    ) -> None:
        self._joined = joined
        self._lock = threading.Lock()
        self._owners: WeakKeyDictionary[Any, Callable[[Any], Figures]] = WeakKeyDictionary()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)
        _METER.create_observable_gauge(name, [self._read], unit=unit, description=text)

    def watch(self, owner: object, read: Callable[[Any], Figures]) -> None:
        """Read this of an owner for as long as it lives; one that cannot answer is left out."""
        with self._lock:
            self._owners[owner] = read

    def _unlock(self) -> None:
        """The lock may be held by a thread that does not exist in a child."""
        self._lock = threading.Lock()

    def _read(self, _: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            owners = list(self._owners.items())
        found: dict[tuple[tuple[str, names.Value], ...], list[float]] = {}
        for owner, read in owners:
            try:
                for value, attributes in read(owner):
                    found.setdefault(tuple(sorted(attributes.items())), []).append(value)
            except GuardrailError:
                continue
        for key, values in found.items():
            yield Observation(self._joined(values), dict(key))


PENDING: Final = Gauge("guardrail.approvals.pending", "{request}", "Requests that wait for people")
BACKLOG: Final = Gauge("guardrail.outbox.backlog", "{notice}", "What channels have not told people yet")
QUEUE: Final = Gauge("guardrail.ledger.queue", "{write}", "Writes that wait for a commit", sum)
LAG: Final = Gauge("guardrail.ledger.lag", "s", "How long the oldest of them has waited")
POLICY: Final = Gauge("guardrail.policy.info", "", "1 for every policy revision and mode that is active")
