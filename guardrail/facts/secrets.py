"""Secrets and personal data in texts, by forms that are unmistakable or carry a checksum.

A secret is found in any argument, whatever its tool declares; personal data (which every e-mail address is) only where
an argument is declared as `text`. A fact says what kind and where, and never holds what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from guardrail.facts.accounts import Span, cards_in, ibans_in, may_hold_ibans
from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings

MAX_LENGTH: Final = 1_000_000
"""The longest text, in characters."""

# What one of must stand in a text for it to hold a secret, by a character that rules out the rest of its row.
_MARKERS: Final[tuple[tuple[bytes, tuple[bytes, ...]], ...]] = (
    (b"_", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"_live_", b"npm_")),
    (b"-", (b"glpat-", b"xox", b"sk-", b"pypi-", b"PRIVATE KEY-----")),
    (b"A", (b"AKIA", b"ASIA", b"AIza")),
    (b"@", (b"://",)),
    (b"eyJ", (b"eyJ",)),
)

_BEFORE: Final = r"(?<![A-Za-z0-9])"
_SECRETS: Final[Mapping[str, re.Pattern[str]]] = {
    kind: re.compile(_BEFORE + pattern)
    for kind, pattern in {
        "github_token": r"(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{50,251})",
        "gitlab_token": r"glpat-[A-Za-z0-9_-]{20,64}",
        "aws_key": r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])",
        "slack_token": r"xox[abprs]-[A-Za-z0-9-]{10,250}",
        "model_key": r"sk-(?:[a-z]{2,10}-)?[A-Za-z0-9_-]{20,250}",
        "google_key": r"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])",
        "stripe_key": r"[sr]k_live_[0-9A-Za-z]{16,250}",
        "npm_token": r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",
        "pypi_token": r"pypi-[A-Za-z0-9_-]{50,250}",
        "json_web_token": r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}",
        "url_password": r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:[^\s/@]{1,128}@",
    }.items()
} | {"private_key": re.compile(r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----")}

_LOCAL: Final = "".join(map(chr, (*range(48, 58), *range(65, 91), *range(97, 123)))) + "._%+-"
_DOMAIN: Final = re.compile(r"@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_SSN: Final = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")

_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_THIRTEEN: Final = b"0" * 13


def may_hold_secrets(body: bytes) -> bool:
    """Whether it is worth looking: False only where `secrets_in` finds nothing in any of the texts.

    Args:
        body: the canonical arguments of a call.
    """
    for gate, markers in _MARKERS:
        if gate in body:
            for marker in markers:
                if marker in body:
                    return True
    return False


def secrets_in(text: str) -> Iterator[Mapping[str, Any]]:
    """Every secret: `kind`, `category` ("secret"), `start` and `end` in characters."""
    for kind, pattern in _SECRETS.items():
        for found in pattern.finditer(text):
            yield _fact(kind, "secret", found)


def may_hold_personal(body: bytes) -> tuple[str, ...]:
    """Kinds of personal data that it is worth looking for; `personal_in` finds none of the others in any of the texts.

    Args:
        body: canonical JSON.
    """
    kinds: list[str] = []
    digits = body.translate(_DIGITS)
    if _THIRTEEN in digits.translate(None, b" -"):
        kinds.append("card_number")
    if may_hold_ibans(body):
        kinds.append("iban")
    if b"@" in body:
        kinds.append("mail_address")
    if b"000-00-0000" in digits:
        kinds.append("us_social_security")
    return tuple(kinds)


def personal_in(text: str, kinds: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Personal data of these kinds, as `secrets_in` gives it, of the category "personal"."""
    for kind in kinds:
        for start, end in _PERSONAL[kind](text):
            yield {"kind": kind, "category": "personal", "start": start, "end": end}


def read_text(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Personal data: facts as `secrets_in` gives them, of the category "personal". Secrets are found anyway.

    Kinds are `card_number` (with its checksum), `iban` (with its checksum), `mail_address` and `us_social_security`.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    return Findings(facts=tuple(personal_in(text, _PERSONAL)))


def _fact(kind: str, category: str, found: re.Match[str]) -> Mapping[str, Any]:
    return {"kind": kind, "category": category, "start": found.start(), "end": found.end()}


def _addresses(text: str) -> Iterator[Span]:
    """Addresses of mail, from the sign outwards: most texts hold none, and a pattern would try every letter."""
    last, at = 0, text.find("@")
    while at >= 0:
        before = text[max(last, at - 65) : at]
        length = len(before) - len(before.rstrip(_LOCAL))
        domain = _DOMAIN.match(text, at)
        if domain is not None and 1 <= length <= 64:
            last = domain.end()
            yield at - length, last
        at = text.find("@", at + 1)


def _social_security(text: str) -> Iterator[Span]:
    return (found.span() for found in _SSN.finditer(text))


_PERSONAL: Final[Mapping[str, Callable[[str], Iterator[Span]]]] = {
    "card_number": cards_in,
    "iban": ibans_in,
    "mail_address": _addresses,
    "us_social_security": _social_security,
}
