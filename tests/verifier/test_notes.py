"""Signed notes, against the notes of another implementation (Go's `sumdb/note`) and against whoever changes one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.proofs.signing import FileSigner, sign
from guardrail.verifier.checkpoints import Checkpoint, Keys
from guardrail.verifier.notes import (
    COSIGNATURE,
    Note,
    NotVerified,
    PublicKey,
    Signature,
    cosigned,
    cosigned_at,
    join,
    split,
)
from tests.verifier.logs import KEYS, ORIGIN, SIGNER, small

GOLDEN = Path(__file__).parent / "golden"
TEXT = f"{ORIGIN}\n3\nSF0GEisBF76/r6HQ4uMv+Jbq3BkgQTZQ35Obz6a/r3E=\n"


def golden(name: str) -> str:
    return (GOLDEN / name).read_bytes().decode()


def cosign(note: Note, secret: Ed25519PrivateKey, name: str, time: int) -> tuple[Note, PublicKey]:
    key = PublicKey(name=name, kind=COSIGNATURE, body=secret.public_key().public_bytes_raw())
    body = time.to_bytes(8, "big") + secret.sign(cosigned(note.text, time))
    return note.signed_also([Signature(name=name, key_id=key.key_id, body=body)]), key


def test_a_note_is_the_one_that_another_implementation_has_verified():
    """Golden: written by this code, opened once by Go's `note.Open`."""
    note = small().notes[-1]
    assert (str(note), f"{SIGNER.key}\n") == (golden("checkpoint.note"), golden("log.pub"))
    assert note.text == TEXT


def test_a_note_that_another_implementation_has_signed_is_read():
    """Golden: signed by Go's `note.Sign`."""
    note, key = Note.parse(golden("go.note")), PublicKey.parse(golden("go.pub"))
    assert note.signers([key]) == (key,)
    assert Keys(logs=(key,)).checkpoint(note).size == 7
    assert (str(note), f"{key}\n") == (golden("go.note"), golden("go.pub"))


def test_every_changed_byte_of_a_note_is_refused():
    whole = golden("checkpoint.note").encode()
    passed = []
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            try:
                KEYS.checkpoint(Note.parse(changed.decode()))
            except (NotVerified, UnicodeDecodeError):
                continue
            passed.append((place, bit))
    assert passed == []


def test_signatures_by_others_are_passed_over_and_one_in_a_trusted_name_is_not():
    other = FileSigner.generate("example.org/other")
    note = sign(TEXT, SIGNER).signed_also(sign(TEXT, other).signatures)
    assert note.signers([SIGNER.key]) == (SIGNER.key,)
    assert note.signers([SIGNER.key, other.key]) == (SIGNER.key, other.key)
    forged = Signature(name=ORIGIN, key_id=SIGNER.key.key_id, body=bytes(64))
    with pytest.raises(NotVerified, match=f"the signature of {ORIGIN} is not one over this text"):
        Note(text=TEXT, signatures=(*note.signatures, forged)).signers([SIGNER.key])
    short = Signature(name=ORIGIN, key_id=SIGNER.key.key_id, body=b"short")
    with pytest.raises(NotVerified, match="is not one over this text"):
        Note(text=TEXT, signatures=(short,)).signers([SIGNER.key])


def test_a_checkpoint_is_signed_by_a_key_of_its_own_origin():
    other = FileSigner.generate("example.org/other")
    for note, reason in (
        (sign(TEXT, other), "not signed by a key of the log"),
        (sign(TEXT.replace(ORIGIN, other.key.name), SIGNER), "another log's key"),
        (sign("some other text\n", SIGNER), "no checkpoint"),
        (sign(f"{ORIGIN}\n03\n{'A' * 43}=\n", SIGNER), "no size"),
        (sign(f"{ORIGIN}\n3\nAAAA\n", SIGNER), "no SHA-256"),
        (sign(f"{TEXT}more\n", SIGNER), "three lines"),
    ):
        with pytest.raises(NotVerified, match=reason):
            KEYS.checkpoint(note)


def test_a_witness_signs_the_time_too():
    secret = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note, witness = cosign(sign(TEXT, SIGNER), secret, "witness.example/w1", 1_700_000_000)
    keys = Keys(logs=KEYS.logs, witnesses=(witness,))
    assert keys.checkpoint(note) == Checkpoint.parse(TEXT)
    assert cosigned_at(note.signatures[1]) == 1_700_000_000
    with pytest.raises(NotVerified, match=r"not signed by the witness witness\.example/w1"):
        keys.checkpoint(sign(TEXT, SIGNER))
    log, (_, line) = sign(TEXT, SIGNER).signatures[0], note.signatures
    for body in (bytes([1]) + line.body[1:], line.body[:-1], line.body[:8], line.body[:3]):
        forged = Signature(name=line.name, key_id=line.key_id, body=body)
        with pytest.raises(NotVerified, match="is not one over this text"):
            keys.checkpoint(Note(text=TEXT, signatures=(log, forged)))


def test_a_witness_may_sign_again():
    secret = Ed25519PrivateKey.from_private_bytes(bytes(32))
    once, _ = cosign(sign(TEXT, SIGNER), secret, "witness.example/w1", 1)
    again, witness = cosign(once, secret, "witness.example/w1", 2)
    assert [cosigned_at(line) for line in again.signatures[1:]] == [2]
    assert again.signers([witness]) == (witness,)


def test_notes_that_stand_one_after_the_other_are_told_apart():
    notes = small().notes
    assert list(split(join(notes))) == notes
    assert list(split("")) == []
    for text in ("\n", join(notes)[:-1], join(notes) + "\n", join(notes).replace("\n\n", "\n", 1)):
        with pytest.raises(NotVerified):
            list(split(text))


@pytest.mark.parametrize(
    "text",
    ["", "text", "text\n\n", "text\n\nno signature\n", "text\n\n\u2014 name\n", "text\n\n\u2014 name AAAA\n",
     "text\n\n\u2014 na+me AAAAAAAA\n", "text\n\n\u2014 name AAAAAAAB=\n", "te\rxt\n\n\u2014 name AAAAAAAA\n",
     "text\n\n" + "\u2014 name AAAAAAAA\n" * 65, "x" * 100_001 + "\n\n\u2014 name AAAAAAAA\n"],
)  # fmt: skip
def test_what_is_no_note_is_refused(text: str):
    with pytest.raises(NotVerified):
        Note.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000+AAAA", f"{SIGNER.key}".replace("65ea", "65eb"), f"{SIGNER.key}"[:-4],
     "na me+65eae478+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", f"{SIGNER.key}".replace("+AQ", "+Ag")],
)  # fmt: skip
def test_what_is_no_public_key_is_refused(text: str):
    with pytest.raises(NotVerified):
        PublicKey.parse(text)
