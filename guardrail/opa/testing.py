"""A stand-in for an OPA server, over real HTTP, that answers whatever a test wants it to."""

from __future__ import annotations

import gzip
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came in.

    Attributes:
        target: path and query.
        headers: names in lower case.
        body: of it.
    """

    target: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[Asked], bytes | None]
"""Gives the bytes that are sent back, status line and all; None = nothing is, until the stand-in is closed."""

HOLD: Final[Answer] = lambda _: None  # noqa: E731
"""Takes the question and never answers."""


def reply(
    body: bytes,
    *,
    status: str = "200 OK",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """An answer of HTTP.

    Args:
        body: of it.
        status: code and words.
        headers: more headers.
        length: what it says of its length, where that is not the truth.
    """
    lines = {
        "Content-Type": "application/json",
        "Content-Length": str(length or len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def decided(result: Any, **more: Any) -> bytes:
    """An answer as OPA gives it, with a result."""
    return reply(orjson.dumps({"result": result, **more}))


def packed(body: bytes) -> bytes:
    """An answer that is small on its way, and as large as `body` unpacked."""
    return reply(gzip.compress(body), headers={"Content-Encoding": "gzip"})


class StandIn:
    """Listens on a port of this machine. Use it as a context.

    Args:
        answer: what it answers; may be changed while it runs.

    Attributes:
        asked: what came in, in order.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._closed = threading.Event()
        self._listening = _Listening(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._listening.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listening.server_address[1]}"

    def handle(self, asked: Asked) -> bytes | None:
        """Answer one request; None = the connection is closed, once the stand-in is."""
        self.asked.append(asked)
        answer = self.answer(asked)
        if answer is None:
            self._closed.wait()
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._listening.shutdown()
        self._listening.server_close()
        self._thread.join()


class _Listening(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _handler(stand_in: StandIn) -> type[socketserver.StreamRequestHandler]:
    class _Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (asked := _read(self.rfile)) is not None:
                answer = stand_in.handle(asked)
                if answer is None:
                    return
                try:
                    self.wfile.write(answer)
                except OSError:
                    return
                if b"Connection: close" in answer or not answer.startswith(b"HTTP/1.1 "):
                    return

    return _Handler


def _read(stream: Any) -> Asked | None:
    try:
        first: bytes = stream.readline()
        if not first.strip():
            return None
        headers: dict[str, str] = {}
        while line := stream.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body: bytes = stream.read(int(headers.get("content-length", "0")))
    except OSError:
        return None
    return Asked(target=first.decode("latin-1").split(" ")[1], headers=headers, body=body)
