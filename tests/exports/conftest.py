"""Histories that exports are made of, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.scene import everything
from tests.servers import somewhere


@pytest.fixture(name="recorded", scope="session", params=["sqlite", "postgres"])
def _recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a history in which everything was decided that can be; not to be changed."""
    if request.param == "sqlite":
        yield request.getfixturevalue("original")
        return
    folder = tmp_path_factory.mktemp("history")
    with somewhere("postgres") as address:
        (folder / "address").write_text(str(address))
        everything(folder)
        yield folder
