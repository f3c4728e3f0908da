"""Secrets and personal data in texts, by forms that are unmistakable or carry a checksum.

A secret is found in any argument, whatever its tool declares; personal data (which every e-mail address is) only where
an argument is declared as `text`. A fact says what kind and where, and never holds what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

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

_BEFORE: Final = r"(?<![A-Za-z0-9_])"
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

_CARD: Final = re.compile(r"(?<![0-9-])[3-6][0-9](?:[ -]?[0-9]){11,17}(?![0-9])")
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_MAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
_SSN: Final = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")


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


def read_text(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Personal data: facts as `secrets_in` gives them, of the category "personal". Secrets are found anyway.

    Kinds are `card_number` (with its checksum), `iban` (with its checksum), `mail_address` and `us_social_security`.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    facts = [
        _fact(kind, "personal", found)
        for kind, pattern, holds in _PERSONAL
        for found in pattern.finditer(text)
        if holds(found[0])
    ]
    return Findings(facts=tuple(facts))


def _fact(kind: str, category: str, found: re.Match[str]) -> Mapping[str, Any]:
    return {"kind": kind, "category": category, "start": found.start(), "end": found.end()}


def _luhn(text: str) -> bool:
    """The checksum of cards (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _mod_97(text: str) -> bool:
    """The checksum of bank accounts (ISO 7064, MOD 97-10)."""
    plain = text.replace(" ", "")
    number = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1


_PERSONAL: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...]] = (
    ("card_number", _CARD, _luhn),
    ("iban", _IBAN, _mod_97),
    ("mail_address", _MAIL, bool),
    ("us_social_security", _SSN, bool),
)
