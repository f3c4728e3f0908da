"""What stops a call that the policies let pass: a halt switch, or a budget that does not hold it.

The admission asks inside of its transaction, and that counts. Whoever only asks takes nothing: `Stops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import bindparam, select

from guardrail.budgets import Reservation
from guardrail.calls import Call
from guardrail.decisions import Reason
from guardrail.ledger import schema
from guardrail.ledger.connection import Database
from guardrail.ledger.rehearsing import rehearse
from guardrail.ledger.statements import text

_HALTS: Final = text(select(schema.controls.c.scope, schema.controls.c.reason))
_USED: Final = text(select(schema.budgets.c.used).where(schema.budgets.c.scope == bindparam("scope")))


def halted(call: Call, halts: Mapping[str, str]) -> Reason | None:
    """Why a call may not run: everything is halted, or its run, its tool, or an agent of its chain.

    Args:
        call: the call.
        halts: the switches that are on: scope → reason.
    """
    if not halts:
        return None
    agents = (f"agent:{name}" for name in call.agent.chain)
    for scope in ("all", f"run:{call.run}", f"tool:{call.tool.title}", *agents):
        if scope in halts:
            return Reason(
                rule="guardrail.halted",
                message=f"{scope} is halted: {halts[scope] or 'no reason was given'}",
                fix="wait until the halt is lifted; a person does that with 'guardrail unhalt'",
                code="halted",
            )
    return None


def over_budget(reservations: Sequence[Reservation], used: Callable[[str], int]) -> tuple[Reason, ...]:
    """A reason for every budget that does not hold what a call wants of it.

    Args:
        reservations: what it wants.
        used: how much of a scope is taken.
    """
    wanted: dict[str, int] = {}
    reasons: list[Reason] = []
    for item in reservations:
        taken = used(item.scope)
        wanted[item.scope] = wanted.get(item.scope, 0) + item.amount
        if taken + wanted[item.scope] > item.limit:
            reasons.append(
                Reason(
                    rule="guardrail.budget",
                    message=f"the budget '{item.name}' has {taken:,} of {item.limit:,} {item.unit} used; "
                    f"this call needs {item.amount:,}",
                    fix="do without this call, or ask the operator to raise the budget",
                    code="budget",
                )
            )
    return tuple(reasons)


class Stops:
    """What would stop a call now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def about(self, call: Call, reservations: Sequence[Reservation]) -> tuple[Reason, ...]:
        """Why the admission would stop a call at this moment; empty = nothing would. Later it may be otherwise.

        Args:
            call: the call.
            reservations: what it would take from budgets.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        with self._database.reading() as connection:

            def used(scope: str) -> int:
                found = connection.execute(_USED, (scope,)).fetchone()
                return 0 if found is None else int(found[0])

            reason = halted(call, dict(connection.execute(_HALTS).fetchall()))
            return over_budget(reservations, used) if reason is None else (reason,)

    def rehearse(self) -> None:
        """Find out whether a call could be written down now; nothing is.

        Raises:
            LedgerUnavailable: it could not: why, and what to do.
        """
        rehearse(self._database)
