"""The OpenTelemetry SDK for the command line, as the standard environment variables say; needs the extra `otel`.

Nothing is loaded unless one of them asks for it. A collector that is down, slow or failing costs what is measured, and
nothing else: spans and measurements go out in threads of the SDK, and the end of a command waits for them for so long.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry import metrics, trace

from guardrail.errors import ConfigError
from guardrail.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

END: Final = 3.0
"""Seconds that the end of a command waits for the last spans and measurements."""

Signal = Literal["TRACES", "METRICS"]
Exporter = Literal["otlp", "console", "none"]


def wanted(signal: Signal, told: Mapping[str, str] | None = None) -> Exporter:
    """What the environment asks for: by `OTEL_{signal}_EXPORTER`, else OTLP where an endpoint is named.

    Raises:
        ConfigError: an exporter or a protocol that there is not.
    """
    told = os.environ if told is None else told
    if told.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "none"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    named = any(told.get(name, "").strip() for name in endpoints)
    name = f"OTEL_{signal}_EXPORTER"
    match told.get(name, "").strip() or ("otlp" if named else "none"):
        case "otlp":
            _check_protocol(signal, told)
            return "otlp"
        case "console":
            return "console"
        case "none":
            return "none"
        case other:
            raise ConfigError(f"{name}: there is no exporter {other!r} here", fix="use otlp, console or none")


def _check_protocol(signal: Signal, told: Mapping[str, str]) -> None:
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = told.get(name, "").strip()
        if protocol and protocol != "http/protobuf":
            raise ConfigError(
                f"{name}: {protocol} is not spoken here",
                fix="use http/protobuf, at the collector's port 4318",
            )
        if protocol:
            return


def is_installed() -> bool:
    """Whether the extra `otel` is, all of it: others install the SDK without the exporter."""
    try:
        return all(
            find_spec(name) is not None
            for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:  # not even what it would stand in
        return False


def begin() -> Callable[[], None]:
    """Configure what the environment asks for; answers what is to be called at the end.

    A host that has configured an SDK already (`opentelemetry-instrument`) is left alone. Without the extra nothing
    happens: the variables may be meant for others; `guardrail doctor` says so.

    Raises:
        ConfigError: see `wanted`.
    """
    traces, measured = wanted("TRACES"), wanted("METRICS")
    if (traces, measured) == ("none", "none") or not is_installed():
        return lambda: None
    ends = [_traces(traces), _metrics(measured)]
    return lambda: _within(END, [end for end in ends if end is not None])


def _traces(exporter: Exporter) -> Callable[[], object] | None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SimpleSpanProcessor,
    )

    if exporter == "none" or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter())
        if exporter == "otlp"
        else SimpleSpanProcessor(ConsoleSpanExporter())
    )
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _metrics(exporter: Exporter) -> Callable[[], object] | None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        ConsoleMetricExporter,
        PeriodicExportingMetricReader,
    )

    from guardrail.telemetry.measures import is_on  # noqa: PLC0415

    if exporter == "none" or is_on():
        return None
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter() if exporter == "otlp" else ConsoleMetricExporter()
    )
    provider = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider.shutdown


def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {"service.name": "guardrail", "service.version": __version__})


def _within(seconds: float, ends: list[Callable[[], object]]) -> None:
    """Do all of this at once, each in a thread that nobody waits for any longer than that."""
    threads = [threading.Thread(target=end, name="guardrail-telemetry-end", daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
