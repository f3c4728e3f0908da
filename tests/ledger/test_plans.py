"""How SQLite finds rows: a write reads what belongs to its call, however much a ledger holds."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import guardrail.ledger
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver

_SMALL = {"logs", "controls", "checkpoints", "policies", "activations", "pruned", "tools", "CONSTANT"}
"""What is scanned here does not grow with the calls."""
_READS_ALL = {
    "agreement", "bodies", "carried", "emissions", "erasing", "exporting", "holding", "pruning", "queries",
    "remembered", "verify",
}  # fmt: skip
"""Modules that list, verify, erase or prune: they read everything, and no call waits for them."""


_POSTGRES = {"partitions", "postgres", "rights", "session"}
"""Modules whose SQL SQLite never sees."""


def statements(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if re.match(r"(SELECT|UPDATE|DELETE|WITH)\b", value):
            yield value
    elif isinstance(value, Mapping):
        yield from statements(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from statements(item)


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(guardrail.ledger.__path__):
        if not found.ispkg and found.name not in _READS_ALL | _POSTGRES:
            yield importlib.import_module(f"guardrail.ledger.{found.name}")


def reads_at_large(plan: str) -> bool:
    """Whether a step of a plan reads a table, or a stretch of it that no value bounds."""
    words = plan.split()
    if words[1] in _SMALL:
        return False
    return words[0] == "SCAN" or (words[0] == "SEARCH" and re.search(r"[^<>]=", plan) is None)


def test_no_statement_of_a_write_reads_a_table_at_large(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "ledger.db").close()
    with closing(driver.connect(str(tmp_path / "ledger.db"))) as connection:
        found = {
            (module.__name__.rpartition(".")[2], name, plan)
            for module in modules()
            for name, value in vars(module).items()
            for statement in statements(value)
            for *_, plan in connection.execute(
                f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?")
            )
            if reads_at_large(plan)
        }
    assert found == {
        # one row, by the greatest number
        ("keys", "_USED", "SCAN sealed"),
        # what nobody has been told yet, and what nobody has answered in time; the first two once a scrape
        ("measured", "_UNTOLD", "SCAN outbox USING COVERING INDEX outbox_waiting"),
        ("measured", "_PENDING", "SEARCH approvals USING COVERING INDEX approvals_pending (expires_at>?)"),
        ("outbox", "_WAITING", "SCAN outbox USING INDEX outbox_waiting"),
        ("votes", "_DUE", "SEARCH approvals USING INDEX approvals_pending (expires_at<?)"),
        # the beginning of a reference that a person has typed
        ("controls", "_BY_PREFIX", "SEARCH calls USING PRIMARY KEY (key>? AND key<?)"),
    }
