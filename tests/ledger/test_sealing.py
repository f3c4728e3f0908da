"""Sealed details: readable with the key, bound to their record, and silent without."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import LedgerUnavailable, VerificationFailed
from guardrail.sealing import SealingKey

KEY = SealingKey(bytes(range(32)))


@given(st.binary(max_size=500))
def test_what_is_sealed_opens_again_and_only_with_its_commitment(detail: bytes) -> None:
    sealed, other = KEY.seal(detail), KEY.seal(detail)
    assert KEY.unseal(sealed.body, sealed.commitment) == detail
    assert sealed.commitment != other.commitment  # salted: equal details do not look equal
    assert sha256(detail).hexdigest() != sealed.commitment
    assert len(detail) < 8 or detail not in sealed.body
    with pytest.raises(VerificationFailed, match="does not open"):
        KEY.unseal(sealed.body, other.commitment)


@given(st.data())
def test_a_flipped_bit_does_not_open(data: st.DataObject) -> None:
    sealed = KEY.seal(b"the amount is 5")
    bit = data.draw(st.integers(0, len(sealed.body) * 8 - 1))
    body = bytearray(sealed.body)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        KEY.unseal(bytes(body), sealed.commitment)


@pytest.mark.parametrize("body", [b"", b"short", b"x" * 27])
def test_a_cut_detail_does_not_open(body: bytes) -> None:
    with pytest.raises(VerificationFailed):
        KEY.unseal(body, "00" * 32)


def test_another_key_opens_nothing_and_refers_otherwise() -> None:
    other = SealingKey.generate()
    sealed = KEY.seal(b"detail")
    with pytest.raises(VerificationFailed, match="another key sealed it"):
        other.unseal(sealed.body, sealed.commitment)
    assert KEY.reference("a key") != other.reference("a key")
    assert KEY.reference("a key") == SealingKey(bytes(range(32))).reference("a key")
    assert KEY.id != other.id


def test_the_keys_of_different_uses_are_different() -> None:
    assert KEY.id.encode() not in KEY.secret
    assert len({KEY.id, KEY.reference("")[:16], KEY.secret.hex()[:16]}) == 3


def test_a_key_file_is_written_once(tmp_path: Path) -> None:
    first = SealingKey.create(tmp_path / "key")
    assert SealingKey.create(tmp_path / "key") == first
    assert SealingKey.read(tmp_path / "key") == first
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_key_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00ff")
    with pytest.raises(LedgerUnavailable, match="32 bytes, this one is 2"):
        SealingKey.read(tmp_path / "key")
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        SealingKey.create(tmp_path / "nowhere" / "key")
