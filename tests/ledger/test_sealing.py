"""Sealed details: readable with the key, bound to their record, and silent without."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
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


@given(st.lists(st.binary(max_size=200), max_size=5), st.data())
def test_many_details_open_together_where_each_of_them_opens(
    details: list[bytes], data: st.DataObject
) -> None:
    sealed = [(found.body, found.commitment.encode()) for found in map(KEY.seal, details)]
    assert KEY.opens(sealed)
    if sealed:
        place = data.draw(st.integers(0, len(sealed) - 1))
        body, commitment = sealed[place]
        forged = data.draw(st.sampled_from([b"", body[:5], body[:-1], body + b"x", KEY.seal(b"other").body]))
        assert not KEY.opens([*sealed[:place], (forged, commitment), *sealed[place + 1 :]])
        wrong = data.draw(st.sampled_from([b"", b"00" * 32, commitment[:-2], b"no hex", "ü".encode()]))
        assert not KEY.opens([*sealed[:place], (body, wrong), *sealed[place + 1 :]])
        assert not SealingKey.generate().opens(sealed)


def test_a_detail_that_was_sealed_for_a_commitment_to_another_does_not_open() -> None:
    """Who holds the key can bind any detail to any commitment; it is not the one that is committed to."""
    commitment = KEY.seal(b"what was decided").commitment
    cipher = AESGCM(HKDF(SHA256(), 32, None, b"guardrail sealing v1").derive(KEY.secret))
    body = bytes(12) + cipher.encrypt(bytes(12), bytes(16) + b"something else", bytes.fromhex(commitment))
    assert not KEY.opens([(body, commitment.encode())])
    with pytest.raises(VerificationFailed, match="not the one its record commits to"):
        KEY.unseal(body, commitment)


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
