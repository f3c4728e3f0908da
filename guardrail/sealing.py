"""Sealing: what only the operator may read, and what everybody may check.

A record says nothing secret. Its detail (policy input, messages, votes, results) is sealed beside it
with AES-256-GCM under a key that the operator holds; the record holds only a commitment, SHA-256 over
a random salt and the detail. The salt is sealed too, so a commitment cannot be guessed open, and a
sealed detail that is erased leaves a record that still verifies.

One key file, 32 random bytes in hex, from which HKDF-SHA256 (RFC 5869) derives a key for each use:
sealing, and the references by which records name calls. AES-GCM with random 96-bit nonces is good for
2^32 details under one key (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import os
import tempfile
from binascii import unhexlify
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardrail.errors import LedgerUnavailable, VerificationFailed

_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_NOISE_BYTES: Final = _SALT_BYTES + _NONCE_BYTES
_NOISE_AT_ONCE: Final = 128
_QUIET: Final = 2_000
"""Up to how many bytes hashlib hashes without letting other threads run; it takes longer to get back from that."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A detail that is sealed.

    Attributes:
        commitment: SHA-256 over salt and detail, in hex; stands in the record.
        body: nonce, then the encrypted salt and detail with their tag.
    """

    commitment: str
    body: bytes


@dataclass(frozen=True)
class SealingKey:
    """The operator's key.

    Attributes:
        secret: 32 random bytes.
        path: the file it came from, if any.
    """

    secret: bytes
    path: Path | None = None

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise LedgerUnavailable(f"a sealing key is {_KEY_BYTES} bytes, this one is {len(self.secret)}")

    @classmethod
    def generate(cls) -> SealingKey:
        """A new key, in memory only."""
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def read(cls, path: Path) -> SealingKey:
        """Read a key file.

        Raises:
            LedgerUnavailable: it is missing, unreadable, or does not hold a key.
        """
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii")), path)
        except OSError as error:
            raise LedgerUnavailable(
                f"the sealing key {path} cannot be read: {error.strerror}",
                fix="restore the file; without it sealed details and results stay unreadable",
            ) from error
        except ValueError as error:
            raise LedgerUnavailable(
                f"the sealing key {path} does not hold 32 bytes in hex", fix="restore the file from a backup"
            ) from error

    @classmethod
    def create(cls, path: Path) -> SealingKey:
        """Write a new key file, readable by its owner only; where one exists already, read that.

        Raises:
            LedgerUnavailable: the file cannot be written.
        """
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, prefix=path.name, encoding="ascii"
            ) as file:
                file.write(os.urandom(_KEY_BYTES).hex() + "\n")  # the temporary file is made with mode 0600
                file.flush()
                os.fsync(file.fileno())
                _link(Path(file.name), path)
        except OSError as error:
            raise LedgerUnavailable(
                f"the sealing key {path} cannot be written: {error.strerror}", fix="make the folder writable"
            ) from error
        return cls.read(path)

    @cached_property
    def id(self) -> str:
        """A name for the key that gives nothing away of it: 16 hex characters."""
        return self._derive(b"guardrail key id v1", 8).hex()

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._derive(b"guardrail sealing v1"))

    @cached_property
    def _reference_key(self) -> bytes:
        return self._derive(b"guardrail reference v1")

    @cached_property
    def masking(self) -> bytes:
        """The secret for `guardrail.masking`: one value shows one digest wherever this key's holder masks it."""
        return self._derive(b"guardrail masking v1")

    def _derive(self, use: bytes, length: int = _KEY_BYTES) -> bytes:
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=use).derive(self.secret)

    def seal(self, detail: bytes) -> Sealed:
        """Seal a detail. The ciphertext is bound to its commitment, so it cannot be moved to another record."""
        noise = _noise()
        plain = noise[:_SALT_BYTES] + detail
        nonce = noise[_SALT_BYTES:]
        commitment = _commitment(plain)
        return Sealed(commitment.hex(), nonce + self._cipher.encrypt(nonce, plain, commitment))

    def unseal(self, body: bytes, commitment: str) -> bytes:
        """The detail that `seal` was given.

        Raises:
            VerificationFailed: another key sealed it, it was changed, or it belongs to another record.
        """
        try:
            bound = bytes.fromhex(commitment)
            plain = self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:
            raise VerificationFailed(
                "a sealed detail does not open: it was changed, or another key sealed it",
                fix=f"use the key that sealed it, not {self.id}",
            ) from error
        if _commitment(plain) != bound:
            raise VerificationFailed("a sealed detail is not the one its record commits to")
        return plain[_SALT_BYTES:]

    def opens(self, details: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether `unseal` would open all of these: sealed bodies, each with its commitment as ASCII."""
        decrypt = self._cipher.decrypt
        try:
            for body, commitment in details:
                bound = unhexlify(commitment)
                if sha256(decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], bound)).digest() != bound:
                    return False
        except (InvalidTag, ValueError):
            return False
        return True

    def reference(self, key: str) -> str:
        """How records name the call with this key: keyed BLAKE2b (RFC 7693), 128 bits, in hex."""
        return blake2b(key.encode(), digest_size=16, key=self._reference_key).hexdigest()


def _commitment(plain: bytes) -> bytes:
    """SHA-256; in pieces where the whole would make hashlib hand the interpreter to another thread."""
    if len(plain) <= _QUIET or len(plain) > 16 * _QUIET:
        return sha256(plain).digest()
    hashed = sha256()
    for start in range(0, len(plain), _QUIET):
        hashed.update(plain[start : start + _QUIET])
    return hashed.digest()


_NOISES: Final[deque[bytes]] = deque()
"""Random bytes for the next details: asking the system each time lets other threads run each time."""


def _noise() -> bytes:
    """Random bytes for one salt and one nonce; nobody else gets these."""
    try:
        return _NOISES.pop()
    except IndexError:
        block = os.urandom(_NOISE_BYTES * _NOISE_AT_ONCE)
        _NOISES.extend(block[at : at + _NOISE_BYTES] for at in range(_NOISE_BYTES, len(block), _NOISE_BYTES))
        return block[:_NOISE_BYTES]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_NOISES.clear)  # a nonce is used once, in one process


def _link(source: Path, target: Path) -> None:
    """Give a finished file its name, unless somebody else was first; durable once this returns."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
