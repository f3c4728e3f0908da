"""Which OPA server is asked, for what, and within which limits."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from guardrail.errors import ConfigError

_ENTRY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that a token may be sent to without TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An OPA server.

    Attributes:
        url: its address: `http` or `https`, host and port, nothing behind it.
        entry: the rule that is asked, without `data`.
        token: sent as a bearer token; empty = none. Never shown.
        renewal: gives the token that is valid now, where it may change: asked once the server takes the last one no
            longer. It may raise `ConfigError`.
        authority: file with the certificates of the authorities that may vouch for it; empty = those of the system.
        certificate: file with the certificate that is shown to it, and
        key: file with its key; empty = none is shown.
        timeout: seconds for one question, from the first byte to the last.
        max_answer: how large an answer may be, unpacked, in bytes.
        connections: at the same time, for each event loop.

    Raises:
        ConfigError: one of them is not what it may be.
    """

    url: str
    entry: str = "guardrail.decision"
    token: str = field(default="", repr=False)
    renewal: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    authority: str = ""
    certificate: str = ""
    key: str = ""
    timeout: float = 1.0
    max_answer: int = 1024 * 1024
    connections: int = 64

    def __post_init__(self) -> None:
        address(self.url)
        if not _ENTRY.fullmatch(self.entry):
            raise ConfigError(
                f"{self.entry!r} is no path of a rule",
                fix="write names with dots between them: guardrail.decision",
            )
        place = urlsplit(self.url)
        if self.token and place.scheme != "https" and place.hostname not in _HERE:
            raise ConfigError(
                "a token is not sent without TLS", fix="use an address that begins with https://"
            )
        _check_token(self.token)

    def renewed(self, token: str) -> str:
        """The token that is valid now.

        Args:
            token: the last one.

        Raises:
            ConfigError: it cannot be read, or is none.
        """
        if self.renewal is None:
            return token
        new = self.renewal()
        _check_token(new)
        return new

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"the OPA server at {self.url}"

    def context(self) -> ssl.SSLContext | None:
        """How it is spoken to over TLS; None = without.

        Raises:
            ConfigError: a certificate or key cannot be read.
        """
        if not self.url.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.authority or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.authority, self.certificate, self.key)))
            raise ConfigError(
                f"the certificates for {self.title} cannot be read ({files}): {error}",
                fix="correct `ca`, `certificate` and `key` under [opa]",
            ) from error
        return context


def _check_token(token: str) -> None:
    if not (token.isascii() and (token.isprintable() or not token)):
        raise ConfigError("the token holds what cannot stand in a header", fix="write it again, in ASCII")


def address(text: str) -> str:
    """The address of a server, as it was given.

    Raises:
        ConfigError: it is none, or it says more than an address.
    """
    fix = "write it as https://HOST:PORT"
    try:
        place = urlsplit(text)
        known = place.scheme in {"http", "https"} and bool(place.hostname) and place.port != 0
    except ValueError:
        raise ConfigError("the address of the OPA server cannot be read", fix=fix) from None
    if "@" in place.netloc:
        raise ConfigError("the address of the OPA server holds a user or password", fix=f"{fix}; use token")
    more = place.path.rstrip("/") or place.query or place.fragment
    if not known or more or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{text!r} is no address of an OPA server", fix=fix)
    return text.rstrip("/")
