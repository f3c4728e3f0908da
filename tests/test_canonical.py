"""RFC 8785, and what is refused instead of being read two ways."""

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from guardrail.canonical import MAX_DEPTH, canonical, digest, parse, thaw
from guardrail.errors import InvalidArguments

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 <= abs(x) < 1e21)
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


@given(VALUES)
def test_equals_the_reference_writer_byte_for_byte(value: Any):
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES)
def test_reading_it_again_gives_the_same_bytes(value: Any):
    assert canonical(thaw(canonical(value))) == canonical(value)


@given(st.dictionaries(TEXT, INTEGERS))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]):
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**53, "beyond ±(2^53-1)"),
        (2.0**53, "beyond ±(2^53-1)"),
        (-(2**70), "beyond ±(2^53-1)"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("a\x00b", "NUL"),
        ("\ud800", "lone surrogate"),
        ({"a": {"\udfff": 1}}, "lone surrogate"),
        ({1: 2}, "not a string"),
        ({"a": {1, 2}}, "/a is a set"),
        ({"a": [b"x"]}, "/a/0 is a bytes"),
        ("x" * 1_000_001, "1,000,003 bytes"),
    ],
)
def test_what_json_cannot_carry_faithfully_is_refused_with_the_place(value: Any, said: str):
    with pytest.raises(InvalidArguments) as caught:
        canonical(value)
    assert said in str(caught.value)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 10_000])
def test_deep_nesting_is_refused_without_a_crash(levels: int):
    value: Any = 1
    for _ in range(levels):
        value = [value]
    with pytest.raises(InvalidArguments, match="nested deeper"):
        canonical(value)


def test_a_thawed_copy_is_nobody_elses():
    body = canonical({"a": [1]})
    thaw(body)["a"].append(2)
    assert thaw(body) == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[1E400]", "inf"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5_000, "not JSON"),
        ('"\\ud800"', "lone surrogate"),
        ("{", "not JSON"),
    ],
)
def test_strict_reading_refuses_what_readers_disagree_on(text: str, said: str):
    with pytest.raises(InvalidArguments) as caught:
        parse(text)
    assert said in str(caught.value)


@given(VALUES)
def test_strict_reading_reads_what_was_written(value: Any):
    assert canonical(parse(json.dumps(value))) == canonical(value)


def test_digests_do_not_run_parts_together():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
