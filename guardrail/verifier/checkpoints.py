"""Checkpoints (C2SP tlog-checkpoint): a signed note that says how large log 0 is, and its root.

Log 0 holds nothing but records of the heads of all logs. So one signature covers every log: what a log held is in
a record of log 0, and that record is in the tree that the checkpoint signs. A checkpoint is called by its size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from .growing import Head
from .notes import Note, NotVerified, PublicKey, decode64, encode64
from .trees import HASH_BYTES

KINDS: Final = ("checkpoint", "pruned")
"""Kinds of the records in log 0: how all logs stood; and the same, with logs among them whose records go."""
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def whole(text: str) -> int:
    """A number as these formats write it: decimal, without leading zeros.

    Raises:
        NotVerified: it is none.
    """
    if not _NUMBER.fullmatch(text):
        raise NotVerified(f"this is no size or index: {text[:40]!r}")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says.

    Attributes:
        origin: name of the log of logs.
        size: how many records log 0 held.
        root: of its tree then.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what is signed; extension lines, which the format discourages, are refused.

        Raises:
            NotVerified: it is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise NotVerified("this is no checkpoint: three lines with origin, size and root")
        root = decode64(lines[2])
        if len(root) != HASH_BYTES:
            raise NotVerified("the root of a checkpoint is no SHA-256 hash")
        return cls(origin=lines[0], size=whole(lines[1]), root=root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Whom to believe.

    Attributes:
        logs: keys of the log, one of which has to have signed; several while one follows another.
        witnesses: keys of witnesses, every one of which has to have signed too.
    """

    logs: Sequence[PublicKey]
    witnesses: Sequence[PublicKey] = ()

    def checkpoint(self, note: Note) -> Checkpoint:
        """The checkpoint that a note is, once it is known to be signed.

        Raises:
            NotVerified: it is not signed by those who have to, or it is the checkpoint of another log.
        """
        signers = note.signers((*self.logs, *self.witnesses))
        found = Checkpoint.parse(note.text)
        names = {key.name for key in self.logs if key in signers}
        if not names:
            raise NotVerified("a checkpoint is not signed by a key of the log that is trusted here")
        if found.origin not in names:
            raise NotVerified(f"a checkpoint is one of {found.origin!r}, and signed by another log's key")
        if missing := [key.name for key in self.witnesses if key not in signers]:
            raise NotVerified(f"checkpoint {found.size} is not signed by the witness {missing[0]}")
        return found


def heads_as_json(heads: Iterable[Head]) -> list[dict[str, Any]]:
    """Heads as they stand in a record of log 0."""
    return [{"id": head.log, "root": head.root.hex(), "size": head.size} for head in heads]


def read_record(body: bytes, log: int, sequence: int) -> dict[str, Any]:
    """The fields of a record, which has to be canonical JSON and to say itself where it stands.

    Raises:
        NotVerified: it is not, or it does not.
    """
    try:
        text = body.decode()
        fields: Any = json.loads(text, parse_constant=_no_number)
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise NotVerified("it is no JSON", log=log, sequence=sequence) from error
    if not isinstance(fields, dict) or canonical != text:
        raise NotVerified("it is no canonical JSON object", log=log, sequence=sequence)
    record = cast("dict[str, Any]", fields)
    if (record.get("log"), record.get("sequence")) != (log, sequence):
        raise NotVerified("it says itself that it stands somewhere else", log=log, sequence=sequence)
    return record


def written_at(record: dict[str, Any]) -> str:
    """When a record was written, as it says: RFC 3339, UTC, and nothing that a terminal would obey.

    Raises:
        NotVerified: it does not say so.
    """
    at: Any = record.get("at")
    if not isinstance(at, str) or not _MOMENT.fullmatch(at):
        raise NotVerified(
            "it does not say when it was written", log=record.get("log"), sequence=record.get("sequence")
        )
    return at


def heads_of(record: dict[str, Any]) -> tuple[Head, ...]:
    """The heads in a record of log 0, as `read_record` gave it.

    Raises:
        NotVerified: it is another kind of record.
    """
    place = {"log": record.get("log"), "sequence": record.get("sequence")}
    if record.get("kind") not in KINDS or place["log"] != 0:
        raise NotVerified("it is not a record of heads", **place)
    try:
        heads = tuple(
            Head(log=int(item["id"]), size=int(item["size"]), root=bytes.fromhex(item["root"]))
            for item in record["heads"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotVerified("its heads are not of the form", **place) from error
    if heads_as_json(heads) != record["heads"] or any(len(head.root) != HASH_BYTES for head in heads):
        raise NotVerified("its heads are not of the form", **place)
    return heads


def pruned_in(record: dict[str, Any]) -> tuple[Head, ...]:
    """The logs of which a record of log 0 says that they were pruned, as they stood then for ever.

    Raises:
        NotVerified: it is another kind of record, or prunes what is no whole log.
    """
    heads = {head.log: head for head in heads_of(record)}
    if record["kind"] != "pruned":
        return ()
    named: Any = record.get("pruned")
    if not isinstance(named, list) or not all(isinstance(log, int) and log in heads for log in named):  # pyright: ignore[reportUnknownVariableType]
        raise NotVerified("it prunes what is no log", log=0, sequence=record.get("sequence"))
    return tuple(heads[log] for log in cast("list[int]", named))


def _no_number(name: str) -> Any:
    """What Python's JSON reads beyond JSON."""
    raise ValueError(f"{name} is no number of JSON")
