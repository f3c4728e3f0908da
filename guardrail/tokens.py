"""Tokens: by which the HTTP API knows who is asking.

A token is 256 random bits for one person or one program, never for both, shown once, when it is made. The file holds
its SHA-256 alone: what is random all over cannot be guessed from a digest, so no slow hash is needed. The file lies
beside the service and not in the ledger, since whoever may write the ledger must not be able to make himself a token.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail import clock
from guardrail.errors import ConfigError, Conflict

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Holder = Literal["person", "client"]
"""Who has a token: somebody who answers for agents, or a program that asks for them."""
PREFIX: Final = "guardrail_"
"""Begins every token, so that scanners for leaked secrets know one."""


class Token(BaseModel):
    """One token, without what makes it one.

    Attributes:
        id: 8 hex characters, the first part of the token: names it in listings and logs.
        person: whose it is: the name of a person, or of a client.
        kind: which of the two. A client never answers for a person, nor a person for a client.
        digest: SHA-256 of the whole token, in hex.
        created: RFC 3339, UTC.
        expires: from then on it counts no more; None = never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    person: Annotated[str, Field(min_length=1)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: str
    expires: str | None = None
    kind: Holder = "person"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    tokens: Annotated[tuple[Token, ...], Field(strict=False)] = ()


class Tokens:
    """The tokens of one file; changes by other processes are seen at once.

    Args:
        path: the file; one that does not exist holds none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def person(self, token: str, *, now: datetime | None = None) -> str | None:
        """Which person's token this is; None where it is nobody's, or no longer.

        Raises:
            ConfigError: the file cannot be read, or is not of the form.
        """
        return self._holder("person", token, now)

    def client(self, token: str, *, now: datetime | None = None) -> str | None:
        """Which client's token this is; None where it is none's, or no longer.

        Raises:
            ConfigError: the file cannot be read, or is not of the form.
        """
        return self._holder("client", token, now)

    def _holder(self, kind: Holder, token: str, now: datetime | None) -> str | None:
        number, _, _ = token.removeprefix(PREFIX).partition("_")
        known = self._read().get(number)
        found = sha256(token.encode(errors="surrogatepass")).hexdigest()
        if known is None or known.kind != kind or not compare_digest(known.digest, found):
            return None
        if known.expires is not None and datetime.fromisoformat(known.expires) <= (now or clock.now()):
            return None
        return known.person

    def all(self) -> tuple[Token, ...]:
        """Every token, the oldest first."""
        return tuple(self._read().values())

    def create(self, person: str, *, kind: Holder = "person", lifetime: timedelta | None = None) -> str:
        """Make a token for a person or a client; this is the only time that anybody sees it.

        Args:
            person: name of the person, or of the client.
            kind: which of the two.
            lifetime: how long it counts; None = until it is revoked.

        Raises:
            ConfigError: the file cannot be written.
        """
        created = clock.now()
        number = secrets.token_hex(4)
        token = f"{PREFIX}{number}_{secrets.token_urlsafe(32)}"
        made = Token(
            id=number, person=person, kind=kind, digest=sha256(token.encode()).hexdigest(), created=_rfc3339(created),
            expires=None if lifetime is None else _rfc3339(created + lifetime),
        )  # fmt: skip
        with self._changing() as tokens:
            tokens[number] = made
        return token

    def revoke(self, number: str) -> Token:
        """Let a token count no more, at once and in every instance of the service.

        Raises:
            Conflict: there is none with this id.
        """
        with self._changing() as tokens:
            if number not in tokens:
                raise Conflict(f"there is no token {number!r}", fix="list them with `guardrail token --list`")
            return tokens.pop(number)

    # -- the file ------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Token]:
        with self._lock:
            try:
                status = self._path.stat()
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if seen != self._seen:
                    held = _File.model_validate(orjson.loads(self._path.read_bytes()))
                    self._tokens = {token.id: token for token in held.tokens}
                    self._seen = seen
            except FileNotFoundError:
                self._tokens, self._seen = {}, None
            except OSError as error:
                raise ConfigError(f"{self._path}: the tokens cannot be read: {error.strerror}") from error
            except (orjson.JSONDecodeError, ValidationError) as error:
                raise ConfigError(
                    f"{self._path}: these are no tokens ({type(error).__name__})",
                    fix="restore the file, or delete it and make new tokens with `guardrail token`",
                ) from error
            return dict(self._tokens)

    @contextmanager
    def _changing(self) -> Generator[dict[str, Token]]:
        """The tokens, to be changed: one process at a time, and readers see the old file or the new one."""
        try:
            guard = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if fcntl is not None:
                    fcntl.flock(guard, fcntl.LOCK_EX)
                tokens = self._read()
                yield tokens
                self._write(tokens)
            finally:
                os.close(guard)
        except OSError as error:
            raise ConfigError(
                f"{self._path}: the tokens cannot be written: {error.strerror}",
                fix="make the folder writable",
            ) from error

    def _write(self, tokens: dict[str, Token]) -> None:
        text = orjson.dumps(
            {"tokens": [token.model_dump() for token in tokens.values()]}, option=orjson.OPT_INDENT_2
        )
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")[:19] + "Z"
