"""Signed notes (C2SP signed-note): a text, and below it the lines by which keys have signed it.

Two kinds of keys are known: Ed25519 (type 1), by which a log signs its checkpoints, and Ed25519 cosignatures
with a time (type 4, C2SP tlog-cosignature), by which witnesses sign them too. What is read is written again and
compared: there is one spelling of every note, so no byte of one can be changed unseen.
"""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519: Final = 1
"""Signature type of a log's key."""
COSIGNATURE: Final = 4
"""Signature type of a witness's key."""

_MARK: Final = "\u2014 "
_MOST_SIGNATURES: Final = 64
_MOST_CHARACTERS: Final = 100_000
_ID_BYTES, _KEY_BYTES, _TIME_BYTES = 4, 32, 8


class NotVerified(Exception):
    """It is not of the form, or it does not show what it is to show.

    Attributes:
        what: in what it does not hold.
        log: the log where that is, if it is in one, and
        sequence: the place there of the first record that may be at fault, where that is known.
    """

    def __init__(self, what: str, *, log: int | None = None, sequence: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.log = log
        self.sequence = sequence

    def __str__(self) -> str:
        if self.log is None:
            return self.what
        place = "" if self.sequence is None else f", record {self.sequence}"
        return f"log {self.log}{place}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line.

    Attributes:
        name: of the key.
        key_id: 4 bytes that tell keys of one name apart.
        body: what the key's algorithm made.
    """

    name: str
    key_id: bytes
    body: bytes

    @property
    def line(self) -> str:
        """As it stands in a note, with its newline."""
        return f"{_MARK}{self.name} {encode64(self.key_id + self.body)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line, without its newline.

        Raises:
            NotVerified: it is none.
        """
        name, _, text = line.removeprefix(_MARK).partition(" ")
        body = decode64(text)
        if not line.startswith(_MARK) or not is_name(name) or len(body) <= _ID_BYTES:
            raise NotVerified("a line below a signed note is no signature")
        return cls(name=name, key_id=body[:_ID_BYTES], body=body[_ID_BYTES:])


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What verifies the signatures of one key.

    Attributes:
        name: of the key; for a log, its origin.
        kind: `ED25519` or `COSIGNATURE`.
        body: 32 bytes (RFC 8032).
    """

    name: str
    kind: int
    body: bytes

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise NotVerified(
                f"{self.name!r} is no name of a key: it has to be without spaces and plus signs"
            )
        if self.kind not in (ED25519, COSIGNATURE) or len(self.body) != _KEY_BYTES:
            raise NotVerified(f"the key {self.name} is of a kind that is not known here")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key as it is handed around: `name+id+base64`, as Go's `note` package writes it.

        Raises:
            NotVerified: it is none.
        """
        name, _, rest = text.strip().partition("+")
        _, _, encoded = rest.partition("+")
        body = decode64(encoded)
        if not body:
            raise NotVerified("this is no public key: expected name+id+base64")
        key = cls(name=name, kind=body[0], body=body[1:])
        if str(key) != text.strip():
            raise NotVerified(f"the public key {name} is not the one that its id says")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.body)}"

    @property
    def key_id(self) -> bytes:
        """The beginning of SHA-256 over name, kind and key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.body).digest()[:_ID_BYTES]

    def verifies(self, text: str, signature: Signature) -> bool:
        """Whether this key has made this signature over this text."""
        made, message = signature.body, text.encode()
        if self.kind == COSIGNATURE:
            made, message = made[_TIME_BYTES:], cosigned(text, cosigned_at(signature))
        try:
            Ed25519PublicKey.from_public_bytes(self.body).verify(made, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text with signatures, none of which is believed yet.

    Attributes:
        text: what is signed, with its last newline.
        signatures: by whomever.
    """

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(signature.line for signature in self.signatures)}"

    @classmethod
    def parse(cls, note: str) -> Self:
        """Read a note.

        Raises:
            NotVerified: it is none.
        """
        text, mark, below = note.rpartition("\n\n")
        lines = below.split("\n")
        if (
            not mark
            or lines.pop()
            or not lines
            or len(lines) > _MOST_SIGNATURES
            or len(note) > _MOST_CHARACTERS
        ):
            raise NotVerified("this is no signed note: a text, an empty line and lines with signatures")
        if any(character < " " and character != "\n" for character in note):
            raise NotVerified("a signed note holds a control character")
        return cls(text=f"{text}\n", signatures=tuple(map(Signature.parse, lines)))

    def signers(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Those of these keys that have signed it; signatures by other keys are passed over.

        Raises:
            NotVerified: there is a signature in the name of one of these keys that it has not made.
        """
        found: list[PublicKey] = []
        for key in keys:
            own = [s for s in self.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
            if not all(key.verifies(self.text, signature) for signature in own):
                raise NotVerified(f"the signature of {key.name} is not one over this text")
            found += [key] if own else []
        return tuple(found)

    def signed_also(self, signatures: Sequence[Signature]) -> Note:
        """The same with further signatures; one that is there already, of the same key, makes place."""
        new = {(signature.name, signature.key_id) for signature in signatures}
        kept = [old for old in self.signatures if (old.name, old.key_id) not in new]
        return Note(text=self.text, signatures=(*kept, *signatures))


def split(notes: str) -> Iterator[Note]:
    """Notes that stand one after the other, with an empty line between them; their texts hold no empty line.

    Raises:
        NotVerified: one of them is none, or is not ended.
    """
    parts = notes.split("\n\n") if notes else []
    if len(parts) % 2:
        raise NotVerified("these are not whole notes: a text, an empty line, signatures, an empty line")
    for index in range(0, len(parts), 2):
        end = "" if index + 2 == len(parts) else "\n"
        yield Note.parse(f"{parts[index]}\n\n{parts[index + 1]}{end}")


def join(notes: Iterable[Note]) -> str:
    """Notes one after the other, as `split` reads them."""
    return "\n".join(map(str, notes))


def read(path: Path, most: int) -> bytes:
    """All of a file, of which nobody has to have said how long it is.

    Args:
        path: a file; a pipe or a device is none.
        most: bytes that are read at most.

    Raises:
        NotVerified: it is longer, or no file.
        OSError: it cannot be read.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise NotVerified(f"{path} is no file")
    if about.st_size > most:
        raise NotVerified(f"{path} is larger than {most:,} bytes")
    with path.open("rb") as file:
        return file.read(most)


def is_name(name: str) -> bool:
    """Whether a key, and so a log, may be called so."""
    return bool(name) and name.isprintable() and not any(c.isspace() or c == "+" for c in name)


def cosigned(text: str, time: int) -> bytes:
    """What a witness signs: that it saw this checkpoint at that time, in seconds since the epoch."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosigned_at(signature: Signature) -> int:
    """When a witness has signed, in seconds since the epoch, as it says."""
    return int.from_bytes(signature.body[:_TIME_BYTES], "big")


def encode64(body: bytes) -> str:
    """Base 64 (RFC 4648 section 4)."""
    return base64.b64encode(body).decode("ascii")


def decode64(text: str) -> bytes:
    """The bytes again.

    Raises:
        NotVerified: it is no base 64, or not the one way to write these bytes.
    """
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotVerified(f"this is no base 64: {text[:80]!r}") from error
    if encode64(body) != text:
        raise NotVerified(f"this is base 64 in a spelling that is not canonical: {text[:80]!r}")
    return body
