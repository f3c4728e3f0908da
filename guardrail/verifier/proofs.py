"""The proof of one record: a C2SP tlog-proof file, to be checked by whoever holds the log's public key.

The file proves, as any such file does, that a record of log 0 is in the tree that a checkpoint signs. Its `extra`
line holds that record, which names the heads of all logs, then the record that is to be proved and the path from it
to the head of its own log. So a proof is two inclusion proofs, and says nothing of any other record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from .checkpoints import Checkpoint, Keys, heads_of, read_record, whole
from .notes import Note, NotVerified, decode64, encode64
from .trees import leaf_hash, verify_inclusion

SUFFIX: Final = ".tlog-proof"
"""How such files are called."""
_FIRST: Final = "c2sp.org/tlog-proof@v1"
_FIELDS: Final = {"heads", "path", "record"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the file holds.

    Attributes:
        record: canonical bytes of the record that is proved.
        path: from the record to the root of its log, the leaf's sibling first.
        heads: canonical bytes of the record of log 0 that names this root.
        index: where that stands in log 0.
        hashes: from there to the root of log 0.
        checkpoint: the note that signs this root.
    """

    record: bytes
    path: Sequence[bytes]
    heads: bytes
    index: int
    hashes: Sequence[bytes]
    checkpoint: Note

    def __str__(self) -> str:
        extra = {
            "heads": self.heads.decode(),
            "path": [node.hex() for node in self.path],
            "record": self.record.decode(),
        }
        body = json.dumps(extra, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        lines = [
            _FIRST,
            f"extra {encode64(body.encode())}",
            f"index {self.index}",
            *map(encode64, self.hashes),
        ]
        return "\n".join(lines) + f"\n\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file.

        Raises:
            NotVerified: it is not of the form.
        """
        top, _, note = text.partition("\n\n")
        first, *lines = top.split("\n")
        if first != _FIRST or len(lines) < 2:
            raise NotVerified(f"this is no proof: it has to begin with {_FIRST}, extra and index")
        extra, index, *hashes = lines
        found = _extra(extra)
        try:
            proof = cls(
                record=found["record"].encode(), path=tuple(bytes.fromhex(node) for node in found["path"]),
                heads=found["heads"].encode(), index=whole(index.removeprefix("index ")),
                hashes=tuple(map(decode64, hashes)), checkpoint=Note.parse(note),
            )  # fmt: skip
        except (AttributeError, TypeError, ValueError) as error:
            raise NotVerified("the extra line of this proof is not one that guardrail writes") from error
        if str(proof) != text:
            raise NotVerified("this proof is not written in the one way in which it can be")
        return proof

    def verify(self, keys: Keys) -> Proved:
        """What it proves, to whoever believes these keys.

        Raises:
            NotVerified: it proves nothing; the message says what does not hold.
        """
        checkpoint = keys.checkpoint(self.checkpoint)
        leaf, root = leaf_hash(self.heads), checkpoint.root
        if not verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, root):
            raise NotVerified(
                f"the record of heads is not in the log that checkpoint {checkpoint.size} signs"
            )
        said = read_record(self.heads, 0, self.index)
        place = _place(self.record)
        record = read_record(self.record, *place)
        if place[0] == 0:  # itself a record of heads: the outer proof is all there is
            if self.record != self.heads or self.path:
                raise NotVerified("the record is not the one whose place in log 0 is shown")
            return Proved(log=0, sequence=place[1], record=record, checkpoint=checkpoint)
        head = next((head for head in heads_of(said) if head.log == place[0]), None)
        if head is None or not verify_inclusion(
            leaf_hash(self.record), place[1], head.size, self.path, head.root
        ):
            raise NotVerified(f"the record is not in log {place[0]} as checkpoint {checkpoint.size} has it")
        return Proved(log=place[0], sequence=place[1], record=record, checkpoint=checkpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """A record that is shown to have been written before a checkpoint was signed, and not changed since.

    Attributes:
        log: its log, and
        sequence: its place there.
        record: its fields.
        checkpoint: what was signed.
    """

    log: int
    sequence: int
    record: dict[str, Any]
    checkpoint: Checkpoint

    def agrees_with(self, kept: Iterable[Checkpoint]) -> bool:
        """Whether one of these checkpoints, from elsewhere, is the one that it was proved by.

        Raises:
            NotVerified: one of them is of the same size, and of another history.
        """
        same = [one for one in kept if one.size == self.checkpoint.size]
        if any(one != self.checkpoint for one in same):
            raise NotVerified(f"there are two checkpoints {self.checkpoint.size}: two histories were signed")
        return bool(same)


def _extra(line: str) -> dict[str, Any]:
    mark, _, encoded = line.partition(" ")
    try:
        found: Any = json.loads(decode64(encoded))
    except (ValueError, RecursionError) as error:
        raise NotVerified("the extra line of this proof is no JSON") from error
    if mark != "extra" or not isinstance(found, dict) or set(found) != _FIELDS:  # pyright: ignore[reportUnknownArgumentType]
        raise NotVerified("the extra line of this proof is not one that guardrail writes")
    return found  # pyright: ignore[reportUnknownVariableType]


def _place(record: bytes) -> tuple[int, int]:
    """Where a record says that it stands; both are shown by the proof, or refused."""
    try:
        fields: Any = json.loads(record)
        log, sequence = fields["log"], fields["sequence"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotVerified("the record does not say where it stands") from error
    if type(log) is not int or type(sequence) is not int:
        raise NotVerified("the record does not say where it stands")
    return log, sequence
