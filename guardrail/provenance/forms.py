"""Normal forms: what a word is, what a number is, and in which spellings two values are the same value.

Letters without case, Unicode NFKC (Unicode Standard Annex 15), no invisible characters (code points that are ignored
by default, Unicode Standard Annex 44), one space for any white space; numbers by their value, however their thousands
are set apart; percent-encoding read.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Context, Decimal, InvalidOperation
from typing import Final
from urllib.parse import unquote

_IGNORED: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""What is invisible beside the category Cf."""
_WORD: Final = re.compile(
    r"[^\W_]++(?:(?:[.@+-]|_++|(?<=\d)[,'](?=\d))[^\W_]++)*+"  # mark.black@blue-sparrow.com, 1,000.50
    r"|(?<!\S)[^\w\s]++(?!\S)"  # signs that stand alone: |, /, &&
)
_PART: Final = re.compile(r"[^\W_]+")
SIGNS: Final = "-\u2212"
"""What makes a number a negative one."""
MAX_DIGITS: Final = 40
"""The longest number that is compared by its value."""
_EXACTLY: Final = Context(prec=MAX_DIGITS)
"""The usual context would round to 28 digits: two account numbers would be one."""
_READINGS: Final = (  # how a number is written, and what only sets its thousands apart
    (re.compile(r"\d+(?:\.\d+)?"), ""),
    (re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"), ","),
    (re.compile(r"\d{1,3}(?:'\d{3})+(?:\.\d+)?"), "'"),
    (re.compile(r"\d{1,3}(?:_\d{3})+(?:\.\d+)?"), "_"),
    (re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?"), "."),
    (re.compile(r"\d+,\d+"), "."),
)
_ROW: Final = re.compile(
    r"(?<![\w.@+-])\+?[a-z]{0,2}\d{1,8}(?: [a-z]{4}(?= [a-z]{0,4}\d))?"  # +49, DE89, 4111, GB29 NWBK
    r"(?: (?=[a-z]{0,4}\d)[a-z0-9]{1,8}(?![\w@]|[.,+-]\w)){2,16}+"
)
_HOST: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/?&=#]+")
_USUAL_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_RESPELLED: Final = re.compile(r"%|/\Z|\Ahttps?://|\A\+?[a-z]{0,2}\d", re.IGNORECASE)
"""What a text has to hold for there to be another spelling of it."""
_SEPARATOR: Final = re.compile(r"[/?&=#]")
_STEPS: Final = frozenset({"", ".", ".."})
_QUOTES: Final = "\"'\u2018\u2019“”„«»"
_RESERVED: Final = "/?#@:&=;%"


def normal(text: str) -> str:
    """The form in which texts are compared, without NUL characters."""
    text = text.replace("\x00", " ")
    if not text.isascii():
        text = _IGNORED.sub("", text)
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return " ".join(text.lower().split())


# --- words; all of these take normal forms ------------------------------------------------------------

Word = tuple[int, str]
"""Where a word of a text begins, and the word."""


def words_in(text: str) -> list[Word]:
    """Where each word of a text begins, and the word: an address, an id and a number are one word each."""
    return [(match.start(), match[0]) for match in _WORD.finditer(text)]


def parts_of(word: str) -> list[str]:
    """The syllables of a word: `mark.black@blue-sparrow.com` has five."""
    return _PART.findall(word) or [word]


def rows_in(text: str) -> list[tuple[int, str]]:
    """Where an account, a card or a telephone number stands that was written in three groups or more, and these."""
    return [(match.start(), match[0]) for match in _ROW.finditer(text)]


def pieces(text: str) -> list[str]:
    """What a value may be put together from: the words of a sentence, or the parts of a URL or of a path.

    What else there is between words (`|`, `;`, `..`, a slash in front) has to stand where they stand: it says what is
    done with them. An address, a name with points or hyphens, an account number is one piece.
    """
    if " " in text:
        return [_bare(part) for part in text.split(" ")]
    if (host := _HOST.match(text)) is not None:
        steps = [host[0], *_SEPARATOR.split(text[host.end() + 1 :])]
    else:
        steps = text.split("/")
    if steps[-1] == "":
        steps.pop()
    return [text] if _STEPS.intersection(steps) else steps


def is_address(text: str) -> bool:
    """Whether this is an address with its scheme, and nothing else."""
    return " " not in text and _HOST.match(text) is not None


def _bare(word: str) -> str:
    """A word of a sentence without the marks that only the sentence needs."""
    bare = word.strip(_QUOTES)
    if bare[-1:] in {".", ",", ":", "!"} and (bare[-2:-1].isalnum() or bare[-2:-1] in _QUOTES):
        bare = bare[:-1].rstrip(_QUOTES)
    return bare or word


# --- spellings --------------------------------------------------------------------------------------


def spellings(text: str) -> list[tuple[str, bool]]:
    """What a value may read where it comes from, and whether its scheme is left out in that.

    Args:
        text: a normal form.
    """
    found = [(text, False)]
    if text and not _RESPELLED.search(text):
        return found
    if "%" in text:
        read = normal(unquote(text, errors="replace"))
        if all(read.count(sign) == text.count(sign) for sign in _RESERVED if sign != "%"):
            found.append((read, False))
    found += [
        (spelling[scheme.end() :], True)
        for spelling, _ in found
        if (scheme := _USUAL_SCHEME.match(spelling)) is not None
    ]
    if text.endswith("/") and " " not in text:
        found += [(spelling[:-1], bare) for spelling, bare in found if spelling[-2:-1].isalnum()]
    if _ROW.fullmatch(text):
        found.append((text.replace(" ", ""), False))
    return [(spelling, bare) for spelling, bare in dict.fromkeys(found) if spelling]


def stands_in(value: str, text: str) -> bool:
    """Whether a value stands in a text letter by letter; the usual scheme and the last slash may be left out there."""
    short = value.removesuffix("/")
    return short in text or (
        (scheme := _USUAL_SCHEME.match(short)) is not None and short[scheme.end() :] in text
    )


# --- numbers ----------------------------------------------------------------------------------------


def number(value: float | str) -> str | None:
    """A number by its value: `1000.50` and `1000.5` are one; None where it is none."""
    try:
        read = Decimal(repr(value) if isinstance(value, int | float) else value)
    except (InvalidOperation, ValueError):  # ValueError: an integer of thousands of digits
        return None
    if not read.is_finite() or abs(read.adjusted()) > MAX_DIGITS or len(read.as_tuple().digits) > MAX_DIGITS:
        return None
    return format(read.normalize(_EXACTLY), "f") if read else "0"


def readings(word: str) -> set[str]:
    """The values of a word that is a number, with its sign: two where a point or a comma may be either."""
    sign = "-" if word[:1] in SIGNS and word else ""
    digits = word[1:] if sign or word[:1] == "+" else word
    if not digits[:1].isdecimal() or len(digits) > MAX_DIGITS:
        return set()
    if digits.isdecimal():
        return {value} if (value := number(sign + digits)) is not None else set()
    found = {
        number(sign + digits.replace(apart, "" if apart else apart).replace(",", "."))
        for form, apart in _READINGS
        if form.fullmatch(digits)
    }
    return {value for value in found if value is not None}


def signed(text: str, at: int, word: str) -> str:
    """A word that stands somewhere in a text, with the sign in front of it."""
    before = text[at - 1 : at]
    return "-" + word if before and before in SIGNS else word


def numbers(text: str) -> set[str]:
    """The values of all numbers in a text."""
    return {value for at, word in words_in(text) for value in readings(signed(text, at, word))}
