"""The HTTP services of the demo: a supplier directory with the bank's receipts, and a swindler's collector.

Each is a real server on a port of its own on the loopback interface.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

SUPPLIERS: Final = {
    "acme-paper": {"supplier": "acme-paper", "account": "ACC-2001", "known_since": 2019},
    "city-cleaning": {"supplier": "city-cleaning", "account": "ACC-2003", "known_since": 2022},
}

MOST_BYTES: Final = 1_000_000


class Service:
    """One server in a thread, from `with` to its end.

    Attributes:
        received: the bodies that were posted, in order.
        asked: set as soon as something was posted.
        answering: while it is cleared, a post is taken and left without an answer.
    """

    def __init__(self) -> None:
        self.received: list[str] = []
        self.asked = threading.Event()
        self.answering = threading.Event()
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: str) -> int:
        """Keep what was posted; answers how many that makes. Waits while there is no `answering`."""
        self.received.append(body)
        number = len(self.received)
        self.asked.set()
        self.answering.wait()
        return number


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            supplier = SUPPLIERS.get(self.path.removeprefix("/suppliers/"))
            if supplier is None:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "no such supplier"})
            else:
                self._answer(HTTPStatus.OK, supplier)

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            if size > MOST_BYTES:
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "too large"})
                return
            number = service.take(self.rfile.read(size).decode("utf-8", "replace"))
            self._answer(HTTPStatus.OK, {"receipt": number})

        def _answer(self, status: HTTPStatus, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                return  # whoever asked is gone: in one scene it was killed

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name of the base class)
            """Keep the terminal for the story."""

    return Handler
