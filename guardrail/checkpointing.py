"""To make a checkpoint: write down how all logs stand, recompute that, have it signed, and have it kept elsewhere.

Nothing is signed that is not a later state of all that was signed before, here and wherever checkpoints are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.errors import AnchorUnavailable, VerificationFailed
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.places import reading_only
from guardrail.ledger.signed import Kept, Stored, read_last
from guardrail.proofs.anchors import Anchor
from guardrail.proofs.signing import Signer, sign
from guardrail.verifier.checkpoints import Checkpoint, Keys
from guardrail.verifier.notes import Note, NotVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A checkpoint that was made.

    Attributes:
        checkpoint: what it says.
        note: as it was signed, with the signatures of witnesses.
        records: how many records of other logs it covers.
        anchored: where it is kept now.
        failed: what went wrong at the other places.
    """

    checkpoint: Checkpoint
    note: Note
    records: int
    anchored: tuple[str, ...]
    failed: tuple[AnchorUnavailable, ...]


def make_checkpoint(
    ledger: Ledger, signer: Signer, anchors: Sequence[Anchor] = (), *, keys: Keys | None = None
) -> Made:
    """Make a checkpoint. Where nothing has happened since the last one, that one is kept wherever it is not yet.

    Args:
        ledger: whose logs are meant.
        signer: who signs.
        anchors: where it is kept, each in its turn.
        keys: further keys under which earlier checkpoints are believed.

    Raises:
        VerificationFailed: what is recorded is no later state of what was signed before, here or at an anchor, or is
            not what its own hashes say; nothing was signed. Or an anchor refuses what was signed.
        ConfigError: it cannot be signed.
        LedgerUnavailable: the ledger cannot be read or written.
    """
    believed = Keys(logs=(signer.key, *(keys.logs if keys else ())))
    kept, failed = collect(ledger.path, believed, anchors)
    ledger.checkpoints.append()
    trees = ledger.checkpoints.recompute(believed, [one.checkpoint for one in kept])
    made = Checkpoint(origin=signer.key.name, size=trees[0].size, root=trees[0].root)
    note = sign(made.text, signer)
    ledger.checkpoints.keep(made.size, note, trees)
    anchored: list[str] = []
    for anchor in anchors:
        if anchor.title in {title for title, _ in failed}:
            continue
        try:
            note = anchor.add(note, lambda: ledger.checkpoints.leaves(0, made.size))
        except AnchorUnavailable as error:
            failed.append((anchor.title, error))
        else:
            anchored.append(anchor.title)
    ledger.checkpoints.keep(made.size, note, trees)
    return Made(
        checkpoint=made, note=note, records=sum(tree.size for log, tree in trees.items() if log),
        anchored=tuple(anchored), failed=tuple(error for _, error in failed),
    )  # fmt: skip


def collect(
    path: Place, keys: Keys, anchors: Sequence[Anchor]
) -> tuple[list[Kept], list[tuple[str, AnchorUnavailable]]]:
    """The checkpoints that anchors hold, and the anchors, by title, that could not be asked.

    Args:
        path: the ledger whose checkpoints they are.
        keys: whom to believe.
        anchors: whom to ask.

    Raises:
        VerificationFailed: one holds something that no trusted key has signed, or a later checkpoint than is here.
    """
    with reading_only(path) as connection:
        stored = read_last(connection)
    last = None if stored is None else _note(stored)
    kept: list[Kept] = []
    failed: list[tuple[str, AnchorUnavailable]] = []
    for anchor in anchors:
        try:
            held = anchor.held(last)
        except AnchorUnavailable as error:
            failed.append((anchor.title, error))
            continue
        kept += [Kept(where=anchor.title, checkpoint=believe(note, keys, anchor.title)) for note in held]
    return kept, failed


def _note(stored: Stored) -> Note:
    try:
        return Note.parse(stored.note)
    except NotVerified as error:
        raise VerificationFailed(
            f"what is stored as checkpoint {stored.size} is none: {error}",
            fix="run `guardrail verify`, and compare the ledger with a backup",
        ) from error


def believe(note: Note, keys: Keys, where: str) -> Checkpoint:
    """The checkpoint that a note is, once it is known who has signed it.

    Args:
        note: a signed note.
        keys: whom to believe.
        where: who holds it.

    Raises:
        VerificationFailed: nobody who is trusted here has signed it.
    """
    try:
        return keys.checkpoint(note)
    except NotVerified as error:
        raise VerificationFailed(
            f"{where}: {error}", fix="see which key signed it, and that it is a checkpoint of this ledger"
        ) from error
