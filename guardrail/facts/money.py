"""Money: an amount, exactly, and its currency, where every reader would take the same from the text.

`1,234` and `1.234 EUR` are a thousand to some and one and a bit to others, `$` is the sign of twenty currencies, and a
float is counted as its JSON shows it. What is not the same to all is not understood.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings

MAX_LENGTH: Final = 64
"""The longest amount, in characters."""
MAX_MILLIONTHS: Final = 2**53 - 1
"""The largest amount, in millionths: what JSON numbers hold exactly, about 9 billion units."""

_CODES_TEXT: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT "
    "LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR "
    "NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
    "STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF "
    "XPF YER ZAR ZMW ZWG"
)
CURRENCIES: Final = frozenset(_CODES_TEXT.split())
"""The codes of ISO 4217 for money that is in use."""

_OF_THOUSANDTHS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Of which everybody reads three decimals as decimals."""

_SIGNS: Final = {
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "₴": "UAH",
    "₺": "TRY",
}
_NUMBER: Final = r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_UNIT: Final = r"[A-Z]{3}|[€£₹₩₪₫₴₺]"
_MONEY: Final = re.compile(rf"(?:({_UNIT}) ?)?({_NUMBER})(?: ?({_UNIT}))?")
_GROUPED: Final = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
_FLOAT: Final = re.compile(r"-?[0-9](?:\.[0-9]+)?e[+-][0-9]{1,3}")


def read_money(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """The amount: `raw`, `amount` (decimal, plain), `millionths` (an integer, for rules) and `currency`.

    `currency` is a code of ISO 4217, "" where none is written.

    Raises:
        NotUnderstoodError: readers may take another amount or currency from it, or it is finer than a millionth.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH} characters")
    found = _MONEY.fullmatch(text)
    if found is None and not _FLOAT.fullmatch(text):
        raise NotUnderstoodError("it is not an amount that everybody reads alike: write it like 1234.50 EUR")
    before, number, after = found.groups() if found else (None, text, None)
    if before and after:
        raise NotUnderstoodError("it has two currencies")
    if number.count(",") == 1 and "." not in number:
        raise NotUnderstoodError("its comma may stand before thousands or before decimals")
    unit = before or after or ""
    currency = _SIGNS.get(unit, unit)
    if currency and currency not in CURRENCIES:
        raise NotUnderstoodError("its currency is not known")
    if _GROUPED.fullmatch(number) and currency not in _OF_THOUSANDTHS:
        raise NotUnderstoodError("its point may stand before thousands or before decimals")
    return _findings(text, number, currency)


def read_number(number: float) -> Findings:
    """The same of a number of JSON, read as it is printed.

    Raises:
        NotUnderstoodError: it is finer than a millionth, or too large.
    """
    return _findings(repr(number), repr(number), "")


def _findings(text: str, number: str, currency: str) -> Findings:
    exact = Fraction(number.replace(",", "")) * 1_000_000
    if exact.denominator != 1 or abs(exact) > MAX_MILLIONTHS:
        raise NotUnderstoodError("it is finer than a millionth, or too large to be counted exactly")
    return Findings(
        facts=(
            {
                "raw": text,
                "amount": _decimal(exact.numerator),
                "millionths": exact.numerator,
                "currency": currency,
            },
        )
    )


def _decimal(millionths: int) -> str:
    whole, part = divmod(abs(millionths), 1_000_000)
    decimals = f".{part:06}".rstrip("0").rstrip(".")
    return f"{'-' if millionths < 0 else ''}{whole}{decimals}"
