"""What operators do: halt and lift, and say how a call ended whose end was not seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select

from guardrail.errors import Conflict
from guardrail.ledger import leases, outbox, schema
from guardrail.ledger.admission import mark_unknown, undo
from guardrail.ledger.rows import CallRow
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, about, to_json
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_SCOPE: Final = re.compile(r"all|run:.+|agent:.+|tool:[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}", re.DOTALL)
_REFERENCE: Final = re.compile(r"(?:call_)?([0-9a-f]{4,64})")
_controls = schema.controls.c
_LIFT: Final = text(delete(schema.controls).where(_controls.scope == bindparam("scope")))
_calls = schema.calls.c
_BY_PREFIX: Final = text(
    select(_calls.key, _calls.run)
    .where(_calls.key >= bindparam("low"), _calls.key < bindparam("high"))
    .limit(bindparam("count"))
)


def check_scope(scope: str) -> str:
    """A halt's scope, as it was given.

    Raises:
        Conflict: it is none.
    """
    if not _SCOPE.fullmatch(scope):
        raise Conflict(
            f"{scope!r} cannot be halted", fix="name 'all', 'run:ID', 'agent:ID' or 'tool:SERVER/NAME'"
        )
    return scope


class Halt(Write):
    """Turn a halt switch on; one that is on gets the new reason."""

    def __init__(self, scope: str, by: str, reason: str, key: SealingKey) -> None:
        self._scope, self._by, self._reason = check_scope(scope), by, reason
        self.runs = _run_of(scope)
        encode({"scope": scope, "by": by})
        self._sealed = key.seal(to_json({"reason": reason}))

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        again = tx.connection.execute(_LIFT, (self._scope,)).rowcount == 1
        tx.insert(schema.controls, (self._scope, self._by, self._reason, tx.now))
        fields = {"scope": self._scope, "by": self._by, "again": again, **_switched(tx, self.runs)}
        tx.record("halted", fields, self._sealed)


class Unhalt(Write):
    """Turn a halt switch off."""

    def __init__(self, scope: str, by: str) -> None:
        self._scope, self._by = check_scope(scope), by
        self.runs = _run_of(scope)
        encode({"scope": scope, "by": by})

    def apply(self, tx: Transaction) -> None:
        """See the class.

        Raises:
            Conflict: it is not on.
        """
        if tx.connection.execute(_LIFT, (self._scope,)).rowcount != 1:
            raise Conflict(f"{self._scope} is not halted", fix="list the halts with 'guardrail doctor'")
        tx.record("unhalted", {"scope": self._scope, "by": self._by, **_switched(tx, self.runs)})


def _run_of(scope: str) -> tuple[str, ...]:
    return (scope[4:],) if scope.startswith("run:") else ()


def _switched(tx: Transaction, runs: tuple[str, ...]) -> dict[str, int]:
    """Forget the switches as read, and let decisions about this run be made again; answers its place, if it has one."""
    tx.memory.halts = None
    place: dict[str, int] = {}
    for name in runs:
        run = tx.memory.runs.get(name)
        if run is not None:
            run.version += 1
            run.position += 1
            tx.change_run(run)
            place["position"] = run.position
    return place


class Resolve(Write):
    """A person says how a call ended whose outcome is unknown."""

    def __init__(self, reference: str, ran: bool, by: str) -> None:
        self._reference, self._ran, self._by = reference, ran, by
        encode({"by": by})

    def apply(self, tx: Transaction) -> str:
        """Answers the call's new state: `returned` without a result, or `blocked` (`suspended`, where it was resumed).

        Raises:
            Conflict: no such call, or its outcome is known.
        """
        row = self._find(tx)
        if row.state == "started" and not leases.is_alive(tx, row):
            mark_unknown(tx, row)
        if row.state != "unknown":
            return_to = "it is still running" if row.state == "started" else f"it is {row.state}"
            raise Conflict(f"the outcome of this call is not unknown: {return_to}")
        run = tx.run(row.run, "")
        row.state = "returned" if self._ran else undo(tx, run, row)
        row.moves += 1
        run.note(row, enter=False)
        fields: dict[str, Any] = {**about(row), "ran": self._ran, "by": self._by, "state": row.state}
        row.record = tx.record("resolved", {**fields, "move": row.moves, "position": run.position})
        tx.change_call(row)
        tx.change_run(run)
        if row.approval:
            outbox.follow(tx, row.approval, "settled")
        return row.state

    def _find(self, tx: Transaction) -> CallRow:
        key, run = find_call(tx.connection, self._reference)
        tx.load(() if tx.call(key) else (key,), (run,), ())
        row = tx.call(key)
        if row is None:
            raise Conflict(f"there is no call {self._reference!r}")
        return row


def find_call(connection: Connection, reference: str) -> tuple[str, str]:
    """Key and run of the call that people name `call_…`, or by the beginning of its key.

    Raises:
        Conflict: there is none, or several begin so.
    """
    named = _REFERENCE.fullmatch(reference.strip())
    found: list[tuple[str, str]] = []
    if named:
        low = named.group(1)
        found = connection.execute(_BY_PREFIX, (low, low + "g", 2)).fetchall()
    if len(found) != 1:
        many = "several calls begin with" if found else "there is no call"
        raise Conflict(f"{many} {reference!r}", fix="list the calls of a run with 'guardrail show RUN'")
    return found[0]
