"""A stand-in for registries, over real HTTP on this computer, for your tests and ours: nothing here is for production.

It speaks what guardrail reads: the Simple API of PyPI (PEP 691, PEP 700), PyPI's own JSON, and packuments of npm.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from guardrail.registry.bodies import SIMPLE
from guardrail.registry.names import Ecosystem


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the stand-in answers to one request.

    Attributes:
        status: of HTTP.
        body: as sent.
        media_type: of the body.
        headers: further ones.
        pause: seconds before it answers.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    pause: float = 0.0


class RegistryStandIn:
    """PyPI below `url`, npm below `npm_url`; both empty at first.

    Attributes:
        asked: the paths that were asked for, with the method's name left out, in their order.
        answer: called with a path; what it answers goes before what is published. None = nothing of its own.
        api: version of the Simple API; below 1.1 it tells neither times nor versions.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[str], Answer | None] = lambda _: None
        self.api = "1.1"
        self._published: dict[tuple[str, str], dict[str, datetime]] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="registry stand-in", daemon=True
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Base address of PyPI."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def npm_url(self) -> str:
        """Base address of npm."""
        return f"{self.url}npm/"

    def publish(
        self, name: str, *, ecosystem: Ecosystem = "pypi", days_ago: float = 1000, versions: int = 1
    ) -> None:
        """Put a package there, with its first file so many days ago and further versions since."""
        first = datetime.now(UTC) - timedelta(days=days_ago)
        self._published[ecosystem, name] = {
            f"1.{number}": first + timedelta(hours=number) for number in range(versions)
        }

    def remove(self, name: str, *, ecosystem: Ecosystem = "pypi") -> None:
        """Take a package away."""
        del self._published[ecosystem, name]

    def respond(self, path: str) -> Answer:
        """What is answered to a path."""
        special = self.answer(path)
        if special is not None:
            return special
        match path.strip("/").split("/"):
            case ["simple"]:
                names = [name for ecosystem, name in self._published if ecosystem == "pypi"]
                return _json(
                    {"meta": {"api-version": self.api}, "projects": [{"name": n} for n in names]}, SIMPLE
                )
            case ["simple", name]:
                return self._page("pypi", name, self._simple, SIMPLE)
            case ["pypi", name, "json"]:
                return self._page("pypi", name, self._project, "application/json")
            case ["npm", name]:
                return self._page("npm", unquote(name), self._packument, "application/json")
            case _:
                return Answer(status=404)

    def _page(
        self,
        ecosystem: Ecosystem,
        name: str,
        page: Callable[[str, dict[str, datetime]], dict[str, Any]],
        media_type: str,
    ) -> Answer:
        versions = self._published.get((ecosystem, name))
        return Answer(status=404) if versions is None else _json(page(name, versions), media_type)

    def _simple(self, name: str, versions: dict[str, datetime]) -> dict[str, Any]:
        files: list[dict[str, Any]] = [
            {"filename": f"{name}-{version}.tar.gz", "url": "x", "hashes": {}, "yanked": False}
            | ({"upload-time": at.isoformat()} if self.api != "1.0" else {})
            for version, at in versions.items()
        ]
        told = {"versions": list(versions)} if self.api != "1.0" else {}
        return {"meta": {"api-version": self.api}, "name": name, "files": files, **told}

    def _project(self, name: str, versions: dict[str, datetime]) -> dict[str, Any]:
        releases = {
            version: [{"upload_time_iso_8601": at.isoformat(), "yanked": False}] for version, at in versions.items()
        }  # fmt: skip
        return {"info": {"name": name}, "releases": releases}

    def _packument(self, name: str, versions: dict[str, datetime]) -> dict[str, Any]:
        times = {version: at.isoformat() for version, at in versions.items()}
        created = min(versions.values()).isoformat()
        return {
            "name": name, "versions": {version: {} for version in versions}, "time": {"created": created, **times},
        }  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _json(document: dict[str, Any], media_type: str) -> Answer:
    return Answer(body=json.dumps(document).encode(), media_type=media_type)


def _handler(stand_in: RegistryStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            stand_in.asked.append(self.path)
            stand_in.headers.append(dict(self.headers.items()))
            answer = stand_in.respond(self.path)
            time.sleep(answer.pause)
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # who asked waits no longer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the signature of http.server
            """Say nothing."""

    return Handler
