"""`python -m guardrail.verifier`: check an exported log, or the proof of one record."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .checkpoints import Keys
from .exports import verify_export
from .notes import COSIGNATURE, ED25519, Note, NotVerified, PublicKey, read, split
from .proofs import Proof

VERIFIED: Final = 0
NOT_VERIFIED: Final = 1
WRONG_USE: Final = 2
_MOST: Final = 1 << 28
"""Bytes of a file that are read at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m guardrail.verifier", description=__doc__)
    parser.add_argument("what", type=Path, help="the folder of an export, or a .tlog-proof file")
    parser.add_argument(
        "--key", action="append", required=True, metavar="KEY",
        help="the log's public key, or a file with it; several while one follows another",
    )  # fmt: skip
    parser.add_argument(
        "--witness", action="append", default=[], metavar="KEY",
        help="the public key of a witness that has to have signed too",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="FILE",
        help="checkpoints kept elsewhere, which the export has to agree with",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        keys = Keys(
            logs=_keys(given.key, ED25519, "a log"), witnesses=_keys(given.witness, COSIGNATURE, "a witness")
        )
        kept = [note for path in given.checkpoint for note in _notes(path)]
        given.what.stat()
    except (NotVerified, OSError) as error:
        print(error, file=sys.stderr)
        return WRONG_USE
    return _export(given.what, keys, kept) if given.what.is_dir() else _proof(given.what, keys, kept)


def _export(folder: Path, keys: Keys, kept: Sequence[Note]) -> int:
    report = verify_export(folder, keys, kept)
    for name, count in report.beyond.items():
        print(f"{name}: {count:,} later records are out of reach of that checkpoint")
    for name in report.strangers:
        print(f"{name!r}: not looked at: no checkpoint speaks of it")
    for fault in report.faults[1:]:
        print(f"also: {fault}")
    if report.signed:
        print(f"checkpoints compared: {', '.join(map(str, report.signed))}")
    print(report.claim)
    return VERIFIED if report.ok else NOT_VERIFIED


def _proof(path: Path, keys: Keys, kept: Sequence[Note]) -> int:
    try:
        proved = Proof.parse(_text(path)).verify(keys)
        compared = proved.agrees_with([keys.checkpoint(note) for note in kept])
    except (NotVerified, OSError) as error:
        print(f"not proved: {error}")
        return NOT_VERIFIED
    if kept and not compared:
        print(f"not compared: none of the checkpoints given is checkpoint {proved.checkpoint.size}")
    print(json.dumps(proved.record, indent=2))
    print(
        f"log {proved.log}, record {proved.sequence}: written before checkpoint {proved.checkpoint.size} of "
        f"{proved.checkpoint.origin}, and not changed since"
    )
    return VERIFIED


def _keys(given: Sequence[str], kind: int, whose: str) -> tuple[PublicKey, ...]:
    """Keys, each of the kind that such a one signs with: a log that signs twice is no witness."""
    keys = tuple(PublicKey.parse(_text(Path(one)) if Path(one).exists() else one) for one in given)
    for key in keys:
        if key.kind != kind:
            raise NotVerified(f"{key} is not the key of {whose}")
    return keys


def _notes(path: Path) -> list[Note]:
    notes = list(split(_text(path)))
    if not notes:
        raise NotVerified(f"{path} holds no checkpoint")
    return notes


def _text(path: Path) -> str:
    try:
        return read(path, _MOST).decode()
    except UnicodeDecodeError as error:
        raise NotVerified(f"{path} is no text") from error


if __name__ == "__main__":
    sys.exit(main())
