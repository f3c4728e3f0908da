"""Whether the collectors of spans and measurements take any: what `guardrail doctor` says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from guardrail.cli.exporting import Signal, wanted
from guardrail.cli.signs import Sign

_PATHS: Final[Mapping[Signal, str]] = {"TRACES": "/v1/traces", "METRICS": "/v1/metrics"}
_NAMES: Final[Mapping[Signal, str]] = {"TRACES": "spans", "METRICS": "measurements"}
_PATIENCE: Final = 2.0
"""Seconds to wait for an answer."""
_HERE: Final = "http://localhost:4318"
_FIX: Final = "look after the collector, or correct {}; calls go on without it, and what is measured is lost"


def collectors() -> Iterator[Sign]:
    """Send each collector that the environment names an empty request, and say what it answers."""
    asked = [signal for signal in _PATHS if wanted(signal) == "otlp"]
    with ThreadPoolExecutor(len(_PATHS)) as pool:
        yield from pool.map(_asked, asked)


def _asked(signal: Signal) -> Sign:
    variable, address = _address(signal)
    name, fix = _NAMES[signal], _FIX.format(variable)
    shown = str(httpx.URL(address).copy_with(username=None, password=None, query=None))
    headers = {"Content-Type": "application/x-protobuf", **_headers(signal)}
    try:
        answer = httpx.post(address, content=b"", headers=headers, timeout=_PATIENCE)
    except httpx.TimeoutException:
        text = f"{name}: {shown} gave no answer within {_PATIENCE:g} s"
        return Sign(about="collector", state="down", text=text, fix=fix)
    except httpx.TransportError as error:
        text = f"{name}: {shown} cannot be reached: {error}"
        return Sign(about="collector", state="down", text=text, fix=fix)
    if answer.is_success:
        return Sign(about="collector", state="ok", text=f"{name}: {shown} takes them")
    text = f"{name}: {shown} answers with {answer.status_code}"
    return Sign(about="collector", state="down" if answer.is_server_error else "error", text=text, fix=fix)


def _address(signal: Signal) -> tuple[str, str]:
    """The variable that names where a signal goes, and where that is (OpenTelemetry, "Endpoint URLs for OTLP/HTTP")."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    if address := os.environ.get(own, "").strip():
        return own, address
    return common, (os.environ.get(common, "").strip() or _HERE).rstrip("/") + _PATHS[signal]


def _headers(signal: Signal) -> Mapping[str, str]:
    """What is sent with a signal, to be let in."""
    from opentelemetry.util.re import parse_env_headers  # noqa: PLC0415  nobody else needs it

    own, common = f"OTEL_EXPORTER_OTLP_{signal}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"
    return parse_env_headers(os.environ.get(own) or os.environ.get(common) or "", liberal=True)
