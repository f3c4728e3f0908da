"""Recipients: who gets to see, or to have, what a call is about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, Literal

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings

MAX_LENGTH: Final = 1_000
"""The longest recipient, in characters."""

RecipientKind = Literal["email", "url", "iban", "phone", "handle"]
"""`handle`: a name, a channel, an account: whatever is none of the others."""

_MAIL: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#\s]+)")
_IBAN: Final = re.compile(r"[a-z]{2}[0-9]{2}[a-z0-9]{8,30}")
_PHONE: Final = re.compile(r"\+?[0-9]{6,15}")
_SPACING: Final = re.compile(r"[\s()./-]+")


def read_recipient(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Who it is: `kind`, `value` as written, `normal` (lower case, without spacing in numbers) and `domain`.

    `domain` is what follows the `@` of an e-mail address, or the host of a URL; else "". An address is the bare
    address: "Anna <anna@example.com>" names two things, and clients differ on which one counts.

    Raises:
        NotUnderstoodError: it may be read as another one than it looks like, or as several.
    """
    if not text or len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is empty, or longer than {MAX_LENGTH:,} characters")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp", "Cn", "Co"} for letter in text):
        raise NotUnderstoodError("it holds invisible characters")
    normal = unicodedata.normalize("NFKC", text).casefold().strip()
    fact: Mapping[str, Any] = {"value": text, **_read(normal)}
    return Findings(facts=(fact,))


def _read(normal: str) -> dict[str, Any]:
    close = _SPACING.sub("", normal)
    kind: RecipientKind = "handle"
    domain = ""
    if "@" in normal.lstrip("@"):
        mail = _MAIL.fullmatch(normal)
        if mail is None:
            raise NotUnderstoodError("it is not one bare e-mail address")
        kind, domain = "email", mail[1]
    elif (url := _URL.match(normal)) is not None:
        kind, domain = "url", url[1].rpartition("@")[2].partition(":")[0]
    elif _IBAN.fullmatch(close):
        kind, normal = "iban", close
    elif _PHONE.fullmatch(close):
        kind, normal = "phone", close
    return {"kind": kind, "normal": normal, "domain": domain}
