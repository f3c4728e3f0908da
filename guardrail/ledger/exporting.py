"""To hand logs to somebody else: what `guardrail.verifier` checks without a database, or the proof of one record.

Nothing here writes to the ledger, and nothing sealed leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import bindparam, select

from guardrail.errors import ConfigError, Conflict, VerificationFailed
from guardrail.ledger import schema
from guardrail.ledger.bodies import bodies
from guardrail.ledger.connection import Connection, Place
from guardrail.ledger.places import reading_only
from guardrail.ledger.signed import read_last, read_stored
from guardrail.ledger.statements import text
from guardrail.merkle import inclusion_proof, leaf_hash
from guardrail.verifier.checkpoints import Checkpoint, Keys, heads_of, read_record
from guardrail.verifier.exports import CHECKPOINTS, log_file
from guardrail.verifier.growing import Head
from guardrail.verifier.notes import Note, NotVerified, join
from guardrail.verifier.proofs import Proof

_LOGS: Final = text(
    select(schema.logs.c.id, schema.logs.c.size)
    .where(schema.logs.c.id.not_in(select(schema.pruned.c.log)))
    .order_by(schema.logs.c.id)
)
_PRUNED: Final = text(select(schema.pruned.c.at).where(schema.pruned.c.log == bindparam("log")))
_AT_ONCE: Final = 1000
_SIGN: Final = "make one with `guardrail checkpoint`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        logs: how many logs, log 0 among them.
        records: of all of them.
        checkpoints: how many that were signed.
    """

    logs: int
    records: int
    checkpoints: int


def export_logs(path: Place, folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Exported:
    """Write the records of all logs, and the checkpoints over them, in the form of `guardrail.verifier.exports`.

    Args:
        path: the ledger.
        folder: a new one, or an empty one.
        progress: told how many records of how many are written.

    Raises:
        ConfigError: the folder holds something, or cannot be written.
        LedgerUnavailable: the ledger cannot be read.
        VerificationFailed: a checkpoint is not as it was signed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty", fix="name a new folder")
        with reading_only(path) as connection:
            return _export(connection, folder, progress)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} cannot be written: {error.strerror}", fix="name another folder"
        ) from error
    except NotVerified as error:
        raise VerificationFailed(f"a checkpoint is not one: {error}", fix="run `guardrail verify`") from error


def prove(path: Place, log: int, sequence: int, keys: Keys) -> Proof:
    """The proof of one record, under the last checkpoint. It is verified before it is handed out.

    Args:
        path: the ledger.
        log: of the record.
        sequence: its place there.
        keys: whose signature the checkpoint has to have.

    Raises:
        Conflict: no checkpoint covers such a record, or it was pruned.
        LedgerUnavailable: the ledger cannot be read.
        VerificationFailed: the records are not those that were signed.
    """
    with reading_only(path) as connection:
        stored = read_last(connection)
        if stored is None:
            raise Conflict("no checkpoint was signed yet", fix=_SIGN)
        try:
            proof = _prove(connection, Note.parse(stored.note), log, sequence)
            proof.verify(keys)
        except NotVerified as error:
            raise VerificationFailed(
                f"log {log}, record {sequence} cannot be proved: {error}", fix="run `guardrail verify`"
            ) from error
        return proof


def _export(connection: Connection, folder: Path, progress: Callable[[int, int], None] | None) -> Exported:
    notes = [Note.parse(stored.note) for stored in read_stored(connection)]
    logs: dict[int, int] = dict(connection.execute(_LOGS).fetchall())
    done, total = 0, sum(logs.values())
    for log, size in logs.items():
        with (folder / log_file(log)).open("xb") as file:
            for body in bodies(connection, log, 0, size):
                file.write(body + b"\n")
                done += 1
                if progress is not None and done % _AT_ONCE == 0:
                    progress(done, total)
    if progress is not None:
        progress(done, total)
    (folder / CHECKPOINTS).write_text(join(notes), encoding="utf-8", newline="\n")
    return Exported(logs=len(logs), records=done, checkpoints=len(notes))


def _prove(connection: Connection, note: Note, log: int, sequence: int) -> Proof:
    checkpoint = Checkpoint.parse(note.text)
    if (row := connection.execute(_PRUNED, (log,)).fetchone()) is not None:
        raise Conflict(
            f"the records of log {log} were pruned at {row[0]}", fix="prove one before it is pruned"
        )
    place = sequence if log == 0 else checkpoint.size - 1  # the last record of heads covers the most
    zero, heads_body = _leaves(connection, 0, checkpoint.size, place)
    heads = (Head(log=0, size=checkpoint.size, root=checkpoint.root), *_heads(heads_body, place))
    head = next((head for head in heads if head.log == log), None)
    if head is None or not 0 <= sequence < head.size:
        raise Conflict(
            f"checkpoint {checkpoint.size}, the last one, covers no record {sequence} of log {log}", fix=_SIGN
        )
    leaves, body = (zero, heads_body) if log == 0 else _leaves(connection, log, head.size, sequence)
    return Proof(
        record=body, path=() if log == 0 else tuple(inclusion_proof(leaves, sequence)), heads=heads_body,
        index=place, hashes=tuple(inclusion_proof(zero, place)), checkpoint=note,
    )  # fmt: skip


def _leaves(connection: Connection, log: int, size: int, wanted: int) -> tuple[list[bytes], bytes]:
    """The leaf hashes of a log up to a size, and the body of one of its records."""
    leaves, found = list[bytes](), b""
    for sequence, body in enumerate(bodies(connection, log, 0, size)):
        leaves.append(leaf_hash(body))
        if sequence == wanted:
            found = body
    if len(leaves) != size:
        raise NotVerified(f"its log holds {len(leaves)} of the {size} records that were signed")
    return leaves, found


def _heads(body: bytes, place: int) -> tuple[Head, ...]:
    return heads_of(read_record(body, 0, place)) if body else ()
