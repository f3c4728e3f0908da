"""Numbers of cards and bank accounts in texts, by their lengths and checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

Span = tuple[int, int]
"""Where something begins and ends, in characters."""

_LENGTHS_TEXT: Final = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30"
)
LENGTHS: Final[Mapping[str, int]] = {row[:2]: int(row[2:]) for row in _LENGTHS_TEXT.split()}
"""Country → length of its IBANs, as SWIFT's registry (ISO 13616) lists them."""

_DIGITS: Final = re.compile(r"(?<![0-9-])[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(r"[0-9]+")
_BEGINNING: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?= ?[A-Za-z0-9])")
_REST: Final = re.compile(r"[A-Za-z0-9]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}")
_MAY_BEGIN: Final = re.compile(rb"[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11}")


def cards_in(text: str) -> Iterator[Span]:
    """Numbers of cards, in groups or not; what follows one may be digits too, an expiry or a check value."""
    for run in _DIGITS.finditer(text):
        groups = [(found.start(), found.end()) for found in _GROUP.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            last = _card(text, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def _card(text: str, groups: list[Span], first: int) -> int | None:
    """The last group of a card's number that begins with a group; the longest one."""
    digits, found = "", None
    for index in range(first, len(groups)):
        digits += text[slice(*groups[index])]
        if len(digits) > 19:
            break
        if _is_card(digits):
            found = index
    return found


def _is_card(digits: str) -> bool:
    """A length and a beginning that cards have (ISO/IEC 7812), and the checksum of its annex B."""
    if len(digits) < 13 or not (
        digits[0] in "3456" or (len(digits) == 16 and "2221" <= digits[:4] <= "2720")
    ):
        return False
    numbers = [int(digit) for digit in reversed(digits)]
    doubled = (sum(divmod(2 * number, 10)) for number in numbers[1::2])
    return (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def may_hold_ibans(body: bytes) -> bool:
    """Whether it is worth looking: False only where `ibans_in` finds nothing in any text of canonical JSON."""
    return _MAY_BEGIN.search(body) is not None


def ibans_in(text: str) -> Iterator[Span]:
    """Numbers of bank accounts, in groups or not; what follows one may be a word or a currency."""
    after = 0
    for beginning in _BEGINNING.finditer(text):
        start = beginning.start()
        rest = _REST.match(text, start)
        if start < after or rest is None:
            continue
        end = _end(rest[0])
        outside = text[start + end : start + end + 1]
        if end and not (outside.isascii() and outside.isalnum()) and is_iban(rest[0][:end]):
            after = start + end
            yield start, after


def _end(text: str) -> int:
    """Where the IBAN at the beginning of a text would end; 0 = it is too short, or of no country."""
    missing = LENGTHS.get(text[:2].upper(), 0)
    for index, letter in enumerate(text):
        missing -= letter != " "
        if missing == 0:
            return index + 1
    return 0


def is_iban(text: str) -> bool:
    """Whether this is the number of a bank account: a country's length, and the checksum of ISO 7064, MOD 97-10."""
    plain = text.replace(" ", "").upper()
    if not (plain.isascii() and plain.isalnum()) or len(plain) != LENGTHS.get(plain[:2]):
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1
