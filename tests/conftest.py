"""Parts that most tests need: a real ledger in a folder of its own, and a guard over it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.testing import ScriptedPolicy


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        yield ledger


@pytest.fixture(name="guard_that")
def _guard_that(ledger: Ledger) -> Callable[..., Guardrail]:
    """A guard whose policy says what the first argument says: an effect, a decision, or a function."""

    def make(script: Any = "allow", **settings: Any) -> Guardrail:
        return Guardrail(policy=ScriptedPolicy(script), ledger=ledger, **settings)

    return make
