"""An amount of money is what every reader takes from it, or it is not understood."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Tool
from guardrail.facts import Facts, extract
from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.money import read_money

HERE = Surroundings(roots={}, folder=Path())


def read(text: str) -> Findings:
    return read_money(text, HERE)


@pytest.mark.parametrize(
    ("text", "amount", "millionths", "currency"),
    [
        ("12", "12", 12_000_000, ""),
        ("12.50", "12.5", 12_500_000, ""),
        ("-0.000001", "-0.000001", -1, ""),
        ("1,234.50 EUR", "1234.5", 1_234_500_000, "EUR"),
        ("1,234,567", "1234567", 1_234_567_000_000, ""),
        ("USD 5", "5", 5_000_000, "USD"),
        ("€5", "5", 5_000_000, "EUR"),
        ("5 £", "5", 5_000_000, "GBP"),
        ("1.234 KWD", "1.234", 1_234_000, "KWD"),
        ("0.125", "0.125", 125_000, ""),
        ("1234.567", "1234.567", 1_234_567_000, ""),
        ("1e-06", "0.000001", 1, ""),
        ("1.5e+3", "1500", 1_500_000_000, ""),
    ],
)
def test_an_amount_is_exact(text: str, amount: str, millionths: int, currency: str):
    assert read(text) == Findings(
        facts=({"raw": text, "amount": amount, "millionths": millionths, "currency": currency},)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,234",
        "12,50",
        "1.234,56",
        "1.234",
        "1.000 EUR",
        "10.000 USD",
        "1,23,456.0",
        "$5",
        "¥5",
        "5 XYZ",
        "EUR 5 USD",
        "€5 EUR",
        "5 eur",
        "٣",
        "0.0000001",
        "1e999",
        "9007199255",
        " 5",
        "5\n",
        "0x10",
        "1_000",
        "NaN",
        "inf",
        "five",
        "+5",
        "5.",
        ".5",
        "--5",
        "1" * 100,
    ],
)
def test_what_readers_take_differently_is_not_understood(text: str):
    with pytest.raises(NotUnderstoodError):
        read(text)


def facts(value: Any) -> Facts:
    tool = Tool(name="pay", kinds={"amount": "money"})
    return extract(Call.of({"amount": value}, run="r", id="1", agent=Agent(id="a"), tool=tool), roots={})


@pytest.mark.parametrize(
    ("value", "amount"),
    [(5, "5"), (0.1, "0.1"), (1234.56, "1234.56"), (-3, "-3"), (1.234, "1.234"), (1e-6, "0.000001")],
)
def test_a_number_is_read_as_json_prints_it(value: float, amount: str):
    assert [fact["amount"] for fact in facts(value).money] == [amount]


@pytest.mark.parametrize("value", [True, {}, 1e300, 0.12345678, "1,5"])
def test_another_value_is_opaque(value: Any):
    found = facts(value)
    assert (found.money, len(found.opaque)) == ((), 1)


@given(st.decimals("-9007199254", "9007199254", places=6))
def test_what_is_written_plainly_comes_back_exactly(value: Decimal):
    (fact,) = read(f"{value:f}").facts
    assert (Decimal(fact["amount"]), fact["millionths"]) == (value, int(value * 1_000_000))


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789,.-+eE €$EURUSD\x00"), max_size=20))
def test_no_exception_escapes_and_the_same_text_has_the_same_facts(text: str):
    def answer() -> Findings | str:
        try:
            return read(text)
        except NotUnderstoodError as error:
            return str(error)

    assert answer() == answer()
