"""Seven calls of an agent, and what a collector is sent of them.

    python examples/observability [FOLDER]

Needs the extra `otel`. With `OTEL_EXPORTER_OTLP_ENDPOINT` set, it is sent there; else to a small collector in this
process, and shown.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from guardrail import Guardrail
from guardrail.errors import Denied
from guardrail.policy import PolicyInput
from guardrail.telemetry.testing import Collector, attributes_of
from guardrail.testing import ScriptedPolicy, decision


def configure() -> tuple[TracerProvider, MeterProvider]:
    """What any program does that speaks OpenTelemetry: guardrail needs nothing else."""
    resource = Resource.create({"service.name": "payments"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracing)
    measuring = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)
    metrics.set_meter_provider(measuring)
    return tracing, measuring


def decide(given: PolicyInput) -> object:
    """Payments over 100 are made by people."""
    large = given.call.arguments["amount"] > 100
    return decision("deny", rule="amounts.large") if large else decision("allow", rule="amounts.small")


def act(folder: Path) -> None:
    """Seven payments, three of them too large."""
    guard = Guardrail(policy=ScriptedPolicy(decide), ledger=folder / "guardrail.db")  # type: ignore[arg-type]
    pay = guard.tool(lambda amount: f"paid {amount}", agent="payer", name="pay")
    with guard, guard.run("monday", principal="user:anna"):
        for amount in (10, 500, 20, 900, 30, 101, 40):
            try:
                pay(amount)
            except Denied:
                continue


def show(collector: Collector) -> None:
    """What came."""
    calls = [attributes_of(span) for span in collector.spans if span["name"] == "execute_tool pay"]
    ended = Counter(call["guardrail.outcome"] for call in calls)
    print(
        f"{len(calls)} calls: "
        + ", ".join(f"{ended[word]} {word}" for word in ("returned", "blocked", "unknown"))
    )
    first = next(span for span in collector.spans if span["name"] == "execute_tool pay")
    print(first["name"])
    for span in sorted(collector.spans, key=lambda span: int(span["startTimeUnixNano"])):
        if span.get("parentSpanId") == first["spanId"]:
            told = attributes_of(span)
            words = ("guardrail.effect", "guardrail.admission", "guardrail.outcome", "guardrail.released")
            print(f"    {span['name']:<20} {next((told[word] for word in words if word in told), '')}")
    effects: Counter[str] = Counter()
    for metric in collector.metrics:
        if metric["name"] == "guardrail.decisions":
            for point in metric["sum"]["dataPoints"]:
                effects[attributes_of(point)["guardrail.effect"]] = int(point["asInt"])
    print("guardrail.decisions: " + ", ".join(f"{effects[word]} {word}" for word in ("deny", "allow")))


def main() -> None:
    """See the module."""
    with ExitStack() as opened:
        folder = (
            Path(sys.argv[1])
            if len(sys.argv) > 1
            else Path(opened.enter_context(tempfile.TemporaryDirectory()))
        )
        collector = None
        if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
            collector = opened.enter_context(Collector())
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        providers = configure()
        act(folder)
        for provider in providers:
            provider.shutdown()
        if collector is not None:
            show(collector)


if __name__ == "__main__":
    main()
