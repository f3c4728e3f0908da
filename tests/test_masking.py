"""What nothing may show is replaced by a keyed digest, and everything else stays."""

import copy
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.canonical import canonical
from guardrail.errors import PolicyError
from guardrail.masking import Masked, mask
from guardrail.pointers import places

KEY = b"a key of the operator"


def marker(value: Any, key: bytes = KEY) -> dict[str, str]:
    digest = hmac.new(key, b"guardrail masked value\x00" + canonical(value), hashlib.sha256)
    return {"masked": digest.hexdigest()}


def test_what_a_pointer_leads_to_is_hidden_and_the_rest_stays():
    arguments = {"to": "anna", "password": "s3cret", "items": [1, {"pin": 4711}]}
    assert mask(arguments, ["/password", "/items/1/pin", "/nothing"], key=KEY) == Masked(
        value={"to": "anna", "password": marker("s3cret"), "items": [1, {"pin": marker(4711)}]},
        hit=("/items/1/pin", "/password"),
    )


def test_nothing_to_hide_is_a_copy():
    arguments = {"a": [1, {"b": 2}]}
    masked = mask(arguments, [], key=KEY)
    assert masked == Masked(value=arguments, hit=())
    masked.value["a"][1]["b"] = 3
    assert arguments == {"a": [1, {"b": 2}]}


def test_a_wildcard_hides_every_member():
    headers = {"headers": {"Authorization": "Bearer x", "X-Key": "y"}}
    assert mask(headers, ["/headers/*"], key=KEY) == Masked(
        value={"headers": {"Authorization": marker("Bearer x"), "X-Key": marker("y")}},
        hit=("/headers/Authorization", "/headers/X-Key"),
    )


def test_the_whole_value_can_be_hidden():
    assert mask({"a": 1}, [""], key=KEY) == Masked(value=marker({"a": 1}), hit=("",))


def test_of_nested_places_the_outermost_is_hidden_as_it_was():
    value = {"card": {"number": "4111", "name": "Anna"}}
    assert mask(value, ["/card/number", "/card", "/card/*"], key=KEY) == Masked(
        value={"card": marker({"number": "4111", "name": "Anna"})}, hit=("/card",)
    )


def test_a_value_that_stands_where_an_object_was_expected_is_hidden_too():
    assert mask({"headers": "Authorization: Bearer x"}, ["/headers/Authorization"], key=KEY) == Masked(
        value={"headers": marker("Authorization: Bearer x")}, hit=("/headers",)
    )


def test_equal_secrets_match_under_one_key_and_under_no_other():
    first = mask({"a": "s3cret", "b": "s3cret"}, ["/a", "/b"], key=KEY).value
    other = mask({"a": "s3cret"}, ["/a"], key=b"another").value
    assert first["a"] == first["b"]
    assert first["a"] != other["a"]
    assert first["a"]["masked"] != hashlib.sha256(b'"s3cret"').hexdigest()


def test_a_value_that_looks_like_a_marker_is_told_apart_by_what_was_hit():
    forged = {"password": marker("guess")}
    assert mask(forged, ["/other"], key=KEY) == Masked(value=forged, hit=())


@pytest.mark.parametrize("pointer", ["password", "/a~b"])
def test_a_mask_that_cannot_be_read_is_refused(pointer: str):
    with pytest.raises(PolicyError, match="is no JSON pointer"):
        mask({"password": "s3cret"}, [pointer], key=KEY)


NAMES = st.sampled_from(["a", "b", "a/b", "m~n", "0", ""])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "x", "SECRET"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=10,
)
POINTERS = st.lists(
    st.lists(st.sampled_from(["a", "b", "a~1b", "m~0n", "0", "1", "", "*"]), max_size=4).map(
        lambda parts: "".join(f"/{part}" for part in parts)
    ),
    max_size=4,
)


@settings(deadline=None)
@given(value=VALUES, pointers=POINTERS)
def test_whatever_a_pointer_leads_to_is_gone_and_the_original_is_not(value: Any, pointers: list[str]):
    before = copy.deepcopy(value)
    masked = mask(value, pointers, key=KEY)
    assert value == before
    for pointer in masked.hit:
        (there,) = places(masked.value, pointer)
        (here,) = places(value, pointer)
        assert there.value == marker(here.value)
    if not masked.hit:
        assert masked.value == value
    assert mask(value, reversed(pointers), key=KEY) == masked
    if any(pointer == "" for pointer in pointers) or "/*" in pointers:
        assert "SECRET" not in json.dumps(masked.value)
