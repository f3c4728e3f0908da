"""The sink: the last place before a user, which tells what was released and nothing else.

Whoever writes to users (a web socket, a mail, a terminal) does so through a sink. It knows what was released from the
ledger, not from whoever calls it, so code that forgot to ask is found out; and it counts what it tells and refuses, so
that how much of what users read was reviewed is a measured number (`guardrail outputs`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from guardrail.canonical import compact
from guardrail.errors import ConfigError, InvalidArguments, Unreviewed
from guardrail.ledger.emissions import Emission
from guardrail.runs import current_run

if TYPE_CHECKING:
    from guardrail.guard import Guardrail


class Sink:
    """Tells users what was released for them.

    Args:
        guard: over whose ledger; in mode `observe` nothing is refused, and all is counted.
        write: what tells them: takes the content, returns what it likes, an awaitable too.
        once: each release is told once; again is refused.
    """

    def __init__(self, guard: Guardrail, write: Callable[[Any], Any], *, once: bool = False) -> None:
        self._guard = guard
        self._write = write
        self._once = once

    def tell(self, content: Any, *, run: str | None = None) -> Any:
        """Tell a user what `Guardrail.emit` has returned.

        It is written down before it is told: told twice after a crash, with `once`, it is refused.

        Args:
            content: a JSON value, exactly as it was released.
            run: in which run it was released; None = the one that this code is in.

        Returns:
            What `write` returns.

        Raises:
            Unreviewed: nobody has released this, or it was told already and is to be told once.
            ConfigError: there is no run.
            LedgerUnavailable: it cannot be written down, so nobody is told.
        """
        try:
            body = compact(content)
        except InvalidArguments as error:
            raise Unreviewed(f"this was not released: it has no JSON form: {error.message}") from error
        enforced = self._guard.mode != "observe"
        given = self._guard.ledger.emissions.tell(_named(run), body, once=self._once, enforced=enforced)
        if given != "released" and enforced:
            raise Unreviewed(_WHY[given], fix=_FIX)
        return self._write(content)

    async def tell_async(self, content: Any, *, run: str | None = None) -> Any:
        """The same, where `write` is awaited; see `tell`."""
        told = self.tell(content, run=run)
        return await cast("Awaitable[Any]", told) if isinstance(told, Awaitable) else told


_WHY: Final[Mapping[Emission, str]] = {
    "unreviewed": "nobody has released this in this run: the user was told nothing",
    "again": "the user was told this already, and is told once",
}
_FIX: Final = "hand the answer to guard.emit(…), and what it returns to the sink, unchanged"


def _named(run: str | None) -> str:
    if run is not None:
        return run
    around = current_run()
    if around is None:
        raise ConfigError(
            "nobody is told anything outside of a run", fix="open one with guard.run(…), or name it"
        )
    return around.id
