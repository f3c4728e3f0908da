"""The tree of RFC 6962, against its published vectors and against another implementation."""

from __future__ import annotations

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    extend,
    frontier_root,
    inclusion_proof,
    leaf_hash,
    node_hash,
    pack,
    push,
    root,
    unpack,
    verify_consistency,
    verify_inclusion,
)  # fmt: skip

# The eight leaves that Certificate Transparency implementations test with, and the roots of their trees.
ENTRIES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
TREES = st.lists(st.binary(max_size=40), min_size=1, max_size=130)


def test_the_published_vectors() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root([]) == EMPTY_ROOT
    assert [root(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS


def _other(entries: list[bytes]) -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    return tree


@given(TREES)
def test_roots_agree_with_another_implementation(entries: list[bytes]) -> None:
    assert root([leaf_hash(entry) for entry in entries]) == _other(entries).get_root()


@given(TREES, st.data())
def test_inclusion_proofs_agree_with_another_implementation(
    entries: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    leaves = [leaf_hash(entry) for entry in entries]
    proof = inclusion_proof(leaves, index)
    theirs = _other(entries).prove_inclusion(index + 1)
    assert [leaves[index], *proof] == list(theirs.path)
    pymerkle.verify_inclusion(leaves[index], root(leaves), theirs)
    assert verify_inclusion(leaves[index], index, len(leaves), proof, root(leaves))


def _subproof(size: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF, word for word from RFC 6962 section 2.1.2."""
    if size == len(leaves):
        return [] if whole else [root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if size <= split:
        return [*_subproof(size, leaves[:split], whole), root(leaves[split:])]
    return [*_subproof(size - split, leaves[split:], False), root(leaves[:split])]


@given(TREES, st.data())
def test_consistency_proofs_agree_with_the_rfc_and_another_implementation(
    entries: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(entries)))
    leaves = [leaf_hash(entry) for entry in entries]
    old, new = root(leaves[:size]), root(leaves)
    proof = consistency_proof(leaves, size)
    assert proof == _subproof(size, leaves, True)
    assert verify_consistency(size, len(leaves), proof, old, new)
    theirs = _other(entries)
    pymerkle.verify_consistency(theirs.get_root(size), theirs.get_root(), theirs.prove_consistency(size))
    assert (theirs.get_root(size), theirs.get_root()) == (old, new)


@given(TREES, st.data())
def test_a_changed_proof_proves_nothing(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = inclusion_proof(leaves, index)
    whole = root(leaves)
    assert not verify_inclusion(leaf_hash(b"another entry of the log"), index, len(leaves), proof, whole)
    assert not verify_inclusion(leaves[index], index, len(leaves), [*proof, whole], whole)
    assert not verify_inclusion(leaves[index], len(leaves), len(leaves), proof, whole)
    if proof:
        place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        assert not verify_inclusion(leaves[index], index, len(leaves), _flipped(proof, place, bit), whole)
        assert not verify_inclusion(leaves[index], index, len(leaves), proof[:-1], whole)
        assert not verify_inclusion(leaves[index], index, len(leaves), [proof[0][:31], *proof[1:]], whole)


@given(TREES, st.data())
def test_a_changed_history_is_not_consistent(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    size = data.draw(st.integers(1, len(leaves)))
    proof = consistency_proof(leaves, size)
    old, new = root(leaves[:size]), root(leaves)
    forged = root([leaf_hash(b"another entry of the log"), *leaves[1:size]])
    assert not verify_consistency(size, len(leaves), proof, forged, new)
    assert not verify_consistency(size, len(leaves), proof, old, forged if size == len(leaves) else old)
    assert not verify_consistency(size, len(leaves), [*proof, old], old, new)
    for place in range(len(proof)):
        assert not verify_consistency(size, len(leaves), _flipped(proof, place, 7), old, new)
    if proof:
        assert not verify_consistency(size, len(leaves), proof[:-1], old, new)


def _flipped(proof: list[bytes], place: int, bit: int) -> list[bytes]:
    number = int.from_bytes(proof[place], "big") ^ (1 << bit)
    return [*proof[:place], number.to_bytes(32, "big"), *proof[place + 1 :]]


@given(TREES)
def test_a_frontier_that_was_stored_grows_on(entries: list[bytes]) -> None:
    frontier: list[bytes] = []
    for size, entry in enumerate(entries):
        push(frontier, size, leaf_hash(entry))
        assert len(frontier) == (size + 1).bit_count()
        frontier = unpack(pack(frontier))
    assert frontier_root(frontier) == root([leaf_hash(entry) for entry in entries])


@given(TREES, st.lists(st.integers(0, 70)))
def test_leaves_may_be_appended_in_any_portions(entries: list[bytes], portions: list[int]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    frontier: list[bytes] = []
    size = 0
    for portion in [*portions, len(leaves)]:
        extend(frontier, size, leaves[size : size + portion])
        size = min(size + portion, len(leaves))
    one_by_one: list[bytes] = []
    for index, leaf in enumerate(leaves):
        push(one_by_one, index, leaf)
    assert frontier == one_by_one


def test_impossible_proofs_are_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 8 in a tree of 8"):
        inclusion_proof(LEAVES, 8)
    for size in (0, 9):
        with pytest.raises(ValueError, match="no earlier state"):
            consistency_proof(LEAVES, size)
    with pytest.raises(ValueError, match="32-byte hashes"):
        unpack(b"short")


def test_leaves_and_nodes_cannot_be_taken_for_each_other() -> None:
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
    assert not verify_inclusion(root(LEAVES), 0, 1, [], leaf_hash(root(LEAVES)))
    assert verify_consistency(8, 8, [], root(LEAVES), root(LEAVES))
    assert not verify_consistency(0, 8, [], EMPTY_ROOT, root(LEAVES))
    assert not verify_consistency(9, 8, [], root(LEAVES), root(LEAVES))
