"""Budgets: what one call takes from them, before it runs. Money is counted exactly, in millionths."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from guardrail.errors import InvalidArguments

MAX_AMOUNT: Final = 2**53 - 1
"""The largest amount and the largest limit, in millionths: about 9 billion units. Sums fit every database."""

_PLAIN_NUMBER: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Take `amount` from the budget `scope`, or stop the call.

    Attributes:
        scope: the row of the budget: run or window, agent, what is counted.
        amount: how much, as an integer (money in millionths of its unit).
        limit: how much the scope holds in all, in the same unit.
        name: the budget, for people: `payer: money per run`.
        unit: `calls` or the unit of the money.
    """

    scope: str
    amount: int
    limit: int
    name: str
    unit: str = "calls"


def millionths(value: object) -> int:
    """An amount of money as an integer, in millionths of its unit, exactly.

    Args:
        value: an integer, a float (counted as JSON writes it: 0.1 is a tenth), or a string of digits with
            at most one point (`"12.50"`).

    Raises:
        InvalidArguments: it is no such number, below zero, finer than a millionth or beyond `MAX_AMOUNT`;
            the message does not repeat the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidArguments("is not a number")
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        raise InvalidArguments("is not a plain decimal number", fix='write it with digits only, like "12.50"')
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArguments("is not a finite number")
    # A float's shortest text (which repr and RFC 8785 agree on) is what a reader of the JSON sees; the
    # binary value behind it is not. No Decimal: its context rounds long numbers silently.
    amount = value * 1_000_000 if isinstance(value, int) else Fraction(str(value)) * 1_000_000
    if amount < 0:
        raise InvalidArguments("is below zero")
    if amount.denominator != 1:
        raise InvalidArguments("is finer than a millionth", fix="round it to at most six decimals")
    if amount > MAX_AMOUNT:
        raise InvalidArguments("is larger than any budget can hold")
    return amount.numerator
