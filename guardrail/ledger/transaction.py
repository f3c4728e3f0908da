"""One transaction: load what a batch of writes needs, let each decide, store what changed.

Every write of the batch decides in Python over the same rows, one after the other, and the rows are
written set-based at the end. `Database.begin` makes this exact: nobody else writes in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import Table, bindparam, select

from guardrail.ledger import leases, schema
from guardrail.ledger.connection import Connection, Database
from guardrail.ledger.identity import Identity
from guardrail.ledger.memory import Memory
from guardrail.ledger.rows import HISTORY, BudgetRow, CallRow, LogRow, RunRow, no_usage
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import inserting, loading, padded, text, updating
from guardrail.merkle import leaf_hash, push
from guardrail.records import SCHEMA, Kind, encode
from guardrail.sealing import Sealed, SealingKey

_SETTLED_CALL: Final = ("state", "reserved", "moves", "record")
_ENTERED_CALL: Final = (
    *_SETTLED_CALL,
    "started",
    "position",
    "fence",
    "log",
    "log_fence",
    "resumed",
    "approval",
)
_PLAIN: Final = {schema.records, schema.sealed}
_INSERT: Final = {
    table.name: inserting(table, plain=table in _PLAIN) for table in schema.metadata.sorted_tables
}
_UPDATE: Final = {
    "calls": updating(schema.calls, _SETTLED_CALL),  # leaves the index on the position alone
    "runs": updating(schema.runs, ("position", "version", "labels", "usage", "sources")),
    "budgets": updating(schema.budgets, ("name", "unit", "used", "limit")),
    "logs": updating(schema.logs, ("size", "frontier", "lease_until")),
}
_REENTER: Final = updating(schema.calls, _ENTERED_CALL)
_HALTS: Final = text(select(schema.controls.c.scope, schema.controls.c.reason))
_HISTORY: Final = text(
    select(schema.calls.c.key, schema.calls.c.call, schema.calls.c.tool, schema.calls.c.agent,
           schema.calls.c.effect, schema.calls.c.state)
    .where(schema.calls.c.run == bindparam("run"))
    .order_by(schema.calls.c.position.desc())
    .limit(HISTORY)
)  # fmt: skip
_POSITION: Final = text(select(schema.runs.c.position).where(schema.runs.c.id == bindparam("id")))
_LEAF: Final = text(select(schema.records.c.leaf).where(schema.records.c.id == bindparam("id")))
_SEALED: Final = text(
    select(schema.records.c.body, schema.sealed.c.body)
    .join_from(schema.records, schema.sealed, schema.records.c.id == schema.sealed.c.record)
    .where(schema.records.c.id == bindparam("id"))
)


def rfc3339(moment: datetime) -> str:
    """UTC, milliseconds, `Z`: sorts as text."""
    return f"{_second(int(moment.timestamp()))}.{moment.microsecond // 1000:03}Z"


@lru_cache(maxsize=16)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()[:-6]


def history_of(connection: Connection, run: str) -> dict[str, dict[str, Any]]:
    """The last calls of a run, oldest first, by key."""
    rows = connection.execute(_HISTORY, (run,)).fetchall()
    return {
        key: {"id": call, "tool": tool, "agent": agent, "effect": effect, "outcome": state}
        for key, call, tool, agent, effect, state in reversed(rows)
    }


class Transaction:
    """What the writes of one batch see and change.

    Attributes:
        moment: the time of the whole batch.
        now: the same as RFC 3339.
        started: tickets given out by this batch: key → fence.
        ended: calls that this batch settled: key → fence.
        new_tools: digests of the tool definitions that this batch stored or found.
        changed: something is to be committed that comes without a record: a lease, a note.
    """

    def __init__(
        self, database: Database, connection: Connection, memory: Memory, identity: Identity, key: SealingKey,
        moment: datetime, lease: float,
    ) -> None:  # fmt: skip
        self.database = database
        self.connection = connection
        self._cursor, self._deferred = connection.cursor(), database.deferred(connection)
        self.memory = memory
        self.identity = identity
        self.key = key
        self.moment = moment
        self.now = rfc3339(moment)
        self.lease = lease
        self.started: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.new_tools: set[str] = set()
        self.changed = False
        self._calls: dict[str, CallRow] = {}
        self._changed_calls: dict[str, CallRow] = {}
        self._changed_runs: dict[str, RunRow] = {}
        self._changed_budgets: dict[str, BudgetRow] = {}
        self._records: list[tuple[Any, ...]] = []
        self._sealed: dict[int, Sealed] = {}
        memory.refresh((database.opened, database.version(connection)))
        self.log: LogRow = leases.hold(self)

    # -- loading -------------------------------------------------------------------------------------

    def load(self, keys: Sequence[str], runs: Sequence[str], scopes: Sequence[str]) -> None:
        """Read the rows that the batch will ask for, each table in one statement."""
        remembered = self.memory.calls
        if remembered:
            self._calls.update({key: remembered[key] for key in keys if key in remembered})
            keys = [key for key in keys if key not in remembered]
        for row in self._rows(schema.calls, "key", keys):
            self._calls[row[0]] = CallRow(*row)
        for row in self._rows(schema.runs, "id", [run for run in runs if not self._remembers(run)]):
            self._keep_run(row)
        known = self.memory.budgets
        for row in self._rows(schema.budgets, "scope", [scope for scope in scopes if scope not in known]):
            known[row[0]] = BudgetRow(*row)

    def _rows(self, table: Table, column: str, values: Sequence[str]) -> list[Any]:
        if not values:
            return []
        if len(values) > 1:
            values = padded(list(dict.fromkeys(values)))
        return self._cursor.execute(loading(table, column, len(values)), values).fetchall()

    def _remembers(self, run: str) -> bool:
        row = self.memory.runs.get(run)
        if row is None:
            return False
        if row.checked == self.memory.generation:
            return True
        found = self.connection.execute(_POSITION, (run,)).fetchone()
        if found is None or found[0] != row.position:
            del self.memory.runs[run]
            return False
        row.checked = self.memory.generation
        return True

    def _keep_run(self, row: tuple[Any, ...]) -> None:
        run, principal, started, position, version, labels, usage, record, sources = row
        self.memory.runs[run] = RunRow(
            run, principal, started, position, version, tuple(orjson.loads(labels)), orjson.loads(usage), record,
            sources, history_of(self.connection, run), checked=self.memory.generation,
        )  # fmt: skip

    # -- rows ----------------------------------------------------------------------------------------

    def call(self, key: str) -> CallRow | None:
        """The call with this key, if it was ever written down."""
        return self._calls.get(key)

    def change_call(self, row: CallRow) -> None:
        """Store this call at the end."""
        self._calls[row.key] = row
        self._changed_calls[row.key] = row

    def run(self, run: str, principal: str) -> RunRow:
        """The run, begun now if it is not known."""
        return self.memory.runs.get(run) or self.begin_run(run, principal)

    def begin_run(self, run: str, principal: str, sealed: Sealed | None = None) -> RunRow:
        """Write down that a run begins."""
        record = self.record("begun", {"run": run, "principal": principal}, sealed)
        row = RunRow(run, principal, self.now, 0, 0, (), no_usage(), record, stored=False)
        row.checked = self.memory.generation
        self.memory.runs[run] = row
        self._changed_runs[run] = row
        return row

    def change_run(self, row: RunRow) -> None:
        """Store this run at the end, and publish it."""
        self._changed_runs[row.id] = row

    def budget(self, scope: str) -> BudgetRow | None:
        """The budget with this scope, if anything was ever taken from it."""
        return self.memory.budgets.get(scope)

    def used(self, scope: str) -> int:
        """How much is taken from this budget."""
        row = self.memory.budgets.get(scope)
        return 0 if row is None else row.used

    def change_budget(self, row: BudgetRow) -> None:
        """Store this budget at the end."""
        self.memory.budgets[row.scope] = row
        self._changed_budgets[row.scope] = row

    @property
    def halts(self) -> Mapping[str, str]:
        """The halt switches that are on: scope → reason."""
        if self.memory.halts is None:
            self.memory.halts = dict(self.connection.execute(_HALTS).fetchall())
        return self.memory.halts

    # -- records -------------------------------------------------------------------------------------

    def record(
        self,
        kind: Kind,
        fields: Mapping[str, Any],
        sealed: Sealed | None = None,
        *,
        log: LogRow | None = None,
    ) -> int:
        """Append a record to this writer's log, or to another one, whose row the caller stores; answers its number."""
        log = self.log if log is None else log
        commitment = None if sealed is None else sealed.commitment
        body = encode(
            {**fields, "schema": SCHEMA, "kind": kind, "at": self.now, "log": log.id, "sequence": log.size,
             "detail": commitment}
        )  # fmt: skip
        leaf = leaf_hash(body)
        push(log.nodes, log.size, leaf)
        number = log.id << PLACES | log.size
        # The driver takes a bytearray as it is, while it searches an adapter for bytes, at twice the price.
        row = number, log.month, log.id, log.size, kind, fields.get("run"), bytearray(body), bytearray(leaf)
        self._records.append(row)
        log.size += 1
        if sealed is not None:
            self._sealed[number] = sealed
        return number

    def wrote(self, number: int) -> bool:
        """Whether a record is one of this batch, which is not stored yet."""
        return any(record[0] == number for record in self._records)

    def detail(self, number: int) -> dict[str, Any] | None:
        """The sealed detail of a record; None where it was erased."""
        if sealed := self._sealed.get(number):
            commitment, body = sealed.commitment, sealed.body
        else:
            found = self.connection.execute(_SEALED, (number,)).fetchone()
            if found is None:
                return None
            commitment, body = orjson.loads(found[0])["detail"], found[1]
        detail: dict[str, Any] = orjson.loads(self.key.unseal(body, commitment))
        return detail

    @staticmethod
    def time(moment: datetime) -> str:
        """A moment as it is stored."""
        return rfc3339(moment)

    def seal(self, detail: Mapping[str, Any]) -> Sealed:
        """Seal what only this transaction knows."""
        return self.key.seal(orjson.dumps(detail))

    # -- storing -------------------------------------------------------------------------------------

    def insert(self, table: Table, row: tuple[Any, ...]) -> None:
        """Insert one row of a table that has no row class here, columns in their order."""
        self._deferred.execute(_INSERT[table.name].text, row)
        self.changed = True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self._records and not self.changed

    def store(self) -> None:
        """Write everything that changed; the caller commits."""
        if self._records:
            _INSERT["records"].write(self._deferred, self._records)
        if self._sealed:
            key = self.key.id
            sealed = [(number, key, bytearray(item.body)) for number, item in self._sealed.items()]
            _INSERT["sealed"].write(self._deferred, sealed)
        self._store_calls()
        self._store("runs", self._changed_runs.values())
        self._store("budgets", self._changed_budgets.values())
        log = self.log
        log.lease_until = max(log.lease_until, self.moment.timestamp() + self.lease)
        writing = _UPDATE["logs"]
        self._deferred.execute(writing.text, writing.values(log))

    def _store_calls(self) -> None:
        rows = self._changed_calls.values()
        entered = [row for row in rows if row.reentered and row.stored]
        self._store("calls", [row for row in rows if not (row.reentered and row.stored)] if entered else rows)
        if entered:
            _REENTER.write(self._deferred, entered)
        for row in rows:
            row.reentered = False

    def _store(self, table: str, rows: Collection[CallRow | RunRow | BudgetRow]) -> None:
        new = [row for row in rows if not row.stored]
        old = [row for row in rows if row.stored]
        if new:
            _INSERT[table].write(self._deferred, new)
            for row in new:
                row.stored = True
        if old:
            _UPDATE[table].write(self._deferred, old)

    def landed(self, connection: Connection) -> bool:
        """Whether this was committed, looked up by its last record; without one it can be done again: False."""
        if not self._records:
            return False
        number, *_, leaf = self._records[-1]
        found = connection.execute(_LEAF, (number,)).fetchone()
        return found is not None and bytes(found[0]) == leaf

    def publish(self) -> None:
        """After the commit: let readers see it."""
        memory = self.memory
        memory.is_exact = False
        for run, row in self._changed_runs.items():
            memory.publish(run, row.publish(), memory.generation)
        for key, fence in self.started.items():
            memory.in_flight[key] = fence
            memory.calls[key] = self._calls[key]
        memory.over(self.ended)
        memory.tools |= self.new_tools
        memory.trim()
