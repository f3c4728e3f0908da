"""Normal forms: in which spellings two values are one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.provenance.forms import normal, number, numbers, pieces, spellings


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("  Anna\t\nMiller ", "anna miller"),
        ("ＡＮＮＡ", "anna"),  # full width letters
        ("an\u200bna", "anna"),  # a zero-width space
        ("STRASSE ß", "strasse ss"),
        ("", ""),
    ],
)
def test_case_width_spacing_and_invisible_letters_do_not_count(text: str, form: str):
    assert normal(text) == form


@given(st.text())
def test_a_normal_form_is_its_own_normal_form(text: str):
    assert normal(normal(text)) == normal(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pay 1,000.50 EUR", {"1000.5", "1.0005"}),
        ("1.000,50", {"1000.5", "1.0005"}),
        ("12'345", {"12345"}),
        ("no. 007 of 2024-05-01", {"7", "2024", "5", "1"}),
        ("9" * 41, set()),
    ],
)
def test_a_number_is_read_as_everybody_may_read_it(text: str, found: set[str]):
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("value", "form"),
    [(5, "5"), (5.0, "5"), (-98.7, "98.7"), ("1e3", "1000"), ("x", None), ("inf", None), ("1e400", None)],
)
def test_numbers_are_compared_by_their_value(value: float | str, form: str | None):
    assert number(value) == form


def test_an_address_reads_as_it_is_written_and_without_scheme_slash_and_escapes():
    assert spellings("https://example.com/a%20b/") == [
        "https://example.com/a%20b/",
        "https://example.com/a b/",
        "example.com/a%20b/",
        "https://example.com/a%20b",
        "https://example.com/a b",
        "example.com/a%20b",
    ]


def test_an_address_is_one_piece_and_is_not_vouched_for_by_its_syllables():
    assert pieces("mail mark.black@blue-sparrow.com, then https://a.example/b?c=d") == [
        "mail",
        "mark.black@blue-sparrow.com",
        "then",
        "a.example",
        "b",
        "c",
        "d",
    ]
