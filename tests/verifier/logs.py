"""Logs without a ledger: records, checkpoints over them, exports and proofs, made for the verifier to look at."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.merkle import inclusion_proof, leaf_hash, root
from guardrail.proofs.signing import FileSigner, sign
from guardrail.records import encode
from guardrail.verifier.checkpoints import Checkpoint, Keys, heads_as_json
from guardrail.verifier.exports import CHECKPOINTS, log_file
from guardrail.verifier.growing import Head
from guardrail.verifier.notes import Note, join
from guardrail.verifier.proofs import Proof

ORIGIN = "example.com/guardrail"
SIGNER = FileSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = Keys(logs=(SIGNER.key,))


class Logs:
    """Log 0 and as many others as records are appended to."""

    def __init__(self) -> None:
        self.bodies: dict[int, list[bytes]] = {0: []}
        self.notes: list[Note] = []

    def append(self, log: int, kind: str = "settled", **fields: object) -> None:
        bodies = self.bodies.setdefault(log, [])
        place = {"kind": kind, "log": log, "sequence": len(bodies), "schema": 1}
        bodies.append(encode({"at": "2026-01-31T12:00:00.000Z", "detail": None, **fields, **place}))

    def root(self, log: int) -> bytes:
        return root(self.leaves(log))

    def leaves(self, log: int) -> list[bytes]:
        return [leaf_hash(body) for body in self.bodies[log]]

    def checkpoint(self) -> Checkpoint:
        heads = [
            Head(log=log, size=len(bodies), root=self.root(log)) for log, bodies in self.bodies.items() if log
        ]
        self.append(0, "checkpoint", heads=heads_as_json(heads))
        made = Checkpoint(origin=ORIGIN, size=len(self.bodies[0]), root=self.root(0))
        self.notes.append(sign(made.text, SIGNER))
        return made

    def export(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / CHECKPOINTS).write_text(join(self.notes), encoding="utf-8")
        for log, bodies in self.bodies.items():
            (folder / log_file(log)).write_bytes(b"".join(body + b"\n" for body in bodies))
        return folder

    def proof(self, log: int, sequence: int) -> Proof:
        """Of a record that the last checkpoint covers; nothing was appended since."""
        index = len(self.bodies[0]) - 1 if log else sequence
        return Proof(
            record=self.bodies[log][sequence],
            path=tuple(inclusion_proof(self.leaves(log), sequence)) if log else (),
            heads=self.bodies[0][index],
            index=index,
            hashes=tuple(inclusion_proof(self.leaves(0), index)),
            checkpoint=self.notes[-1],
        )


def small() -> Logs:
    """Two logs and three checkpoints, with records behind the last one."""
    logs = Logs()
    for turn in range(3):
        for number in range(3):
            logs.append(1, run=f"run-{turn}", position=number)
        logs.append(2, run="another", position=turn)
        logs.checkpoint()
    return logs
