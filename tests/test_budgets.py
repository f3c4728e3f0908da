"""Money is counted exactly, in millionths, or not at all."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.budgets import MAX_AMOUNT, millionths
from guardrail.errors import InvalidArguments


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (12, 12_000_000),
        (0.1, 100_000),
        (12.5, 12_500_000),
        (-0.0, 0),
        (1e-6, 1),
        (1e3, 1_000_000_000),
        ("12.50", 12_500_000),
        ("0.000001", 1),
        ("007", 7_000_000),
        ("1.0000000000", 1_000_000),
        ("9007199254.740991", MAX_AMOUNT),
    ],
)
def test_an_amount_is_exact(value: object, expected: int):
    assert millionths(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is not a number"),
        (True, "is not a number"),
        ([1], "is not a number"),
        ({"amount": 1}, "is not a number"),
        (float("nan"), "is not a finite number"),
        (float("inf"), "is not a finite number"),
        (-1, "is below zero"),
        (-0.000001, "is below zero"),
        (1e-7, "is finer than a millionth"),
        ("0.0000001", "is finer than a millionth"),
        (0.1 + 0.2, "is finer than a millionth"),
        (2**53, "is larger than any budget can hold"),
        (1e300, "is larger than any budget can hold"),
        ("9007199254.740992", "is larger than any budget can hold"),
        ("", "is not a plain decimal number"),
        ("-1", "is not a plain decimal number"),
        ("+1", "is not a plain decimal number"),
        ("1e3", "is not a plain decimal number"),
        ("1_000", "is not a plain decimal number"),
        ("1,000.00", "is not a plain decimal number"),
        (" 1", "is not a plain decimal number"),
        ("1.", "is not a plain decimal number"),
        (".5", "is not a plain decimal number"),
        ("1/2", "is not a plain decimal number"),
        ("NaN", "is not a plain decimal number"),
        ("\u0661", "is not a plain decimal number"),
        ("1\n", "is not a plain decimal number"),
        ("9" * 41, "is not a plain decimal number"),
    ],
)
def test_what_is_no_amount_is_refused(value: object, message: str):
    with pytest.raises(InvalidArguments) as caught:
        millionths(value)
    assert caught.value.message == message


@settings(deadline=None)
@given(st.integers(0, MAX_AMOUNT))
def test_a_text_and_the_number_it_spells_are_the_same_amount(amount: int):
    with localcontext() as context:
        context.prec = 60
        text = str(Decimal(amount).scaleb(-6).quantize(Decimal("0.000001")))
    assert millionths(text) == amount


@settings(deadline=None)
@given(st.one_of(st.floats(), st.integers(), st.text(max_size=12), st.none(), st.booleans()))
def test_whatever_the_value_the_amount_fits_or_is_refused(value: object):
    try:
        amount = millionths(value)
    except InvalidArguments:
        return
    assert 0 <= amount <= MAX_AMOUNT
