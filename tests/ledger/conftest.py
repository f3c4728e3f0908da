from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from tests.servers import server_or_skip, template


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a ledger is, or is not yet; whatever asks for it runs on both databases, unless it says `SQLITE`."""
    if request.param == "sqlite":
        yield tmp_path / "ledger.db"
        return
    request.getfixturevalue("monkeypatch").chdir(tmp_path)  # where the key is
    with server_or_skip().database(template()) as address:
        (tmp_path / "address").write_text(address)
        yield address


@pytest.fixture
def ledger(path: Place, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock) as opened:
        yield opened
