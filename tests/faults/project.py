"""A project in a folder: a configuration, one rule, and a guard that does not wait long for a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from guardrail.bundles import Bundle
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from tests.faults.load import KEY

RULE = """package guardrail.rules.paying

allow contains {"rule": "paying.pay", "message": "paying is fine"} if input.tool.name == "pay"
"""
BUNDLE = Bundle.of({"paying.rego": RULE})
FROM_FOLDER = '[policies]\npaths = ["policies"]\n'
WAIT = 0.3
"""Seconds that the guard waits for a database: a host that waits longer is denied later."""

_CONFIG = """
{policies}
[ledger]
path = "{place}"
key = "guardrail.key"

[agents.payer]
tools = ["pay"]

[tools.pay]
effect = "write"
"""


@contextmanager
def project(
    folder: Path,
    *,
    place: Place | None = None,
    policies: str = FROM_FOLDER,
    clock: Callable[[], datetime] | None = None,
) -> Iterator[tuple[Guardrail, Ledger]]:
    """A guard over a project, and its ledger.

    Args:
        folder: where everything is.
        place: the ledger's; left out: a file in the folder.
        policies: `[policies]`, and `[opa]`.
        clock: the guard's.
    """
    place = folder / "ledger.db" if place is None else place
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "paying.rego").write_text(RULE)
    (folder / "guardrail.toml").write_text(_CONFIG.format(place=place, policies=policies))
    key = folder / "guardrail.key"
    key.touch(0o600)
    key.write_text(bytes(32).hex())
    with (
        Ledger.open(place, key=KEY, wait=WAIT, clock=clock) as ledger,
        Guardrail.from_config(folder / "guardrail.toml", ledger=ledger) as guard,
    ):
        yield guard, ledger
