"""Recipients: who gets to see, or to have, what a call is about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, Literal

from guardrail.facts.accounts import is_iban
from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.urls import read_url

MAX_LENGTH: Final = 1_000
"""The longest recipient, in characters."""

RecipientKind = Literal["email", "url", "iban", "phone", "handle"]
"""`handle`: a name, a channel, an account: whatever is none of the others."""

_MAIL: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*:[/\\]", re.IGNORECASE)
_PHONE: Final = re.compile(r"\+?[0-9]{6,15}")
_SPACING: Final = re.compile(r"[\s()./-]+")


def read_recipient(text: str, given: Surroundings) -> Findings:
    """Who it is: `kind`, `value` as written, `normal` and `domain`; of a URL, the facts of URLs too.

    `normal` is the same for two spellings of one recipient only: ASCII in lower case, numbers without spacing, a URL in
    its normal form, and a text that is not ASCII as it stands. `domain` is what follows the `@` of an e-mail address,
    or the host of a URL; else "". An address is the bare address: "Anna <anna@example.com>" names two things, and
    clients differ on which one counts.

    Raises:
        NotUnderstoodError: it may be read as another one than it looks like, or as several.
    """
    if not text or len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is empty, or longer than {MAX_LENGTH:,} characters")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp", "Cn", "Co"} for letter in text):
        raise NotUnderstoodError("it holds invisible characters")
    plain = text.strip()
    if _URL.match(plain):
        return _address(text, read_url(plain, given))
    if not plain.isascii():
        if "@" in plain.lstrip("@"):
            raise NotUnderstoodError("its address is not in ASCII, and may be read as another one")
        return _known(text, "handle", plain)
    return _in_ascii(text, plain.lower())


def _address(text: str, found: Findings) -> Findings:
    (fact,) = found.facts
    known = _known(text, "url", fact["url"], fact["host"])
    return Findings(facts=known.facts, urls=found.facts, caution=found.caution)


def _in_ascii(text: str, normal: str) -> Findings:
    close = _SPACING.sub("", normal)
    if "@" in normal.lstrip("@"):
        mail = _MAIL.fullmatch(normal)
        if mail is None:
            raise NotUnderstoodError("it is not one bare e-mail address")
        return _known(text, "email", normal, mail[1])
    if is_iban(close):
        return _known(text, "iban", close)
    return _known(text, "phone", close) if _PHONE.fullmatch(close) else _known(text, "handle", normal)


def _known(text: str, kind: RecipientKind, normal: str, domain: str = "") -> Findings:
    fact: Mapping[str, Any] = {"value": text, "kind": kind, "normal": normal, "domain": domain}
    return Findings(facts=(fact,))
