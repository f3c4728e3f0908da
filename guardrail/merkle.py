"""The Merkle tree of RFC 6962 as its owner sees it: the frontier as stored, and proofs made of all the leaves.

Proofs are the audit paths of RFC 6962 section 2.1. What hashes, grows and verifies is the verifier's
(`guardrail.verifier.trees`), so that writer and verifier cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.verifier.trees import (
    EMPTY_ROOT,
    HASH_BYTES,
    extend,
    frontier_root,
    leaf_hash,
    node_hash,
    push,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "consistency_proof",
    "extend",
    "frontier_root",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "pack",
    "push",
    "root",
    "unpack",
    "verify_consistency",
    "verify_inclusion",
]


def pack(frontier: Sequence[bytes]) -> bytes:
    """The frontier as it is stored: the hashes, one after the other."""
    return b"".join(frontier)


def unpack(body: bytes) -> list[bytes]:
    """The stored frontier again.

    Raises:
        ValueError: the length is not a whole number of hashes.
    """
    if len(body) % HASH_BYTES:
        raise ValueError(
            f"a frontier is made of {HASH_BYTES}-byte hashes, this one is {len(body)} bytes long"
        )
    return [body[start : start + HASH_BYTES] for start in range(0, len(body), HASH_BYTES)]


def root(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes (MTH of RFC 6962)."""
    frontier: list[bytes] = []
    extend(frontier, 0, leaves)
    return frontier_root(frontier)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path that shows that the leaf at `index` is in the tree over `leaves` (PATH of RFC 6962).

    Args:
        leaves: the leaf hashes of the whole tree.
        index: which leaf, from 0.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root(leaves[middle:high]))
            high = middle
        else:
            path.append(root(leaves[low:middle]))
            low = middle
    return path[::-1]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The nodes that show that the first `size` leaves are a prefix of the tree (PROOF of RFC 6962).

    Args:
        leaves: the leaf hashes of the newer, larger tree.
        size: number of leaves of the older tree, at least 1.

    Raises:
        ValueError: the older tree is empty or larger than the newer one.
    """
    if not 0 < size <= len(leaves):
        raise ValueError(f"a tree of {size} is no earlier state of a tree of {len(leaves)}")
    path: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while size < high:
        middle = low + _split(high - low)
        if size <= middle:
            path.append(root(leaves[middle:high]))
            high = middle
        else:
            path.append(root(leaves[low:middle]))
            low, whole = middle, False
    if not whole:
        path.append(root(leaves[low:high]))
    return path[::-1]


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
