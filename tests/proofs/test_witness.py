"""A witness, over real HTTP: it signs what is a later state of what it has signed, and its refusals are understood."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guardrail.errors import AnchorUnavailable, VerificationFailed
from guardrail.proofs.signing import FileSigner
from guardrail.proofs.testing import WitnessStandIn
from guardrail.proofs.witness import SIZE_TYPE, Witness
from guardrail.verifier.checkpoints import Keys
from guardrail.verifier.notes import Note
from tests.verifier.logs import KEYS, ORIGIN, SIGNER, Logs, small


@pytest.fixture(name="stand_in")
def _stand_in() -> Iterator[WitnessStandIn]:
    with WitnessStandIn(SIGNER.key) as stand_in:
        yield stand_in


@pytest.fixture(name="witness")
def _witness(stand_in: WitnessStandIn) -> Witness:
    return Witness(stand_in.url, stand_in.key)


def add(witness: Witness, logs: Logs) -> Note:
    return witness.add(logs.notes[-1], lambda: logs.leaves(0))


def grown(times: int) -> Iterator[Logs]:
    logs = Logs()
    for _ in range(times):
        logs.append(1)
        logs.checkpoint()
        yield logs


def test_it_signs_each_checkpoint_after_the_last(stand_in: WitnessStandIn, witness: Witness):
    keys = Keys(logs=KEYS.logs, witnesses=(stand_in.key,))
    for logs in grown(5):
        note = add(witness, logs)
        assert keys.checkpoint(note).size == len(logs.notes)
        assert note.text == logs.notes[-1].text
    assert stand_in.seen == {ORIGIN: (5, logs.root(0))}
    assert stand_in.asked == [0, 0, 1, 0, 2, 0, 3, 0, 4]


def test_it_signs_one_again(stand_in: WitnessStandIn, witness: Witness):
    logs = small()
    add(witness, logs)
    assert len(add(witness, logs).signatures) == 2
    assert stand_in.asked == [0, 0, 3]


def test_it_says_whether_a_checkpoint_is_its_last(witness: Witness):
    logs = small()
    assert witness.held(None) == ()
    assert witness.held(logs.notes[1]) == ()  # it has signed none yet
    add(witness, logs)
    (note,) = witness.held(logs.notes[2])
    assert note.text == logs.notes[2].text


def test_a_log_that_was_cut_back_is_found(witness: Witness):
    logs = small()
    add(witness, logs)
    message = "has signed checkpoint 3, and the last one here is 2"
    with pytest.raises(VerificationFailed, match=message):
        witness.held(logs.notes[1])
    with pytest.raises(VerificationFailed, match=message):
        witness.add(logs.notes[1], lambda: logs.leaves(0)[:2])


def test_a_history_that_was_written_anew_is_found(witness: Witness):
    add(witness, small())
    (*_, other) = grown(3)
    with pytest.raises(VerificationFailed, match="has signed another checkpoint 3 than the one here"):
        add(witness, other)
    with pytest.raises(VerificationFailed, match="has signed another checkpoint 3 than the one here"):
        witness.held(other.notes[-1])
    (*_, longer) = grown(4)
    with pytest.raises(VerificationFailed, match=r"no later state of what it has signed \(422\)"):
        add(witness, longer)


def test_a_witness_that_does_not_know_the_log_is_unavailable(stand_in: WitnessStandIn):
    rival = FileSigner.generate(ORIGIN)
    for known, told in (((), "answered with 404"), ((rival.key,), "answered with 403")):
        with WitnessStandIn(*known) as other, pytest.raises(AnchorUnavailable, match=told):
            add(Witness(other.url, other.key), small())
    with WitnessStandIn() as other, pytest.raises(AnchorUnavailable, match="signed with another key"):
        add(Witness(stand_in.url, other.key), small())


def test_a_witness_that_is_down_is_unavailable(stand_in: WitnessStandIn):
    with WitnessStandIn(SIGNER.key) as gone:
        url = gone.url
    with pytest.raises(AnchorUnavailable, match="could not be asked"):
        add(Witness(url, stand_in.key), small())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, "text/plain", "later"), "answered with 500"),
        ((200, "text/plain", ""), "did not sign"),
        ((200, "text/plain", "\u2014 witness.example/stand-in AAAAAAAA\n"), "signed with another key"),
        ((200, "text/plain", "x" * 70_000), "too long"),
        ((409, SIZE_TYPE, "many\n"), "did not say what it has signed"),
        ((409, SIZE_TYPE, "1\n"), "told of another checkpoint meanwhile"),
        ((409, SIZE_TYPE, "0\n"), "told of another checkpoint meanwhile"),
    ],
)
def test_an_answer_that_is_none_is_told(
    answer: tuple[int, str, str], message: str, stand_in: WitnessStandIn, witness: Witness
):
    stand_in.answer = answer
    with pytest.raises(AnchorUnavailable, match=message):
        add(witness, small())


@pytest.mark.parametrize(
    ("old", "proof", "status"),
    [("old 4", "", 400), ("old -1", "", 400), ("new 0", "", 400), ("old 0", "AAAA\n", 422), ("old 2", "", 409),
     ("old 0", "no base 64\n", 400)],
)  # fmt: skip
def test_the_stand_in_refuses_what_a_witness_refuses(
    old: str, proof: str, status: int, stand_in: WitnessStandIn
):
    assert stand_in.add_checkpoint(f"{old}\n{proof}\n{small().notes[-1]}")[0] == status
    assert stand_in.seen == {}
