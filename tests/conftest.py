"""Parts that most tests need: a real ledger in a folder of its own, and a guard over it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.testing import ScriptedPolicy
from tests.replay.scene import everything
from tests.servers import close_server


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        yield ledger


@pytest.fixture(name="original", scope="session")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a history in which everything was decided that can be; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("history")
    everything(folder)
    return folder


@pytest.fixture(name="guard_that")
def _guard_that(ledger: Ledger) -> Callable[..., Guardrail]:
    """A guard whose policy says what the first argument says: an effect, a decision, or a function."""

    def make(script: Any = "allow", **settings: Any) -> Guardrail:
        return Guardrail(policy=ScriptedPolicy(script), ledger=ledger, **settings)

    return make


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    """What was started for the tests of this process ends with them."""
    yield
    close_server()
