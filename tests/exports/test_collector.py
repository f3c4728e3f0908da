"""Spans that are sent over HTTP: what a collector gets, and what is done where it is down."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import CollectorUnavailable
from guardrail.exports.collector import send
from guardrail.exports.cursor import Asked
from tests.exports.reading import exported, lines
from tests.replay.scene import history


class Collector:
    """A server that keeps what it is sent, and answers as it is told; then with 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[str, str | None, dict[str, Any]]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = collector.answers.pop(0) if collector.answers else 200
                if answer == 200:
                    collector.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_a_collector_gets_what_a_file_would_hold(original: Path, tmp_path: Path, collector: Collector):
    exported(original, tmp_path / "t.jsonl", "otel")
    done = send(history(original), collector.url, Asked(format="otel"))
    assert collector.got == [
        ("/v1/traces", "application/json", document) for document in lines(tmp_path / "t.jsonl")
    ]
    assert (done.target, done.counts["spans"]) == (collector.url, 38)
    send(history(original), f"{collector.url}/own/path", Asked(format="otel"))
    assert collector.got[-1][0] == "/own/path"


def test_what_may_be_sent_again_is_sent_again(original: Path, collector: Collector):
    waited: list[float] = []
    collector.answers = [503, 429]
    send(history(original), collector.url, Asked(format="otel"), wait=waited.append)
    assert (len(collector.got), waited) == (1, [0.5, 1.0])


def test_a_collector_that_refuses_or_is_gone_is_told(original: Path, collector: Collector):
    collector.answers = [400]
    with pytest.raises(CollectorUnavailable, match="answered with 400"):
        send(history(original), collector.url, Asked(format="otel"))
    with pytest.raises(CollectorUnavailable, match="does not answer: ConnectError"):
        send(history(original), "http://127.0.0.1:1", Asked(format="otel"), wait=lambda _: None)
