"""Who signs checkpoints: a key in a file, or a command that holds it somewhere else.

Either is outside of the agent's process: whoever could write the ledger and sign too could sign a false history.
A checkpoint is signed by `guardrail checkpoint`, run by another user, or on another computer through the command.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardrail.errors import ConfigError, VerificationFailed
from guardrail.keyfiles import read_secret, write_pair
from guardrail.verifier.notes import ED25519, Note, NotVerified, PublicKey, Signature

_WITHIN: Final = 60.0
"""Seconds that a command may take: a person may have to touch a token."""
_SIGNATURE_BYTES: Final = 64


class Signer(Protocol):
    """Who signs.

    Attributes:
        key: what verifies the signatures.
    """

    @property
    def key(self) -> PublicKey:
        """See the class."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (RFC 8032), 64 bytes."""
        ...


class FileSigner:
    """Signs with a key from a file.

    Args:
        name: of the key, which is the log's origin.
        secret: the key.
    """

    def __init__(self, name: str, secret: Ed25519PrivateKey) -> None:
        self._secret = secret
        body = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key = named_key(name, body)

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key, in memory only.

        Raises:
            ConfigError: no key may be called so.
        """
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, name: str, path: Path) -> Self:
        """Read a key file.

        Raises:
            ConfigError: it is missing, readable by others, or holds no Ed25519 key.
        """
        return cls(name, read_secret(path))

    def write(self, path: Path) -> Path:
        """Write a new key file, and the public key beside it; answers where that is.

        Raises:
            ConfigError: one of the files exists, or cannot be written.
        """
        return write_pair(path, self._secret, f"{self.key}\n".encode())

    def sign(self, message: bytes) -> bytes:
        """See `Signer`."""
        return self._secret.sign(message)


class CommandSigner:
    """Has a command sign: it reads what is to be signed from its standard input, and writes the 64 bytes.

    Args:
        key: what verifies its signatures.
        command: the program and its arguments; no shell reads them.
        folder: where it runs.
    """

    def __init__(self, key: PublicKey, command: Sequence[str], folder: Path) -> None:
        self.key = key
        self._command = list(command)
        self._folder = folder

    def sign(self, message: bytes) -> bytes:
        """See `Signer`.

        Raises:
            ConfigError: the command cannot be run, fails, or answers with something else than a signature.
        """
        name, fix = self._command[0], "run it by hand, with a text on its standard input"
        try:
            done = subprocess.run(
                self._command, input=message, capture_output=True, timeout=_WITHIN, cwd=self._folder, check=False
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"the signing command {name} did not sign: {error}", fix=fix) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise ConfigError(f"the signing command {name} failed ({done.returncode}): {said}", fix=fix)
        if len(done.stdout) != _SIGNATURE_BYTES:
            raise ConfigError(
                f"the signing command {name} answered {len(done.stdout)} bytes, and not the 64 of a signature",
                fix="let it write the bare Ed25519 signature to its standard output, and nothing else",
            )
        return done.stdout


def named_key(name: str, body: bytes) -> PublicKey:
    """A log's public key.

    Raises:
        ConfigError: no key may be called so.
    """
    try:
        return PublicKey(name=name, kind=ED25519, body=body)
    except NotVerified as error:
        raise ConfigError(str(error), fix='name the log like "example.com/guardrail"') from error


def read_public(path: Path) -> PublicKey:
    """Read the public key of a log or a witness: one line, `name+id+base64`.

    Raises:
        ConfigError: the file cannot be read, or holds none.
    """
    try:
        return PublicKey.parse(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: the public key cannot be read: {error.strerror}") from error
    except (NotVerified, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: {error}", fix="`guardrail keys FILE --log ORIGIN` makes a key and such a file"
        ) from error


def sign(text: str, signer: Signer) -> Note:
    """Sign a text. What comes back is verified before it is believed.

    Raises:
        VerificationFailed: it is not signed with the key that it was to be signed with.
    """
    key = signer.key
    note = Note(
        text=text,
        signatures=(Signature(name=key.name, key_id=key.key_id, body=signer.sign(text.encode())),),
    )
    try:
        note.signers((key,))
    except NotVerified as error:
        raise VerificationFailed(
            f"what was signed does not verify under the public key of {key.name}",
            fix="see that the signing key and the public key belong together",
        ) from error
    return note
