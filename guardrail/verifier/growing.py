"""A tree that grows record by record, and is compared with every head of it that somebody has kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .notes import NotVerified
from .trees import extend, frontier_root, push


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a log stood at some time.

    Attributes:
        log: number of the log.
        size: how many records it held.
        root: of its tree.
    """

    log: int
    size: int
    root: bytes


class GrowingTree:
    """The tree of one log.

    Args:
        log: number of the log.
        heads: how it stood, by size.
        size: how many records it holds already, and
        nodes: the frontier of those.

    Attributes:
        nodes: the frontier.
        size: how many records it holds.
    """

    def __init__(
        self, log: int, heads: Iterable[Head] = (), *, size: int = 0, nodes: Sequence[bytes] = ()
    ) -> None:
        self.nodes = list(nodes)
        self.size = size
        self._log = log
        self._agreed = size  # up to here it is as somebody has kept it
        self._heads = iter(heads)
        self._next = next(self._heads, None)

    @property
    def is_reached(self) -> bool:
        """Whether every head was compared."""
        return self._next is None

    @property
    def root(self) -> bytes:
        """The root now."""
        return frontier_root(self.nodes)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Append leaf hashes.

        Raises:
            NotVerified: the tree is not the one of which a head was kept.
        """
        self._compare()
        done = 0
        while done < len(leaves):
            end = len(leaves) if self._next is None else min(len(leaves), done + self._next.size - self.size)
            part = leaves[done:end]
            if len(part) == 1:
                push(self.nodes, self.size, part[0])
            else:
                extend(self.nodes, self.size, part)
            self.size += len(part)
            done = end
            self._compare()

    def end(self) -> None:
        """There are no further leaves.

        Raises:
            NotVerified: there were more when a head was kept.
        """
        self._compare()
        if self._next is not None:
            raise NotVerified(
                f"the end of the log is missing: {self._next.size} records were signed",
                log=self._log, sequence=self.size,
            )  # fmt: skip

    def _compare(self) -> None:
        """Compare the tree with every head of its size."""
        while self._next is not None and self._next.size <= self.size:
            if self._next.size < self.size:
                raise NotVerified(
                    f"it was signed with {self._next.size} records after it had more", log=self._log
                )
            if self.root != self._next.root:
                if self._agreed == self.size:
                    raise NotVerified(f"there are two histories of {self.size} records", log=self._log)
                last = self.size - 1
                raise NotVerified(
                    "it is not the one that was signed" if self._agreed == last else
                    f"it, or one of those up to {last}, is not the one that was signed",
                    log=self._log, sequence=self._agreed,
                )  # fmt: skip
            self._agreed = self.size
            self._next = next(self._heads, None)
