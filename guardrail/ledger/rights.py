"""What a role of PostgreSQL may do that an application writes the ledger with: records it may add and read, no more.

The tables belong to another role, which makes them, erases, prunes and migrates. Honest programs cannot change a record
anyway, whoever they are: a trigger refuses it. Without these rights nobody can turn that off who has taken over the
application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
RIGHTS: Final[Mapping[str, str]] = {
    "records": "SELECT, INSERT",
    "sealed": "SELECT, INSERT",
    "logs": "SELECT, INSERT, UPDATE",
    "runs": "SELECT, INSERT, UPDATE",
    "calls": "SELECT, INSERT, UPDATE",
    "budgets": "SELECT, INSERT, UPDATE",
    "approvals": "SELECT, INSERT, UPDATE",
    "proposals": "SELECT, INSERT, UPDATE",
    "votes": "SELECT, INSERT",
    "remembered": "SELECT, INSERT, UPDATE",
    "grants": "SELECT, INSERT, UPDATE",
    "outbox": "SELECT, INSERT, UPDATE",
    "controls": "SELECT, INSERT, DELETE",
    "notes": "SELECT, INSERT, DELETE",
    "observations": "SELECT, INSERT, DELETE",
    "policies": "SELECT, INSERT",
    "tools": "SELECT, INSERT",
    "activations": "SELECT, INSERT",
    "checkpoints": "SELECT, INSERT, UPDATE",
    "pruned": "SELECT",
    "alembic_version": "SELECT",
}
"""Table → what guardrail does with it, without `erase` and `prune`."""


def granting_to(role: str) -> str:
    """SQL that gives a role what it needs, and takes from it what it had beside; run it as the tables' owner.

    Args:
        role: its name; it has to exist.

    Raises:
        ConfigError: this is no name that needs no quotes.
    """
    if not _NAME.fullmatch(role):
        raise ConfigError(f"{role!r} is not the name of a role", fix="use letters, digits and '_'")
    lines = [
        f"REVOKE ALL ON {', '.join(RIGHTS)} FROM {role}, PUBLIC",
        "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO " + role + "', current_schema()); END $$",
        *(f"GRANT {what} ON {table} TO {role}" for table, what in RIGHTS.items()),
        f"GRANT USAGE, SELECT ON SEQUENCE commits TO {role}",
        f"GRANT EXECUTE ON FUNCTION begin_month(bigint) TO {role}",
    ]
    return "".join(f"{line};\n" for line in lines)
