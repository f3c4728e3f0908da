"""A stand-in for a collector: a real HTTP server in this process that takes OTLP and keeps what it is sent.

For tests and examples; needs the extra `otel`.
"""

from __future__ import annotations

import gzip
import threading
from base64 import b64decode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal, Self

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

Behaviour = Literal["answers", "fails", "hangs"]
"""How it answers: as a collector does, with 500, or not at all until it is closed."""

_TRACES: Final = "/v1/traces"
_IDS: Final = ("traceId", "spanId", "parentSpanId")


class Collector:
    """Takes OTLP/HTTP at `url`, in protobuf.

    Attributes:
        url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        spans: every span that came, as the JSON form of OTLP (ids in hexadecimal digits).
        metrics: every metric likewise, each as often as it was sent.
        bodies: what was sent, unpacked: whatever stood in it.
        requests: how many were begun.
    """

    def __init__(self, behaviour: Behaviour = "answers", *, port: int = 0) -> None:
        self.behaviour: Behaviour = behaviour
        self.spans: list[Mapping[str, Any]] = []
        self.metrics: list[Mapping[str, Any]] = []
        self.bodies: list[bytes] = []
        self.requests = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for_spans(self, count: int, seconds: float = 30.0) -> bool:
        """Wait until so many spans are there, or for so long; answers whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.spans) >= count, seconds)

    def take(self, path: str, body: bytes) -> bytes | None:
        """Keep what was sent; answers what a collector answers, or None where this one fails."""
        with self._changed:
            self.requests += 1
        if self.behaviour == "hangs":
            self._closing.wait()
        if self.behaviour != "answers":
            return None
        with self._changed:
            self.bodies.append(body)
            if path == _TRACES:
                self.spans += _spans(body)
                answer: bytes = ExportTraceServiceResponse().SerializeToString()
            else:
                self.metrics += _metrics(body)
                answer = ExportMetricsServiceResponse().SerializeToString()
            self._changed.notify_all()
        return answer


def attributes_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span, a link, an event or a data point, as plain values."""
    return {entry["key"]: _value(entry["value"]) for entry in item.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values", ())]
    return int(value["intValue"]) if "intValue" in value else next(iter(value.values()), None)


def _spans(body: bytes) -> list[dict[str, Any]]:
    told = MessageToDict(ExportTraceServiceRequest.FromString(body))
    return [
        {**_in_hex(span), "links": [_in_hex(link) for link in span.get("links", ())]}
        for resource in told.get("resourceSpans", ())
        for scope in resource.get("scopeSpans", ())
        for span in scope.get("spans", ())
    ]


def _in_hex(item: Mapping[str, Any]) -> dict[str, Any]:
    """With its ids as W3C writes them: the JSON form of protobuf has them in base 64."""
    return {key: b64decode(value).hex() if key in _IDS else value for key, value in item.items()}


def _metrics(body: bytes) -> list[dict[str, Any]]:
    told = MessageToDict(ExportMetricsServiceRequest.FromString(body))
    return [
        metric
        for resource in told.get("resourceMetrics", ())
        for scope in resource.get("scopeMetrics", ())
        for metric in scope.get("metrics", ())
    ]


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = collector.take(self.path, body)
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as above
            """Nothing is logged."""

    return Handler
