"""One span and one measurement a call, with the names of the conventions, and no arguments in either."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail.errors import Denied
from guardrail.guard import Guardrail

SECRET = "s3cret-value"
SPANS = InMemorySpanExporter()
READER = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def _sdk() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SPANS))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([READER]))


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    SPANS.clear()
    yield
    SPANS.clear()


def send(to: str) -> str:
    return f"sent to {to}"


def fail(to: str) -> str:
    raise LookupError(f"no account {to}")


def one_span() -> Any:
    [span] = SPANS.get_finished_spans()
    return span


def test_an_allowed_call_is_one_span_with_the_names_of_the_conventions(guard_that: Callable[..., Guardrail]):
    guard = guard_that()
    with guard.run("r1"):
        guard.tool(send, agent="payer")(SECRET)
    span = one_span()
    attributes = dict(span.attributes)
    call_id = attributes.pop("gen_ai.tool.call.id")
    assert len(call_id) == 16
    assert (span.name, span.status.is_ok, attributes) == (
        "execute_tool send",
        True,
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "send",
            "gen_ai.tool.type": "function",
            "gen_ai.agent.name": "payer",
            "gen_ai.conversation.id": "r1",
            "guardrail.agent.chain": ("payer",),
            "guardrail.outcome": "returned",
            "guardrail.rules": (),
            "guardrail.approval": "",
            "guardrail.repeated": False,
        },
    )


@pytest.mark.parametrize(
    ("script", "tool", "error"),
    [("deny", send, "guardrail.denied"), ("ask", send, "guardrail.waiting"), ("allow", fail, "LookupError")],
)
def test_every_other_end_says_what_kind_of_error_it_is(
    guard_that: Callable[..., Guardrail], script: str, tool: Any, error: str
):
    with pytest.raises((Denied, LookupError)):
        guard_that(script).tool(tool, agent="payer", waiting="answer")(SECRET)
    assert (one_span().attributes["error.type"], one_span().status.is_ok) == (error, False)


def test_neither_spans_nor_measurements_hold_an_argument_or_what_a_tool_raised(
    guard_that: Callable[..., Guardrail],
):
    for script, tool in [("allow", send), ("deny", send), ("ask", send), ("allow", fail)]:
        with guard_that(script).run(task=SECRET):
            try:
                guard_that(script).tool(tool, agent="payer", waiting="answer")(SECRET)
            except (Denied, LookupError):
                pass
    told = "".join(span.to_json() for span in SPANS.get_finished_spans())
    measured = READER.get_metrics_data()
    assert len(SPANS.get_finished_spans()) == 4
    assert SECRET not in told
    assert measured is not None
    assert SECRET not in measured.to_json()
    assert "gen_ai.execute_tool.duration" in measured.to_json()


def test_spans_nest_along_the_delegation(guard_that: Callable[..., Guardrail]):
    guard = guard_that()
    inner = guard.tool(send, agent="payer")
    guard.tool(lambda to: inner(to), agent="supervisor", name="delegate")("bob")
    child, parent = SPANS.get_finished_spans()
    assert (child.name, child.parent.span_id) == ("execute_tool send", parent.context.span_id)
