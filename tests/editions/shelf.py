"""Bundles, packed here, and a real HTTP server that hands them out, well or badly."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
"""Bundles that `opa` 1.22.2 has built and signed, and the public keys."""

RULE = """package guardrail.rules.{name}

# METADATA
# title: paying is fine
allow contains {{"rule": "{name}.pay", "message": "{message}"}} if input.tool.name == "pay"
"""


def rule(message: str, name: str = "paying") -> bytes:
    """A module whose rule says a message."""
    return RULE.format(name=name, message=message).encode()


def manifest(revision: str = "", counter: int | None = None, **fields: Any) -> bytes:
    said: dict[str, Any] = {"revision": revision, **fields}
    if counter is not None:
        said["metadata"] = {"guardrail": {"counter": counter}}
    return json.dumps(said).encode()


def edition(number: int, **fields: Any) -> dict[str, bytes]:
    """The files of the edition with a number: its rule says which one it is."""
    return {".manifest": manifest(f"r{number}", number, **fields), "paying.rego": rule(f"edition {number}")}


def tape(files: Mapping[str, bytes]) -> bytes:
    """A tar archive."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return body.getvalue()


def packed(files: Mapping[str, bytes]) -> bytes:
    """A bundle."""
    return gzip.compress(tape(files), mtime=0)


@dataclass
class Shelf:
    """What the server hands out, how it misbehaves, and what it was asked."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etags: bool = True
    promised: int | None = None  # a length that is not kept
    hold: threading.Event | None = None  # the answer waits for it
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def put(self, files: Mapping[str, bytes]) -> None:
        self.body = packed(files)
        self.status = 200

    @property
    def etag(self) -> str:
        return f'"{sha256(self.body).hexdigest()[:16]}"'


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def do_GET(self) -> None:
        shelf = self.shelf
        shelf.asked.append(dict(self.headers.items()))
        shelf.targets.append(self.path)
        if shelf.hold is not None:
            shelf.hold.wait(30)
        known = shelf.etags and self.headers.get("If-None-Match") == shelf.etag
        status = 304 if known and shelf.status == 200 else shelf.status
        shelf.statuses.append(status)
        body = shelf.body if status == 200 else b""
        self.send_response(status)
        if shelf.etags:
            self.send_header("ETag", shelf.etag)
        for name, value in shelf.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if shelf.promised is None else shelf.promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None: ...  # who asked has gone


@contextmanager
def serving(shelf: Shelf, wrap: Any = None, port: int = 0) -> Iterator[Shelf]:
    """Hand a shelf out over HTTP, or TLS where a context is given."""
    handler = type("Handler", (_Handler,), {"shelf": shelf})
    server = _Server(("127.0.0.1", port), handler)
    if wrap is not None:
        server.socket = wrap.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scheme = "http" if wrap is None else "https"
    shelf.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/bundles/guardrail.tar.gz"
    try:
        yield shelf
    finally:
        if shelf.hold is not None:
            shelf.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
