"""Planted secrets, and where they are found: whole or in pieces, however they are spelled."""

from __future__ import annotations

import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping

PIECE = 12
"""Characters of a secret that nobody writes by chance."""


def secret() -> str:
    """A text that stands nowhere else, with what JSON, URLs and shells have to escape."""
    return f'K"{secrets.token_hex(14)}/é+'


def core(planted: str) -> str:
    """The part that is spelled alike in JSON, in URLs and in Python."""
    return planted.strip('K"/é+')


def spellings(planted: str) -> Iterator[bytes]:
    """Every way in which enough of a secret may be written to be told."""
    known = core(planted)
    for text in (known, known[::-1]):
        for start in range(len(text) - PIECE + 1):
            piece = text[start : start + PIECE]
            yield piece.encode()
            yield piece.encode("utf-16-le")
    yield known.encode().hex().encode()
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            whole = encode(b" " * before + known.encode()).rstrip(b"=")
            yield whole[4:-4]  # what stands around it in what was encoded shows in its ends


def found(where: bytes | str, planted: Mapping[str, str]) -> set[str]:
    """The names of the secrets that a channel tells."""
    body = where.encode(errors="surrogatepass") if isinstance(where, str) else where
    # what is told in capitals is told as well; Base64 is looked for as it is
    both = (body, body.lower())
    return {
        name
        for name, value in planted.items()
        if any(way in text for way in spellings(value) for text in both)
    }


def told(
    channels: Mapping[str, bytes], planted: Mapping[str, str], *, but: Iterable[str] = ()
) -> dict[str, set[str]]:
    """For every channel that tells one: which secrets."""
    left_out = set(but)
    return {
        name: names
        for name, body in channels.items()
        if name not in left_out and (names := found(body, planted))
    }
