"""Slack's posts are told from everybody else's, and new ones from replayed ones."""

import hashlib
import hmac
import time

import pytest
from guardrail_slack.signature import AGE, Signatures, sign
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier

NOW = 1_700_000_000.0
OLD, NEW = "old-secret", "new-secret"


def check(
    body: bytes = b"payload=x", *, secret: str = NEW, at: object = int(NOW), now: float = NOW
) -> str | None:
    return Signatures([NEW, OLD]).check([str(at)], [sign(secret, str(at), body)], body, now=now)


def test_the_signature_is_that_of_slacks_documentation():
    expected = hmac.new(b"s", b"v0:1531420618:a=b", hashlib.sha256).hexdigest()
    assert sign("s", "1531420618", b"a=b") == f"v0={expected}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_slack_sdk_agrees(text: str):
    timestamp = str(int(time.time()))
    assert SignatureVerifier("secret").is_valid(text, timestamp, sign("secret", timestamp, text.encode()))


def test_both_secrets_are_valid_while_one_takes_the_others_place():
    assert [check(secret=secret) for secret in (OLD, NEW)] == [None, None]
    assert check(secret="another") == "the signature is wrong"


@pytest.mark.parametrize("off", [-AGE, 0, AGE])
def test_a_post_of_the_last_five_minutes_is_taken(off: int):
    assert check(now=NOW + off) is None


@pytest.mark.parametrize("off", [-AGE - 1, AGE + 1, 10**9])
def test_an_older_post_and_one_of_the_future_are_not(off: int):
    assert check(now=NOW + off) == "the timestamp is too old, or in the future"


@pytest.mark.parametrize(
    "timestamp",
    ["", " 1700000000", "1700000000 ", "+1700000000", "-1", "1700000000.0", "1e9", "0x10", "1_700_000_000",
     "١٧٠٠٠٠٠٠٠٠", "²", "9" * 13, "nan", "\n1700000000"],
)  # fmt: skip
def test_a_timestamp_is_ascii_digits_and_nothing_else(timestamp: str):
    assert check(at=timestamp) == "the timestamp is missing or malformed"


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda it: it[:-1], lambda it: it + "0", lambda it: "v1" + it[2:], lambda it: " " + it,
     lambda it: it[3:], lambda it: "", lambda it: it[:-1] + "é"],
)  # fmt: skip
def test_a_signature_of_another_form_is_refused(change):
    body = b"payload=x"
    given = change(sign(NEW, str(int(NOW)), body))
    assert (
        Signatures([NEW]).check([str(int(NOW))], [given], body, now=NOW)
        == "the signature is missing or malformed"
    )


def test_every_byte_of_the_body_counts():
    signature = sign(NEW, str(int(NOW)), b"payload=x")
    assert (
        Signatures([NEW]).check([str(int(NOW))], [signature], b"payload=y", now=NOW)
        == "the signature is wrong"
    )


def test_headers_that_stand_twice_or_not_at_all_are_refused():
    body, timestamp = b"payload=x", str(int(NOW))
    signature = sign(NEW, timestamp, body)
    for times in (0, 2):
        for many in (([timestamp] * times, [signature]), ([timestamp], [signature] * times)):
            assert "missing or malformed" in (Signatures([NEW]).check(*many, body, now=NOW) or "")


def test_a_post_is_taken_once_for_as_long_as_its_timestamp_is():
    body, timestamp = b"payload=x", str(int(NOW))
    signatures, signature = Signatures([NEW]), sign(NEW, timestamp, body)
    seen = [
        signatures.check([timestamp], [signature], body, now=NOW + off) for off in (-AGE, 0, AGE, AGE + 1)
    ]
    assert seen == [None, *["this post was here already"] * 2, "the timestamp is too old, or in the future"]


def test_no_secret_lets_nothing_through():
    assert (
        Signatures([]).check([str(int(NOW))], [sign("", str(int(NOW)), b"")], b"", now=NOW)
        == "the signature is wrong"
    )
