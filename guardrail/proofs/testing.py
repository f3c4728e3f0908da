"""A witness over real HTTP on this computer, for your tests and ours: nothing here is for production.

It does what C2SP tlog-witness says: it signs a checkpoint that is a later state of the last it has signed.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.merkle import EMPTY_ROOT, verify_consistency
from guardrail.proofs.witness import SIZE_TYPE
from guardrail.verifier.checkpoints import Checkpoint, whole
from guardrail.verifier.notes import (
    COSIGNATURE,
    Note,
    NotVerified,
    PublicKey,
    Signature,
    cosigned,
    decode64,
)

_TEXT = "text/plain; charset=utf-8"
_Answer = tuple[int, str, str]
"""Status, media type and body."""


class WitnessStandIn:
    """A witness of the logs whose keys it is given.

    Args:
        logs: their public keys.
        name: of its own key.

    Attributes:
        key: what verifies its signatures.
        seen: origin → the size and root that it has signed last.
        asked: the old size of every request, in their order.
        answer: what it answers instead of thinking about it; None = it thinks.
    """

    def __init__(self, *logs: PublicKey, name: str = "witness.example/stand-in") -> None:
        self._logs = {key.name: key for key in logs}
        self._secret = Ed25519PrivateKey.generate()
        self.key = PublicKey(name=name, kind=COSIGNATURE, body=self._secret.public_key().public_bytes_raw())
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.asked: list[int] = []
        self.answer: _Answer | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="witness stand-in", daemon=True
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
        """Its submission prefix."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def add_checkpoint(self, body: str) -> _Answer:
        """What it answers to a request."""
        if self.answer is not None:
            return self.answer
        try:
            top, _, rest = body.partition("\n\n")
            first, *lines = top.split("\n")
            old, proof = whole(first.removeprefix("old ")), [decode64(line) for line in lines]
            note = Note.parse(rest)
            checkpoint = Checkpoint.parse(note.text)
        except NotVerified as error:
            return 400, _TEXT, f"{error}\n"
        self.asked.append(old)
        key = self._logs.get(checkpoint.origin)
        if key is None:
            return 404, _TEXT, "unknown log\n"
        try:
            signed = note.signers((key,))
        except NotVerified:
            signed = ()
        if not signed:
            return 403, _TEXT, "not signed by that log\n"
        with self._lock:
            return self._judge(note, checkpoint, old, proof)

    def _judge(self, note: Note, checkpoint: Checkpoint, old: int, proof: list[bytes]) -> _Answer:
        if old > checkpoint.size:
            return 400, _TEXT, "the old size is larger than the new one\n"
        size, root = self.seen.get(checkpoint.origin, (0, EMPTY_ROOT))
        if old != size or (old == checkpoint.size and root != checkpoint.root):
            return 409, SIZE_TYPE, f"{size}\n"
        holds = (
            not proof if old == 0 else verify_consistency(old, checkpoint.size, proof, root, checkpoint.root)
        )
        if not holds:
            return 422, _TEXT, "not consistent\n"
        self.seen[checkpoint.origin] = (checkpoint.size, checkpoint.root)
        now = int(time.time())
        made = now.to_bytes(8, "big") + self._secret.sign(cosigned(note.text, now))
        return 200, _TEXT, Signature(name=self.key.name, key_id=self.key.key_id, body=made).line


def _handler(witness: WitnessStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            if self.path != "/add-checkpoint":
                self.send_error(404)
                return
            status, kind, answer = witness.add_checkpoint(body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer.encode())))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    return Handler
