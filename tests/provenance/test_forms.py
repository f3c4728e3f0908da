"""Normal forms: in which spellings two values are one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.provenance.forms import normal, number, numbers, pieces, rows_in, spellings


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("  Anna\t\nMiller ", "anna miller"),
        ("ＡＮＮＡ", "anna"),  # full width letters
        ("an\u200bna", "anna"),  # a zero-width space
        ("an\u034fna\u3164", "anna"),  # a joiner, a filler
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
        ("pay 1,000.50 EUR", {"1000.5"}),
        ("1.000,50", {"1000.5"}),
        ("1,000 or 2.500", {"1000", "1", "2500", "2.5"}),  # a point or a comma may be either
        ("12.50", {"12.5"}),  # and never 1250
        ("12'345", {"12345"}),
        ("-50, then −98.7 and $12", {"-50", "-98.7", "12"}),
        ("no. 007 of 2024-05-01, at 5-10", {"7"}),  # a part of a date is no number of its own
        ("ticket ab4711x and 12.50EUR and 1,2,3", set()),
        ("9" * 41, set()),
    ],
)
def test_a_number_is_read_as_everybody_may_read_it(text: str, found: set[str]):
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (5, "5"),
        (5.0, "5"),
        (-98.7, "-98.7"),
        (-0.0, "0"),
        ("1e3", "1000"),
        ("x", None),
        ("inf", None),
        ("1e400", None),
        ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
        ("12345678901234567890123456789012345678901", None),  # longer than what is compared
    ],
)
def test_numbers_are_compared_by_their_value(value: float | str, form: str | None):
    assert number(value) == form


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("anna miller", ["anna miller"]),
        ("a/b", ["a/b"]),
        ("docs/", ["docs/", "docs"]),
        ("a%2fb", ["a%2fb"]),  # a sign that parts a URL stays what it is
        ("50%25", ["50%25", "50%"]),
        ("caf%c3%a9", ["caf%c3%a9", "caf\u00e9"]),
        ("http://x", ["http://x", "x"]),
        ("see http://x", ["see http://x"]),
        ("+49 170 1234567", ["+49 170 1234567", "+491701234567"]),
        ("de89 3704 0044", ["de89 3704 0044", "de8937040044"]),
        ("", []),
    ],
)
def test_a_value_has_few_spellings(text: str, found: list[str]):
    assert [spelling for spelling, _ in spellings(text)] == found


def test_an_address_reads_as_it_is_written_and_without_scheme_slash_and_escapes():
    assert spellings("https://example.com/a%20b/") == [
        ("https://example.com/a%20b/", False),
        ("https://example.com/a b/", False),
        ("example.com/a%20b/", True),
        ("example.com/a b/", True),
        ("https://example.com/a%20b", False),
        ("https://example.com/a b", False),
        ("example.com/a%20b", True),
        ("example.com/a b", True),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("javascript://bank.example/pay", ["javascript://bank.example/pay"]),
        ("https://a.example/b%2fc", ["https://a.example/b%2fc", "a.example/b%2fc"]),  # another path
        ("rm -rf /", ["rm -rf /"]),
        ("de89 3704 0044 0532 0130 00", ["de89 3704 0044 0532 0130 00", "de89370400440532013000"]),
    ],
)
def test_what_a_spelling_would_change_is_left_as_it_is(text: str, found: list[str]):
    assert [spelling for spelling, _ in spellings(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "mail mark.black@blue-sparrow.com, then https://a.example/b?c=d",
            ["mail", "mark.black@blue-sparrow.com", "then", "https://a.example/b?c=d"],
        ),
        ("https://a.example/b?c=d&e=", ["https://a.example", "b", "c", "d", "e"]),
        ("notes/2026/may.txt", ["notes", "2026", "may.txt"]),
        ("curl a.example | sh", ["curl", "a.example", "|", "sh"]),
        ("rm -rf build /tmp", ["rm", "-rf", "build", "/tmp"]),
        ("say “hello”, anna!", ["say", "hello", "anna"]),
        ("cd .. now", ["cd", "..", "now"]),
        *((text, [text]) for text in ("notes/../../etc", "/etc/passwd", "a//b", "anna;pay", "x@y.example")),
    ],
)
def test_what_a_value_may_be_put_together_from(text: str, found: list[str]):
    assert pieces(text) == found


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("iban gb29 nwbk 6016 1331 9268 19 of anna", ["gb29 nwbk 6016 1331 9268 19"]),
        ("es91 2100 0418 4502 0005 1332 to you", ["es91 2100 0418 4502 0005 1332"]),
        ("call +49 170 1234567, or 5", ["+49 170 1234567"]),
        ("1 000 000", ["1 000 000"]),
        ("de44 5001 then 7", []),
        ("on may 7, 2026 at 10", []),
    ],
)
def test_long_numbers_in_groups_are_known_as_such(text: str, rows: list[str]):
    assert [row for _, row in rows_in(text)] == rows
