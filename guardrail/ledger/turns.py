"""The turns of event loops, and what their tasks want written in each: committed together when it ends.

Whether other calls are about to begin shows only at the end of a turn, when every task that was ready has
run. A caller that is the only one should not wait for that: so the first write of a turn goes at once, as
long as turns bring one each.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

from guardrail.ledger.batches import Item


class Turn:
    """One turn of one loop.

    Attributes:
        items: what waits for its end.
        writes: how many writes it brought.
    """

    __slots__ = ("items", "writes")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.writes = 0


class Turns:
    """The turns that something was written in. Each loop comes here in its own thread.

    Args:
        commit: commits what was gathered in a turn, in the loop's thread.
    """

    def __init__(self, commit: Callable[[list[Item]], None]) -> None:
        self._commit = commit
        self._turns: dict[AbstractEventLoop, Turn] = {}
        self._is_crowded = False

    def goes_at_once(self, loop: AbstractEventLoop) -> bool:
        """Count a write of this turn; whether it is its first, and by what the last turn brought its only one."""
        turn = self._turn(loop)
        turn.writes += 1
        return turn.writes == 1 and not self._is_crowded

    def gather(self, loop: AbstractEventLoop, item: Item) -> None:
        """Commit this with the others when the turn ends."""
        self._turn(loop).items.append(item)

    def _turn(self, loop: AbstractEventLoop) -> Turn:
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = Turn()
            loop.call_soon(self._end, loop)
        return turn

    def _end(self, loop: AbstractEventLoop) -> None:
        turn = self._turns.pop(loop)
        self._is_crowded = turn.writes > 1
        if turn.items:
            self._commit(turn.items)
