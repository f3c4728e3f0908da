"""What a person reads is what there is: nothing hidden, nothing that passes for something else."""

import json
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardrail.canonical import canonical
from guardrail.visible import visible

ANY_TEXT = st.text(st.characters(exclude_categories=()))
PLAIN_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=10,
)
FOLDS_TO_ASCII = [
    letter
    for letter in map(chr, range(128, 0x110000))
    if unicodedata.normalize("NFKC", letter).isascii() and letter not in "…™"
]
"""Every character that some programs read as ASCII: fullwidth, mathematical, ligatures, …"""


def read_back(text: str) -> str:
    r"""Every `\u{…}` as its character, where the backslash is not itself escaped."""
    return re.sub(
        r"\\(?:u\{([0-9a-f]+)\}|.)",
        lambda found: chr(int(found[1], 16)) if found[1] else found[0],
        text,
    )


@given(ANY_TEXT)
@example("\u202e")
@example("\u2066\u2069")
@example("a\u200bb\ufeff")
@example("\x9b31m")
@example("\U000e0041")
@example("\ud800")
def test_nothing_that_steers_a_terminal_or_cannot_be_seen_is_printed(text: str):
    shown = visible(text)
    assert [letter for letter in shown if unicodedata.category(letter)[0] in "CZ" and letter != " "] == []
    assert shown.isprintable()


@given(ANY_TEXT)
def test_a_text_that_was_made_visible_stays_as_it_is(text: str):
    assert visible(visible(text)) == visible(text)


@given(st.dictionaries(PLAIN_TEXT, JSON, max_size=4))
def test_shown_arguments_read_back_to_exactly_the_arguments(arguments: dict[str, object]):
    body = canonical(arguments).decode()
    assert read_back(visible(body)) == body
    assert json.loads(read_back(visible(body))) == arguments


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ascii_is_shown_as_it_is(text: str):
    assert visible(text) == text


@given(st.text("ab/. "), st.sampled_from(FOLDS_TO_ASCII), st.text("ab/. "))
def test_what_folds_to_ascii_never_reads_as_ascii(before: str, letter: str, after: str):
    assert visible(before + letter + after) == f"{before}\\u{{{ord(letter):x}}}{after}"


@pytest.mark.parametrize(
    "text",
    ["привет мир", "日本語 コーヒー", "API呼出", "한국어", "हिन्दी", "مرحبا", "שלום", "ไทย", "Ἀθῆναι",
     "Straße, Đặng, naïve, łódź, İzmir", "“don\u2019t” — ok…", "12 €", "😀 → done"],
)  # fmt: skip
def test_ordinary_text_of_any_language_stays_readable(text: str):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("p\u0430ypal", r"p\u{430}ypal"),  # one Cyrillic letter
        ("\u0441\u043e\u0441\u043e", r"\u{441}\u{43e}\u{441}\u{43e}"),  # a whole word that looks Latin
        ("\u03bf", r"\u{3bf}"),  # omicron alone
        ("\uff45vil", r"\u{ff45}vil"),  # fullwidth
        ("\U0001d5baa", r"\u{1d5ba}a"),  # mathematical
        ("\u212a", r"\u{212a}"),  # Kelvin sign
        ("\ufb01le", r"\u{fb01}le"),  # ligature
        ("e\u0301", r"e\u{301}"),  # é in two characters
        ("\u2215etc\u2044passwd", r"\u{2215}etc\u{2044}passwd"),  # slashes that are none
        ("rm \u2013rf", r"rm \u{2013}rf"),  # a dash that is no hyphen
        ("a\u00a0b", r"a\u{a0}b"),
        ("\u0661\u0660\u0660", r"\u{661}\u{660}\u{660}"),  # digits of another script
        ("\u13aa\ua4ee", r"\u{13aa}\u{a4ee}"),  # Cherokee and Lisu
        ("user\u202egnp.exe", r"user\u{202e}gnp.exe"),
        ("\x1b[2J", r"\u{1b}[2J"),
        ("one\ntwo\ttabs", r"one\u{a}two\u{9}tabs"),
        ("\u3164", r"\u{3164}"),  # a letter that is blank
        (
            "paypa\u0196 \u0237ohn b\u0131t",
            r"paypa\u{196} \u{237}ohn b\u{131}t",
        ),  # Latin letters that pass for others
        ("\u4e00rf", r"\u{4e00}rf"),  # a Han stroke before Latin letters
        ("👨\u200d👩", r"👨\u{200d}👩"),
    ],
)
def test_a_character_that_deceives_is_spelled_out(text: str, shown: str):
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"א":100,"ב":900}', r'{"\u{5d0}":100,"\u{5d1}":900}'),
        ("مرحبا 7", r"\u{645}\u{631}\u{62d}\u{628}\u{627} 7"),
        ("to: שלום", "to: שלום"),
        ("日本 100", "日本 100"),
    ],
)
def test_letters_that_run_leftwards_are_spelled_out_where_they_would_move_digits(text: str, shown: str):
    assert visible(text) == shown
