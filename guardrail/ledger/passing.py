"""A log while the verifier lets its records go by."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.ledger.findings import Fault
from guardrail.ledger.schema import PLACES
from guardrail.merkle import HASH_BYTES, frontier_root, pack, unpack
from guardrail.verifier.growing import GrowingTree, Head
from guardrail.verifier.notes import NotVerified


class PassingLog:
    """One log: what its row says, and the tree of the records that were seen.

    Args:
        number: of the log.
        month: of the log, as 202601.
        size: how many records it has, as its row says, and
        frontier: the tree that the row stands for.
    """

    def __init__(self, number: int, month: int, size: int, frontier: bytes) -> None:
        self.number = number
        self.month = month
        self.size = size
        self.frontier = frontier
        self.fault: Fault | None = None
        self.tree = GrowingTree(number)

    @property
    def start(self) -> int:
        """The number of its first record."""
        return self.number << PLACES

    @property
    def seen(self) -> int:
        """How many of its records went by."""
        return self.tree.size

    def expect(self, heads: Sequence[Head]) -> None:
        """Compare the tree with these heads, in their order, as it grows."""
        self.tree = GrowingTree(self.number, heads)

    def grow(self, leaves: Sequence[bytes]) -> bool:
        """Whether the tree with these leaves is the one that was signed, as far as it was."""
        try:
            self.tree.add(leaves)
        except NotVerified as error:
            self.fault = self.fault or Fault.of(error)
        return self.fault is None

    def blame(self, sequence: int | None, what: str) -> None:
        """Keep the first fault."""
        self.fault = self.fault or Fault(log=self.number, sequence=sequence, what=what)

    def stands_as(self, heads: Sequence[Head], pruned: Head) -> None:
        """Its records were pruned: see that its row, and what was signed of it since, stay as it stood then."""
        if (self.size, frontier_root(unpack(self.frontier))) != (pruned.size, pruned.root):
            self.blame(None, "its row is not as it was pruned")
        elif heads[-1] != pruned:
            self.blame(None, "it was signed otherwise than it was pruned")

    def end(self) -> None:
        """All of it went by: compare the tree with the one that its row stands for, and with what was signed."""
        if self.fault is not None:
            return
        if self.seen < self.size:
            self.blame(self.seen, f"the end of the log is missing: it holds {self.size} records")
        elif self.seen > self.size:
            self.blame(self.size, f"it stands after the end of the log, which holds {self.size} records")
        elif pack(self.tree.nodes) != self.frontier:
            self.blame(*self._differing())
        try:
            self.tree.end()
        except NotVerified as error:
            self.fault = self.fault or Fault.of(error)

    def _differing(self) -> tuple[int | None, str]:
        """Which stretch of the log is not the one whose hash its row holds."""
        first = 0
        for index, node in enumerate(self.tree.nodes):
            width = _width(self.size, index)
            if self.frontier[index * HASH_BYTES : (index + 1) * HASH_BYTES] != node:
                last = first + width - 1
                return first, f"records {first} to {last} are not those that the log's tree was made of"
            first += width
        return None, "the log's row holds more hashes than its size has"


def _width(size: int, index: int) -> int:
    """Leaves under the subtree at this place of the frontier."""
    bits = [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
    return 1 << bits[index]
