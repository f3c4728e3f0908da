"""The Merkle tree of RFC 6962: hashes, a tree that grows, and what shows that something is in it.

A leaf is SHA-256(0x00 ‖ entry), a node SHA-256(0x01 ‖ left ‖ right). A tree that grows keeps only its
frontier: the roots of the complete subtrees that its size is made of, largest first, one for every bit
that is set in the size. The verifiers follow RFC 9162 sections 2.1.3.2 and 2.1.4.2, which state them
as algorithms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
"""Size of a hash, in bytes."""
EMPTY_ROOT: Final = sha256().digest()
"""Root of a tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry of the log."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def push(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Append one leaf to a tree of `size` leaves, of which `frontier` is changed in place.

    Amortised, one node is hashed per leaf.
    """
    node = leaf
    while size & 1:
        node = node_hash(frontier.pop(), node)
        size >>= 1
    frontier.append(node)


def extend(frontier: list[bytes], size: int, leaves: Sequence[bytes]) -> None:
    """Append many leaves to a tree of `size` leaves, of which `frontier` is changed in place.

    The same as `push` for each of them, level by level, at half the price.
    """
    nodes, tail = list(leaves), list[bytes]()
    while nodes:
        if size & 1:
            nodes.insert(0, frontier.pop())
        if len(nodes) & 1:
            tail.append(nodes.pop())
        nodes = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(nodes[::2], nodes[1::2], strict=True)
        ]
        size >>= 1
    frontier.extend(reversed(tail))


def frontier_root(frontier: Sequence[bytes]) -> bytes:
    """Root of the tree that a frontier stands for."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for node in reversed(frontier[:-1]):
        root = node_hash(node, root)
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether the proof shows that `leaf` stands at `index` of the tree with this size and root.

    RFC 9162 section 2.1.3.2. Malformed proofs answer False, they do not raise.
    """
    if not 0 <= index < size or not _well_formed(leaf, root_hash, *proof):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and node == root_hash


def verify_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether the proof shows that the old tree is a prefix of the new one.

    RFC 9162 section 2.1.4.2. Malformed proofs answer False, they do not raise.
    """
    if not 0 < old_size <= new_size or not _well_formed(old_root, new_root, *proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    nodes: Iterator[bytes] = iter((old_root, *proof) if old_size & (old_size - 1) == 0 else proof)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = next(nodes, None)
    if first is None:
        return False
    old, new = first, first
    for sibling in nodes:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _well_formed(*hashes: bytes) -> bool:
    return all(len(item) == HASH_BYTES for item in hashes)
