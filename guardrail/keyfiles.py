"""Files with Ed25519 keys: the secret one for its owner alone, and what verifies its signatures beside it."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from guardrail.errors import ConfigError


def read_secret(path: Path) -> Ed25519PrivateKey:
    """Read a secret key (PKCS #8, PEM).

    Raises:
        ConfigError: it is missing, readable by others, or holds no Ed25519 key.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read the signing key", fix=f"chmod 600 {path}")
        secret = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(
            f"{path}: the signing key cannot be read: {error.strerror}",
            fix="make one with `guardrail keys`, or restore the file",
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: this is no signing key: {error}", fix="see `guardrail keys`") from error
    if not isinstance(secret, Ed25519PrivateKey):
        raise ConfigError(f"{path}: this key is not an Ed25519 key", fix="make one with `guardrail keys`")
    return secret


def write_pair(path: Path, secret: Ed25519PrivateKey, public: bytes) -> Path:
    """Write a new secret key for its owner only, and its public half beside it; answers where that is.

    Args:
        path: of the secret key; the public one has the suffix `.pub`.
        secret: as PKCS #8, PEM.
        public: what its file holds.

    Raises:
        ConfigError: one of the files exists, or cannot be written.
    """
    body = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    beside = path.with_suffix(".pub")
    try:
        for file, content, mode in ((path, body, 0o600), (beside, public, 0o644)):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(descriptor)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or path}: the key cannot be written: {error.strerror}",
            fix="name a file that does not exist yet, in a folder that may be written",
        ) from error
    return beside
