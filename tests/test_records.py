"""Records: canonical bytes, and nothing in them that has to stay secret."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import LedgerError
from guardrail.merkle import leaf_hash
from guardrail.records import Record, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(TEXTS, st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.none(), st.lists(TEXTS))
KEYS = st.text(st.characters(codec="ascii"), min_size=1)


@given(st.dictionaries(KEYS, VALUES))
def test_a_body_is_the_canonical_form_of_rfc_8785(fields: dict[str, Any]) -> None:
    assert encode(fields) == rfc8785.dumps(fields)


@given(st.dictionaries(KEYS, VALUES))
def test_a_body_reads_back_equal(fields: dict[str, Any]) -> None:
    assert Record(log=1, sequence=0, kind="begun", body=encode(fields)).fields == fields


@pytest.mark.parametrize("value", ["\ud800", object(), {1: 2}])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        encode({"value": value})


def test_a_record_shows_itself_as_json() -> None:
    record = Record(
        log=2, sequence=7, kind="voted", body=encode({"person": "bob"}), detail=b'{"reason":"late"}'
    )
    assert record.as_json() == {"log": 2, "sequence": 7, "person": "bob", "detail": {"reason": "late"}}
    assert record.leaf == leaf_hash(b'{"person":"bob"}')
