"""A real SDK for the tests of a worker, configured once: its providers are those of the whole process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

SPANS = InMemorySpanExporter()
READER = InMemoryMetricReader(
    preferred_temporality={Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
)

_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(SPANS))
trace.set_tracer_provider(_provider)
metrics.set_meter_provider(MeterProvider([READER, PrometheusMetricReader()]))

TRACER = trace.get_tracer("host")
KEPT: dict[str, Any] = {}
"""What `keep` has found: metrics as the SDK has them, and as Prometheus scrapes them."""


def forget() -> None:
    """Begin anew."""
    SPANS.clear()
    READER.get_metrics_data()


def spans(name: str = "") -> list[ReadableSpan]:
    """What has ended, in the order of the beginnings; only those whose name begins so."""
    found = [span for span in SPANS.get_finished_spans() if span.name.startswith(name)]
    return sorted(found, key=lambda span: span.start_time)


def one(name: str) -> Any:
    """The only span whose name begins so."""
    [span] = spans(name)
    return span


def path(span: Any) -> str:
    """A span's name behind those of the spans around it."""
    by_id = {found.context.span_id: found for found in SPANS.get_finished_spans()}
    names = [span.name]
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return " > ".join(reversed(names))


def tree() -> list[str]:
    """Every span as its path, in the order of the beginnings."""
    return [path(span) for span in spans()]


def linked(span: Any) -> list[str]:
    """The paths of the spans that a span is linked to."""
    by_id = {found.context.span_id: found for found in SPANS.get_finished_spans()}
    return [path(by_id[link.context.span_id]) for link in span.links]


def measured() -> dict[str, dict[str, Any]]:
    """What was measured since the last time: by metric, and by attributes; of a histogram how often."""
    data = READER.get_metrics_data()
    found: dict[str, dict[str, Any]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = found.setdefault(metric.name, {})
                for point in metric.data.data_points:
                    points[told(point.attributes)] = point.count if hasattr(point, "count") else point.value
    return found


def told(attributes: Mapping[str, Any]) -> str:
    """Attributes in one line, the prefixes left out."""
    return " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in sorted(attributes.items()))


def keep() -> None:
    """Keep what is measured now, of what is open now."""
    data = READER.get_metrics_data()
    KEPT["metrics"] = [
        metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]  # fmt: skip
    KEPT["scraped"] = generate_latest().decode()
