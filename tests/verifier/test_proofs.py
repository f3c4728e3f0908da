"""Proofs of one record: what they show, and that a forged one of any kind shows nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardrail.merkle import inclusion_proof, leaf_hash
from guardrail.proofs.signing import FileSigner, sign
from guardrail.records import encode
from guardrail.verifier.checkpoints import Checkpoint, heads_as_json
from guardrail.verifier.growing import Head
from guardrail.verifier.notes import Note, NotVerified
from guardrail.verifier.proofs import Proof
from tests.verifier.logs import KEYS, ORIGIN, SIGNER, Logs, small

GOLDEN = (Path(__file__).parent / "golden" / "record.tlog-proof").read_bytes().decode()


def test_a_proof_is_the_one_that_another_implementation_has_checked():
    """Golden: written by this code, both of its inclusion proofs checked once by Go's `tlog.CheckRecord`."""
    proof = small().proof(1, 4)
    assert str(proof) == GOLDEN
    assert Proof.parse(GOLDEN) == proof


def test_every_record_that_a_checkpoint_covers_can_be_proved():
    logs = small()
    checkpoint = Checkpoint.parse(logs.notes[-1].text)
    for log, bodies in logs.bodies.items():
        for sequence, body in enumerate(bodies):
            proved = Proof.parse(str(logs.proof(log, sequence))).verify(KEYS)
            assert (proved.log, proved.sequence) == (log, sequence)
            assert (proved.record, proved.checkpoint) == (json.loads(body), checkpoint)


def test_every_changed_byte_of_a_proof_is_refused():
    whole = GOLDEN.encode()
    passed = [
        (place, other)
        for place, byte in enumerate(whole)
        for other in {byte ^ 1, byte ^ 2, byte ^ 32, ord("A"), ord("\n"), ord(" ")} - {byte}
        if shows(whole[:place] + bytes([other]) + whole[place + 1 :])
    ]
    assert passed == []


def test_every_lost_doubled_or_added_byte_of_a_proof_is_refused():
    whole = GOLDEN.encode()
    for place in range(len(whole) + 1):
        assert not shows(whole[:place] + b"\n" + whole[place:])
        assert not shows(whole[:place] + b"A" + whole[place:])
        if place < len(whole):
            assert not shows(whole[:place])
            assert not shows(whole[:place] + whole[place + 1 :])
            assert not shows(whole[:place] + whole[place : place + 1] + whole[place:])


def shows(proof: bytes) -> bool:
    try:
        Proof.parse(proof.decode()).verify(KEYS)
    except (NotVerified, UnicodeDecodeError):
        return False
    return True


def _another_record(logs: Logs, proof: Proof) -> Proof:
    return replace(proof, record=logs.bodies[1][5])


def _an_invented_record(_: Logs, proof: Proof) -> Proof:
    fields = {**json.loads(proof.record), "run": "invented"}
    return replace(proof, record=encode(fields))


def _a_record_at_another_place(_: Logs, proof: Proof) -> Proof:
    return replace(proof, record=encode({**json.loads(proof.record), "sequence": 5}))


def _a_record_of_another_log(_: Logs, proof: Proof) -> Proof:
    return replace(proof, record=encode({**json.loads(proof.record), "log": 2}))


def _a_record_of_a_log_that_no_head_names(_: Logs, proof: Proof) -> Proof:
    return replace(proof, record=encode({**json.loads(proof.record), "log": 3}))


def _invented_heads(logs: Logs, proof: Proof) -> Proof:
    made = Logs()
    made.append(1, run="invented")
    heads = [Head(log=1, size=1, root=made.root(1))]
    record = encode({**json.loads(proof.heads), "heads": heads_as_json(heads)})
    return replace(proof, record=made.bodies[1][0], path=(), heads=record)


def _earlier_heads(logs: Logs, proof: Proof) -> Proof:
    return replace(proof, heads=logs.bodies[0][1])


def _an_earlier_checkpoint(logs: Logs, proof: Proof) -> Proof:
    return replace(proof, checkpoint=logs.notes[0])


def _another_index(_: Logs, proof: Proof) -> Proof:
    return replace(proof, index=proof.index - 1)


def _an_index_past_the_end(_: Logs, proof: Proof) -> Proof:
    return replace(proof, index=proof.index + 1)


def _a_shortened_path(_: Logs, proof: Proof) -> Proof:
    return replace(proof, path=proof.path[:-1])


def _a_lengthened_path(_: Logs, proof: Proof) -> Proof:
    return replace(proof, path=(*proof.path, bytes(32)))


def _a_path_in_another_order(_: Logs, proof: Proof) -> Proof:
    return replace(proof, path=proof.path[::-1])


def _hashes_of_another_size(_: Logs, proof: Proof) -> Proof:
    return replace(proof, path=(proof.path[0] + b"\0", *proof.path[1:]))


def _no_hashes(_: Logs, proof: Proof) -> Proof:
    return replace(proof, hashes=())


def _a_node_in_place_of_a_record(logs: Logs, proof: Proof) -> Proof:
    """An inner node of the tree, which a proof without the two prefixes would take for a leaf."""
    leaves = logs.leaves(1)
    return replace(proof, record=leaves[4] + leaves[5], path=proof.path[1:])


def _a_record_that_is_no_json(_: Logs, proof: Proof) -> Proof:
    return replace(proof, record=b"{")


def _a_note_that_another_key_signs(_: Logs, proof: Proof) -> Proof:
    return replace(proof, checkpoint=sign(proof.checkpoint.text, FileSigner.generate(ORIGIN)))


def _a_note_without_its_signature(_: Logs, proof: Proof) -> Proof:
    other = FileSigner.generate("example.org/other")
    return replace(proof, checkpoint=sign(proof.checkpoint.text, other))


def _heads_in_place_of_the_record(_: Logs, proof: Proof) -> Proof:
    return replace(proof, record=proof.heads)


def _a_record_of_log_0_under_other_heads(logs: Logs, proof: Proof) -> Proof:
    return replace(proof, record=logs.bodies[0][0], path=())


FORGERIES: list[Callable[[Logs, Proof], Proof]] = [
    _another_record, _an_invented_record, _a_record_at_another_place, _a_record_of_another_log,
    _a_record_of_a_log_that_no_head_names, _invented_heads, _earlier_heads, _an_earlier_checkpoint, _another_index,
    _an_index_past_the_end, _a_shortened_path, _a_lengthened_path, _a_path_in_another_order, _hashes_of_another_size,
    _no_hashes, _a_node_in_place_of_a_record, _a_record_that_is_no_json, _a_note_that_another_key_signs,
    _a_note_without_its_signature, _heads_in_place_of_the_record, _a_record_of_log_0_under_other_heads,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_proof_is_refused(forge: Callable[[Logs, Proof], Proof]):
    logs = small()
    proof = logs.proof(1, 4)
    proof.verify(KEYS)
    with pytest.raises(NotVerified):
        forge(logs, proof).verify(KEYS)


@pytest.mark.parametrize(
    "heads",
    [None, [], [{"id": 1}], "no list", [{"id": 1, "root": "00", "size": 1}], [{"id": 1, "root": 5, "size": 1}],
     [{"id": 1, "root": "AF" * 32, "size": 1}], [{"id": True, "root": "af" * 32, "size": 1}],
     [{"id": 1, "more": 1, "root": "af" * 32, "size": 1}]],
)  # fmt: skip
def test_heads_that_are_not_of_the_form_show_nothing_even_where_they_are_signed(heads: Any):
    logs = Logs()
    logs.append(1)
    logs.append(0, "checkpoint", heads=heads)
    logs.notes.append(sign(Checkpoint(origin=ORIGIN, size=1, root=logs.root(0)).text, SIGNER))
    with pytest.raises(NotVerified):
        logs.proof(1, 0).verify(KEYS)


def test_another_kind_of_record_in_log_0_names_no_heads():
    logs = Logs()
    logs.append(1)
    logs.append(0, "settled", heads=heads_as_json([Head(log=1, size=1, root=logs.root(1))]))
    logs.notes.append(sign(Checkpoint(origin=ORIGIN, size=1, root=logs.root(0)).text, SIGNER))
    with pytest.raises(NotVerified, match="not a record of heads"):
        logs.proof(1, 0).verify(KEYS)


def test_a_log_with_one_record_needs_no_path():
    logs = Logs()
    logs.append(1)
    logs.checkpoint()
    proof = logs.proof(1, 0)
    assert (proof.path, proof.hashes) == ((), ())
    assert Proof.parse(str(proof)).verify(KEYS).sequence == 0


def test_whoever_knows_the_format_alone_finds_the_heads_in_log_0():
    """Nothing but the lines of the file, as C2SP tlog-proof describes them."""
    logs = small()
    lines = str(logs.proof(1, 4)).split("\n")
    end = lines.index("")
    extra = json.loads(base64.b64decode(lines[1].removeprefix("extra ")))
    assert lines[2] == "index 2"
    assert [base64.b64decode(line) for line in lines[3:end]] == inclusion_proof(logs.leaves(0), 2)
    assert leaf_hash(extra["heads"].encode()) == logs.leaves(0)[2]
    assert "\n".join(lines[end + 1 :]) == str(logs.notes[-1])
    assert Note.parse("\n".join(lines[end + 1 :])).signers([SIGNER.key]) == (SIGNER.key,)
