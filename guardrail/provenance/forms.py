"""Normal forms: in which spellings two values are the same value.

Letters without case, Unicode NFKC (Unicode Standard Annex 15), no invisible characters, one space for any white
space; numbers by their value, however their thousands are set apart; percent-encoding read.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import unquote

_NUMBER: Final = re.compile(r"\d(?:[\d.,'_]*\d)?")
_PIECES: Final = re.compile(r"[\s/?&=#,;|<>()\"]+")
_EDGES: Final = ".,:;!?'\"`()[]{}<>"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://")
MAX_DIGITS: Final = 40
"""The longest number that is compared by its value."""


def normal(text: str) -> str:
    """The form in which texts are compared, without NUL characters: those stand between texts that are searched."""
    text = text.replace("\x00", " ")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
        return " ".join(text.casefold().split())
    return " ".join(text.lower().split())


def spellings(text: str) -> list[str]:
    """What a value may read where it comes from: itself, and what is left of an address that was written out.

    Args:
        text: a normal form.
    """
    found = [text]
    if "%" in text:
        found.append(normal(unquote(text, errors="replace")))
    if (scheme := _SCHEME.match(text)) is not None:
        found.append(text[scheme.end() :])
    found += [spelling[:-1] for spelling in found if spelling.endswith("/")]
    return list(dict.fromkeys(spelling for spelling in found if spelling))


def number(value: float | str) -> str | None:
    """A number by its value, without sign: `1,000.50` and `1000.5` are one; None where it is none."""
    text = repr(value) if isinstance(value, int | float) else value
    try:
        read = abs(Decimal(text))
    except InvalidOperation:
        return None
    if not read.is_finite() or abs(read.adjusted()) > MAX_DIGITS:
        return None
    return format(read.normalize(), "f")


def readings(text: str) -> set[str]:
    """The values of a text that is a number and nothing else."""
    return numbers(text) if _NUMBER.fullmatch(text.lstrip("+-")) else set()


def numbers(text: str) -> set[str]:
    """Every number in a text, in both readings where a point or a comma may be either."""
    found: set[str] = set()
    for match in _NUMBER.finditer(text):
        digits = match[0]
        if len(digits) > MAX_DIGITS:
            continue
        plain = digits.replace("'", "").replace("_", "")
        readings = {plain.replace(",", ""), plain.replace(".", "").replace(",", ".")}
        found.update(read for reading in readings if (read := number(reading)) is not None)
    return found


def pieces(text: str) -> list[str]:
    """What a value may be put together from: the parts between spaces, slashes and the separators of queries.

    An address, a name with points or hyphens, an account number is one piece: it is not vouched for by its syllables.

    Args:
        text: a normal form.
    """
    return [piece for part in _PIECES.split(_SCHEME.sub("", text)) if (piece := part.strip(_EDGES))]
