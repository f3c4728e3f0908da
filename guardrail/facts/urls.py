"""URLs: which host an argument leads to, as two parsers agree on it. No name is looked up here.

Parsers differ on where a host ends, and clients use all of them. So a URL is read by the WHATWG
parser (ada) and by the standard library, and where they see two hosts, or where a spelling is not
normal in a way that could make a third one see another (an address in octal, a final dot, dots in the
path), it is not understood. Where a name leads is asked later, if at all (`guardrail.names`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import ada_url

from guardrail.facts.addresses import address_of, classify
from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings

MAX_LENGTH: Final = 8192
"""The longest URL, in characters."""
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
"""The schemes that are understood, and the port of each. A URL without a scheme has the scheme ""."""

_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\u3000]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY: Final = re.compile(r"[A-Za-z]+://[^/?#]")
_BARE_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?=[/?#]|\Z)")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_DOT_SEGMENT: Final = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)


def read_url(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Where the URL leads: `raw`, `url`, `scheme`, `host`, `port`, `address_class` and `credentials`.

    `url` is the normal form. `host` is lower-case ASCII, an address without brackets; `port` is the
    scheme's own where none is written. A bare `www.example.com/page` is understood too, since every
    client that takes it goes to that host: its scheme is "" and its port None. `addresses`, `resolution` and
    `why` say that nobody has looked the name up.

    Raises:
        NotUnderstoodError: clients may see different hosts in it, or it is of a scheme without one.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    if _UNSAFE.search(text):
        raise NotUnderstoodError("it holds a space, a control character or a backslash")
    bare = _BARE_HOST.match(text) is not None
    seen, second = _parsed("https://" + text if bare else text)
    fact = _fact(
        text,
        seen,
        url=seen.href.removeprefix("https:") if bare else seen.href,
        scheme="" if bare else second.scheme,
        host=_host(seen, second),
        port=None if bare else _port(seen, second),
    )
    return Findings(facts=(fact,), caution="it carries a name or password" if fact["credentials"] else "")


def guess_url(text: str) -> Findings:
    """Where a browser would go with what looks like a URL: facts in the same form, for rules that refuse.

    Nothing where a browser goes nowhere.
    """
    try:
        seen = ada_url.URL(text)
    except ValueError:
        return Findings()
    scheme, host = seen.protocol[:-1], seen.hostname.removeprefix("[").removesuffix("]").rstrip(".")
    if scheme not in DEFAULT_PORTS or not host or len(text) > MAX_LENGTH:
        return Findings()
    port = int(seen.port) if seen.port else DEFAULT_PORTS[scheme]
    return Findings(facts=(_fact(text, seen, url=seen.href, scheme=scheme, host=host, port=port),))


def _fact(
    raw: str, seen: ada_url.URL, *, url: str, scheme: str, host: str, port: int | None
) -> Mapping[str, Any]:
    return {
        "raw": raw,
        "url": url,
        "scheme": scheme,
        "host": host,
        "port": port,
        "address_class": classify(host),
        "credentials": bool(seen.username or seen.password),
        "addresses": (),
        "resolution": "unasked",
        "why": "",
    }


def _parsed(text: str) -> tuple[ada_url.URL, SplitResult]:
    """What both parsers see, where they agree on scheme, user and path."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise NotUnderstoodError("it has no scheme, so what it is relative to is not known")
    if scheme[1].lower() not in DEFAULT_PORTS:
        raise NotUnderstoodError("its scheme is none of " + ", ".join(DEFAULT_PORTS))
    if not _AUTHORITY.match(text):
        raise NotUnderstoodError("its scheme is not followed by '//' and a host")
    try:
        seen, second = ada_url.URL(text), urlsplit(text)
    except ValueError as error:
        raise NotUnderstoodError("it is not a valid URL") from error
    user = (second.username, second.password) if "@" in second.netloc else ("", "")
    if seen.protocol != second.scheme + ":" or (seen.username, seen.password) != (
        user[0] or "",
        user[1] or "",
    ):
        raise NotUnderstoodError("parsers disagree on its scheme or its user")
    if "@" in second.netloc and not any(user):
        raise NotUnderstoodError("it has an '@' without a user before its host")
    if _DOT_SEGMENT.search(second.path):
        raise NotUnderstoodError("its path holds '.' or '..', which some clients resolve and others send")
    return seen, second


def _host(seen: ada_url.URL, second: SplitResult) -> str:
    """The host in normal form, where both parsers and the text agree on it."""
    try:
        other = second.hostname or ""
    except ValueError as error:
        raise NotUnderstoodError("it is not a valid URL") from error
    host = seen.hostname.removeprefix("[").removesuffix("]")
    address = address_of(host)
    if ":" in host:
        if address is None or address != address_of(other):
            raise NotUnderstoodError("parsers disagree on its host")
        return host
    if host != other:
        raise NotUnderstoodError(
            "its host is not in normal form: a name in ASCII (xn--…), an address as four decimal numbers"
        )
    if host.endswith("."):
        raise NotUnderstoodError("its host ends in a dot")
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise NotUnderstoodError("its host is not a name that can exist")
    return host


def _port(seen: ada_url.URL, second: SplitResult) -> int:
    """The port, where both parsers agree on it."""
    default = DEFAULT_PORTS[second.scheme]
    try:
        other = second.port
    except ValueError as error:
        raise NotUnderstoodError("its port is not a number") from error
    port = int(seen.port) if seen.port else default
    if port == 0 or port != (default if other is None else other):
        raise NotUnderstoodError("its port is zero, or parsers disagree on it")
    return port
