"""What the record of a prune keeps of the records that go: what the tables, which stay, are still compared with.

Counts, and what is about things that outlast a month: switches, labels of runs that went on, definitions, and requests
whose own record stays, where clocks of two machines did not agree about the month. Of what has ended nothing is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlalchemy import bindparam, select

from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.ledger.told import Told

_ASKED_IN: Final = text(select(schema.approvals.c.record).where(schema.approvals.c.id == bindparam("id")))
_REMEMBERED_IN: Final = text(
    select(schema.remembered.c.record).where(schema.remembered.c.id == bindparam("id"))
)
_LOGS_OF: Final = text(
    select(schema.records.c.log).where(schema.records.c.run == bindparam("run")).distinct()
)


def carried(
    told: Told, gone: Counter[str | None], connection: Connection, logs: AbstractSet[int]
) -> dict[str, Any]:
    """What is kept, as it stands in a record.

    Args:
        told: all that the records of the logs say.
        gone: run → how many of their details are not there any more.
        connection: reads the ledger while they still stand in it.
        logs: those that go.
    """

    def stays(statement: str, name: str) -> bool:
        row = connection.execute(statement, (name,)).fetchone()
        return row is not None and row[0] >> PLACES not in logs

    named = told.approvals.keys() | {approval for approval, _, _ in told.votes}
    asked = {approval for approval in named if stays(_ASKED_IN, approval)}
    went_on = {
        run
        for run in told.labels
        if {log for (log,) in connection.execute(_LOGS_OF, (run,)).fetchall()} - logs
    }
    erased = Counter(told.erased)
    erased.subtract(gone)
    return {
        "moves": told.moves,
        "runs": told.runs,
        "halts": [[scope, count] for scope, count in sorted(told.halts.items()) if count],
        "erased": [[run, count] for run, count in sorted(erased.items(), key=str) if count],
        "labels": [[run, sorted(told.labels[run])] for run in sorted(went_on)],
        "approvals": [[name, told.approvals[name]] for name in sorted(asked & told.approvals.keys())],
        "votes": [list(vote) for vote in sorted(told.votes) if vote[0] in asked],
        "forgotten": sorted(scope for scope in told.forgotten if stays(_REMEMBERED_IN, scope)),
        "tools": sorted(told.tools),
        "policies": [list(policy) for policy in sorted(told.policies.items())],
        "activations": [list(activation) for activation in sorted(told.activations, key=lambda one: one[:2])],
    }
