r"""Visible: text of unknown origin, as a person may trust what he reads and a terminal has nothing to obey.

Whatever is not known to be harmless stands as `\u{…}` with its code point: controls, invisible and
direction-changing characters, blanks other than the space, marks on ASCII letters, digits and letters
that pass for ASCII ones. Plain are ASCII, the scripts in modern use, everyday punctuation and emoji.

A letter outside Latin is plain only in a word that clearly belongs to its script: Russian stays readable,
one Cyrillic letter in an English word is spelled out, and so is a word of Cyrillic letters that all look
Latin. Letters that run from right to left are spelled out beside digits: a display would put the digits on
their other side, and show `["א",100]` as another pair. Sources: UAX 31 table 5 (scripts in modern use),
UTS 39 (look-alikes and mixed scripts), UAX 9 (direction). What a font makes of the rest, no program can know.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import Final

_SCRIPTS: Final = frozenset(
    {
        "ARABIC", "ARMENIAN", "BENGALI", "BOPOMOFO", "CJK", "CYRILLIC", "DEVANAGARI", "ETHIOPIC",
        "GEORGIAN", "GREEK", "GUJARATI", "GURMUKHI", "HANGUL", "HEBREW", "HIRAGANA", "KANNADA",
        "KATAKANA", "KHMER", "LAO", "LATIN", "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "TAMIL",
        "TELUGU", "THAANA", "THAI", "TIBETAN",
    }
)  # fmt: skip
_BESIDE_LATIN: Final = frozenset({"BOPOMOFO", "CJK", "HANGUL", "HIRAGANA", "KATAKANA"})
"""Written without spaces around Latin words (UTS 39, highly restrictive level)."""
_ALIKE: Final = frozenset(
    "АВЕЗКМНОРСТУХЅІЈҮҺЬаеорсухѕіјһԁԛԝүѵӏӀгпь"  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳαικνορυχγϲωτη"  # Greek
    "ՍՏՕԼոսօցհգքզյ"  # Armenian
    "סוןיםاهىہھەဝഠዐଠ"  # drawn as o, l, i and . in Hebrew, Arabic, Myanmar, Malayalam, Ethiopic, Oriya
    "一丨丶丿〇口工エロニノハトー"  # drawn as strokes, boxes and slashes
)
"""Letters that may be taken for an ASCII character: no word of these alone belongs clearly to its script."""
_PUNCTUATION: Final = frozenset("¡¢£¥§©«®°¶»¿÷—\u2018\u2019“”„†‡•…€₹₽₩™←↑→↓、。「」『』")
_LATIN: Final = frozenset("ÆæÐðØøÞþßĐđĦħŁłŊŋŒœŦŧƏə")
"""Latin letters of living languages that are not an ASCII letter with marks."""
_EMOJI: Final = (
    (0x2600, 0x26FF),
    (0x2700, 0x2757),
    (0x1F300, 0x1F5FF),
    (0x1F600, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F900, 0x1FAFF),
)
_HANGUL: Final = (0xAC00, 0xD7A3)


def visible(text: str) -> str:
    r"""The text, with `\u{…}` for every character that is not known to be harmless.

    Args:
        text: anything; line breaks and tabs are controls, too.
    """
    if text.isascii() and text.isprintable():
        return text
    turned = _turns(text)
    return "".join(
        _word(list(run), turned=turned)
        if in_word
        else "".join(letter if _plain(letter) else escaped(letter) for letter in run)
        for in_word, run in groupby(text, _in_word)
    )


def escaped(letter: str) -> str:
    r"""One character as `\u{…}`, its code point in hexadecimal."""
    return f"\\u{{{ord(letter):x}}}"


def _in_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LM"


def _turns(text: str) -> bool:
    """Whether a display would change the order here (UAX 9): there are numbers among letters that run leftwards."""
    classes = set(map(unicodedata.bidirectional, text))
    return bool(classes & {"R", "AL"}) and bool(classes & {"EN", "AN"})


def _word(letters: list[str], *, turned: bool) -> str:
    """A run of letters and marks, with those spelled out that stand in the wrong company.

    Args:
        letters: the run.
        turned: letters that run from right to left are spelled out.
    """
    clear = {
        _script(letter)
        for letter in letters
        if unicodedata.category(letter)[0] == "L" and letter not in _ALIKE
    }
    if "LATIN" in clear:
        clear &= {"LATIN", *_BESIDE_LATIN}
    return "".join(
        letter
        if letter.isascii()
        or (_script(letter) in clear and _plain(letter) and not (turned and _runs_left(letter)))
        else escaped(letter)
        for letter in letters
    )


def _runs_left(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in {"R", "AL"}


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The script that the character's name begins with; empty where it is none of those in use."""
    script = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return script if script in _SCRIPTS else ""


@lru_cache(maxsize=4096)
def _plain(letter: str) -> bool:
    """Whether one character is harmless, its company aside."""
    if letter.isascii():
        return letter.isprintable()
    category, code = unicodedata.category(letter), ord(letter)
    if letter in _PUNCTUATION:
        return True
    if category == "So":
        return _within(code, _EMOJI)
    if category[0] not in "LM" or not unicodedata.is_normalized("NFKC", letter):
        return False
    script = _script(letter)
    if script == "LATIN":
        return letter in _LATIN or unicodedata.normalize("NFD", letter)[0].isascii()
    return _within(code, (_HANGUL,)) if script == "HANGUL" else bool(script)


def _within(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)
