"""A clock that jumps: forward, which is believed, and back, where the ledger's time does not follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardrail.clock import Clock
from tests.faults.fault import GOES_ON, Fault, Scene
from tests.faults.project import project
from tests.servers import server_or_skip, template

NONE = timedelta()
YEARS = timedelta(days=20 * 365)


def _jumping(
    before: timedelta, to: timedelta, then: timedelta
) -> Callable[[Path], AbstractContextManager[Scene]]:
    """The guard's clock is so far ahead of this computer's at first, is set, and is set again."""

    @contextmanager
    def scene(folder: Path) -> Iterator[Scene]:
        with _clocked(folder, None, before, to, then) as found:
            yield found

    return scene


def _jumping_on_postgres(
    before: timedelta, to: timedelta, then: timedelta
) -> Callable[[Path], AbstractContextManager[Scene]]:
    @contextmanager
    def scene(folder: Path) -> Iterator[Scene]:
        with (
            server_or_skip().database(template()) as address,
            _clocked(folder, address, before, to, then) as found,
        ):
            yield found

    return scene


@contextmanager
def _clocked(
    folder: Path, place: str | None, before: timedelta, to: timedelta, then: timedelta
) -> Iterator[Scene]:
    ahead = [before]
    clock = Clock(lambda: datetime.now(UTC) + ahead[0])

    def set_to(moment: timedelta) -> Callable[[], None]:
        return lambda: ahead.__setitem__(0, moment)

    with project(folder, place=place, clock=clock) as (guard, ledger):
        yield Scene(guard=guard, place=ledger.path, strike=set_to(to), mend=set_to(then))


def _fault(name: str, scene: Callable[[Path], AbstractContextManager[Scene]], says: str) -> Fault:
    return Fault(
        name=name,
        part="clock",
        scene=scene,
        answers=GOES_ON,
        about="clock",
        state="error",
        says=says,
        exit_code=1,
    )


HOUR, MONTH = timedelta(hours=1), timedelta(days=31)
FAULTS = [
    _fault("goes back an hour", _jumping(HOUR, NONE, NONE), "ahead of this computer's clock"),
    _fault("goes back a month, over its beginning", _jumping(MONTH, NONE, NONE), "31 days ahead"),
    _fault("goes back to before the first record", _jumping(YEARS, NONE, NONE), "7,300 days ahead"),
    _fault("goes forward an hour, and back", _jumping(NONE, HOUR, NONE), "ahead of this computer's clock"),
    _fault("goes forward a month, over its end, and back", _jumping(NONE, MONTH, NONE), "31 days ahead"),
    _fault(
        "goes back an hour, on PostgreSQL",
        _jumping_on_postgres(HOUR, NONE, NONE),
        "ahead of this computer's clock",
    ),
    _fault(
        "goes forward a month and back, on PostgreSQL",
        _jumping_on_postgres(NONE, MONTH, NONE),
        "31 days ahead",
    ),
]
