"""Questions to the ledger: nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from heapq import merge
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, func, or_, select

from guardrail.admission import InFlight, Settled
from guardrail.approvals import Approval, ApprovalState
from guardrail.errors import Conflict
from guardrail.grants import SignedGrant
from guardrail.ledger import schema
from guardrail.ledger.approvals import find, latest, read_approval
from guardrail.ledger.connection import Connection, Database
from guardrail.ledger.controls import find_call
from guardrail.ledger.granting import grant_of
from guardrail.ledger.leases import is_held, log_of
from guardrail.ledger.listings import ApprovalArguments, ListedCall, ListedHalt, ListedLog, ListedRun, Status
from guardrail.ledger.measured import asked_from
from guardrail.ledger.migrations import revision
from guardrail.ledger.moments import last_moment
from guardrail.ledger.notes import recall
from guardrail.ledger.observations import observations
from guardrail.ledger.remembered import all_scopes, scopes_of_tool
from guardrail.ledger.rows import CallRow, LogRow, Published, RunRow, no_usage
from guardrail.ledger.schema import PLACES
from guardrail.ledger.sources import read_sources
from guardrail.ledger.statements import loading, text
from guardrail.ledger.transaction import history_of, rfc3339
from guardrail.ledger.writer import Writer
from guardrail.merkle import frontier_root
from guardrail.policy import RunState
from guardrail.provenance import Source
from guardrail.records import Record
from guardrail.registry.observations import Observation
from guardrail.scopes import Scope
from guardrail.sealing import SealingKey

_PAGE: Final = 500
_runs, _calls, _records, _sealed = schema.runs.c, schema.calls.c, schema.records.c, schema.sealed.c
_approvals = schema.approvals.c
_POSITION: Final = text(select(_runs.position).where(_runs.id == bindparam("id")))
_RUN: Final = loading(schema.runs, "id", 1)
# Within one millisecond a writer's own records still tell which came first.
_RUNS: Final = text(select(schema.runs).order_by(_runs.started.desc(), _runs.record.desc()))
_LOGS: Final = text(select(schema.logs).order_by(schema.logs.c.id))
_PRUNED: Final = select(schema.pruned.c.log)
_PRUNED_LOGS: Final = text(_PRUNED)
_ALL_LOGS: Final = text(
    select(schema.logs.c.id).where(schema.logs.c.id.not_in(_PRUNED)).order_by(schema.logs.c.id)
)
_HALTS: Final = text(select(schema.controls).order_by(schema.controls.c.at, schema.controls.c.scope))
_CALLS_OF: Final = text(select(schema.calls).where(_calls.run == bindparam("run")).order_by(_calls.position))
_CALL: Final = loading(schema.calls, "key", 1)
_with_detail = select(
    _records.id, _records.log, _records.sequence, _records.kind, _records.body, _sealed.body
).join_from(schema.records, schema.sealed, _records.id == _sealed.record, isouter=True)
_RECORD: Final = text(_with_detail.where(_records.id == bindparam("id")))
_stretch = (
    _with_detail.where(_records.id > bindparam("after"), _records.id < bindparam("end"))
    .order_by(_records.id)
    .limit(_PAGE)
)
_RECORDS: Final = text(_stretch)
_RECORDS_OF: Final = text(_stretch.where(_records.run == bindparam("run")))
_LOGS_OF: Final = text(
    select(_records.log).where(_records.run == bindparam("run"), _records.log.not_in(_PRUNED)).distinct()
)
_APPROVALS: Final = text(select(schema.approvals).order_by(_approvals.requested_at, _approvals.record))
_APPROVALS_IN: Final = text(
    select(schema.approvals)
    .where(or_(_approvals.state == bindparam("state"), _approvals.state == bindparam("or_state")))
    .order_by(_approvals.requested_at, _approvals.record)
)
_STORED_AS: Final[Mapping[ApprovalState, tuple[ApprovalState, ApprovalState]]] = {
    "expired": ("expired", "pending")
}
"""How requests in a state may be stored: nobody may have written down yet that one is overdue."""
_ASKED_BY: Final = text(select(_approvals.record).where(_approvals.id == bindparam("id")))
_IS_DUE: Final = text(
    select(_approvals.id)
    .where(_approvals.state == "pending", _approvals.expires_at <= bindparam("now"))
    .limit(1)
)
_COUNTS: Final = text(
    select(
        select(func.count()).select_from(schema.records).scalar_subquery(),
        select(func.count()).select_from(schema.runs).scalar_subquery(),
        select(func.count())
        .select_from(schema.approvals)
        .where(_approvals.state == "pending")
        .scalar_subquery(),
    )
)
_OPEN_CALLS: Final = text(
    select(_calls.state, _calls.log, _calls.log_fence).where(
        or_(_calls.state == "started", _calls.state == "unknown")
    )
)


class Reader:
    """Reads one ledger; the writer's memory and identity say what this process knows itself."""

    def __init__(
        self, database: Database, key: SealingKey, writer: Writer, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._key = key
        self._writer = writer
        self._clock = clock

    # -- the line ------------------------------------------------------------------------------------

    def run_state(self, run: str) -> RunState:
        """The run as of its last commit; what this process has published is used while it is still that."""
        memory = self._writer.memory
        published, generation = memory.published, memory.generation
        known = published.get(run)
        exact = known is not None and (memory.is_exact or self._database.is_still(memory.seen))
        if known is not None and exact and generation == memory.generation:
            return known.state
        with self._database.reading(quick=True) as connection:
            found = connection.execute(_POSITION, (run,)).fetchone()
            if found is None:
                return RunState(id=run, started=rfc3339(self._clock()), usage=no_usage())
            known = published.get(run)
            if known is None or known.position != found[0]:
                connection.execute("BEGIN")
                try:
                    known = _read_run(connection, run)
                    memory.publish(run, known, generation)
                finally:
                    connection.execute("ROLLBACK")
        return known.state

    def known_labels(self, run: str) -> tuple[str, ...]:
        """The labels of a run that this process has published."""
        published = self._writer.memory.published.get(run)
        return () if published is None else published.labels

    def settled(self, key: str) -> Settled | InFlight | None:
        """How a call ended, or whether it runs; None where it may be admitted."""
        with self._database.reading(quick=True) as connection:
            found = connection.execute(_CALL, (key,)).fetchone()
            if found is None:
                return None
            row = CallRow(*found)
            state = self._state(row, _logs_of(connection))
            if state == "started":
                return InFlight(elsewhere=row.key not in self._writer.memory.in_flight)
            if state not in ("returned", "raised", "unknown"):
                return None
            detail = self._detail_of(connection, row.record) if row.state == state else {}
        result: str | None = detail.get("result")
        return Settled(
            status=state,
            result=None if result is None else result.encode(),
            message=detail.get("message") or "",
        )

    def recall(self, run: str, name: str) -> Any:
        """What was remembered about a run."""
        with self._database.reading(quick=True) as connection:
            return recall(connection, run, name)

    def observations(self, names: Collection[str]) -> list[Observation]:
        """All that was seen of packages with these names, the oldest first."""
        with self._database.reading(quick=True) as connection:
            return observations(connection, names)

    def is_due(self) -> bool:
        """Whether a request waits past its time."""
        with self._database.reading(quick=True) as connection:
            return connection.execute(_IS_DUE, (rfc3339(self._clock()),)).fetchone() is not None

    def grant(self, approval: str) -> SignedGrant | None:
        """What is signed about a request."""
        with self._database.reading(quick=True) as connection:
            return grant_of(connection, approval)

    # -- listings ------------------------------------------------------------------------------------

    def runs(self) -> tuple[ListedRun, ...]:
        """All runs, the latest first."""
        with self._database.reading() as connection:
            return tuple(self._run(connection, row) for row in connection.execute(_RUNS).fetchall())

    def calls(self, run: str) -> tuple[ListedCall, ...]:
        """The calls of a run, in the order in which they entered it."""
        with self._database.reading() as connection:
            logs = _logs_of(connection)
            return tuple(self._call(row, logs) for row in connection.execute(_CALLS_OF, (run,)).fetchall())

    def call(self, reference: str) -> ListedCall:
        """One call."""
        with self._database.reading() as connection:
            key, _ = find_call(connection, reference)
            return self._call(connection.execute(_CALL, (key,)).fetchone(), _logs_of(connection))

    def approval(self, number: str) -> Approval:
        """One approval."""
        with self._database.reading(quick=True) as connection:
            return self._overdue(find(connection, number))

    def is_pending(self, number: str) -> bool:
        """Whether people can still answer a request."""
        with self._database.reading(quick=True) as connection:
            found = find(connection, number)
        return found.state == "pending" and not found.is_over(rfc3339(self._clock()))

    def asked_from(self, approval: str) -> str:
        """From which trace people were asked."""
        with self._database.reading(quick=True) as connection:
            return asked_from(connection, approval)

    def latest_approval(self, key: str) -> Approval | None:
        """The request that counts for a call."""
        with self._database.reading(quick=True) as connection:
            return latest(connection, key).approval

    def approvals(self, state: ApprovalState | None) -> tuple[Approval, ...]:
        """Approvals, the oldest first."""
        with self._database.reading() as connection:
            query = (
                (_APPROVALS, ()) if state is None else (_APPROVALS_IN, _STORED_AS.get(state, (state, state)))
            )
            rows = connection.execute(*query).fetchall()
            every = [self._overdue(read_approval(connection, row)) for row in rows]
        return tuple(approval for approval in every if state in (None, approval.state))

    def arguments(self, number: str) -> ApprovalArguments:
        """What an approver is shown."""
        with self._database.reading() as connection:
            find(connection, number)
            detail = self._detail_of(connection, connection.execute(_ASKED_BY, (number,)).fetchone()[0])
        if "arguments" not in detail:
            raise Conflict(
                f"the arguments of approval {number} were erased or pruned", fix="reject it, if it waits"
            )
        mask = tuple(detail["decision"]["mask"])
        return ApprovalArguments(approval=number, arguments=detail["arguments"], mask=mask)

    def scopes(self, tool_digest: str) -> tuple[Scope, ...]:
        """The remembered scopes that count for a tool now."""
        with self._database.reading(quick=True) as connection:
            return scopes_of_tool(connection, tool_digest, rfc3339(self._clock()), self._detail_of)

    def all_scopes(self) -> tuple[Scope, ...]:
        """Every remembered scope."""
        with self._database.reading() as connection:
            return all_scopes(connection, self._detail_of)

    def given(self, number: str) -> bytes:
        """The policy input of a call that people are asked about."""
        with self._database.reading() as connection:
            find(connection, number)
            detail = self._detail_of(connection, connection.execute(_ASKED_BY, (number,)).fetchone()[0])
        if "given" not in detail:
            raise Conflict(
                f"the call of approval {number} was erased or pruned", fix="reject it, if it waits"
            )
        return orjson.dumps(detail["given"])

    def records(self, run: str | None) -> Iterator[Record]:
        """Records with their details: those of each log in its order, the logs merged by the time of their records."""
        with self._database.reading() as connection:
            query = (_ALL_LOGS, ()) if run is None else (_LOGS_OF, (run,))
            numbers = [number for (number,) in connection.execute(*query).fetchall()]
        logs = [self._records_of_log(number, run) for number in numbers]
        return merge(*logs, key=lambda record: str(record.fields["at"]))

    def _records_of_log(self, number: int, run: str | None, *, after: int | None = None) -> Iterator[Record]:
        """The records of a log, or those of a run in it, after a place of it."""
        after, end = (number << PLACES) + (-1 if after is None else after), (number + 1) << PLACES
        while True:
            with self._database.reading() as connection:
                if run is None:
                    page = connection.execute(_RECORDS, (after, end)).fetchall()
                else:
                    page = connection.execute(_RECORDS_OF, (after, end, run)).fetchall()
            yield from (self._record(row) for row in page)
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def sources(self, run: str, marks: dict[int, int]) -> list[tuple[str, Source]]:
        """What values of later calls may come from; see `Ledger.sources`."""
        with self._database.reading(quick=True) as connection:
            numbers = [number for (number,) in connection.execute(_LOGS_OF, (run,)).fetchall()]
        return [
            (named, source)
            for number in numbers
            for record in self._records_of_log(number, run, after=marks.get(number))
            for named, source in read_sources(record, marks)
        ]

    def halts(self) -> tuple[ListedHalt, ...]:
        """The halt switches that are on, the oldest first."""
        with self._database.reading() as connection:
            return tuple(
                ListedHalt(scope=scope, by=by, reason=reason, at=at)
                for scope, by, reason, at in connection.execute(_HALTS).fetchall()
            )

    def status(self) -> Status:
        """How the ledger is doing."""
        halts = self.halts()
        with self._database.reading() as connection:
            records, runs, pending = connection.execute(_COUNTS).fetchone()
            logs = _logs_of(connection)
            states = [self._open_state(logs, *row) for row in connection.execute(_OPEN_CALLS).fetchall()]
            about = self._database.about(connection)
            form, seen = revision(self._database, connection), last_moment(connection)
            pruned = {log for (log,) in connection.execute(_PRUNED_LOGS)}
        return Status(
            path=self._database.name, revision=form or "", **about,
            key_id=self._key.id, key_path=None if self._key.path is None else str(self._key.path),
            records=records, runs=runs, started=states.count("started"), unknown=states.count("unknown"),
            pending=pending, halts=halts, latest=rfc3339(seen) if seen else "",
            logs=tuple(self._log(log, pruned=log.id in pruned) for log in logs.values()),
        )  # fmt: skip

    # -- parts ---------------------------------------------------------------------------------------

    def _state(self, row: CallRow, logs: dict[int, LogRow]) -> Any:
        if self._writer.memory.in_flight.get(row.key) == row.fence:
            return row.state
        return self._open_state(logs, row.state, row.log, row.log_fence)

    def _open_state(self, logs: dict[int, LogRow], state: str, number: int, fence: int) -> str:
        """A started call reads `unknown` once its owner is gone."""
        log = logs.get(number)
        if state != "started":
            return state
        alive = log is not None and log.fence == fence and is_held(log, self._writer.identity, self._clock())
        return state if alive else "unknown"

    def _call(self, found: tuple[Any, ...], logs: dict[int, LogRow]) -> ListedCall:
        row = CallRow(*found)
        log, sequence = divmod(row.record, 1 << PLACES)
        return ListedCall(
            key=row.key, reference=f"call_{row.key[:16]}", run=row.run, id=row.call, scope=row.scope,
            agent=row.agent, tool=row.tool, effect=row.effect, started=row.started, state=self._state(row, logs),
            attempts=row.fence, approval=row.approval or None, log=log, sequence=sequence,
        )  # fmt: skip

    def _run(self, connection: Connection, row: tuple[Any, ...]) -> ListedRun:
        run, principal, started, position, version, labels, usage, record, _ = row
        return ListedRun(
            id=run, principal=principal, started=started, position=position, version=version,
            labels=tuple(orjson.loads(labels)), usage=orjson.loads(usage),
            task=self._detail_of(connection, record).get("task") or None,
        )  # fmt: skip

    def _log(self, log: LogRow, *, pruned: bool) -> ListedLog:
        until = datetime.fromtimestamp(log.lease_until, UTC)
        return ListedLog(
            id=log.id, month=log.month, size=log.size, root=frontier_root(log.nodes).hex(), closed=bool(log.closed),
            held=is_held(log, self._writer.identity, self._clock()), host=log.host, pid=log.pid,
            lease_until=rfc3339(until), pruned=pruned,
        )  # fmt: skip

    def _overdue(self, approval: Approval) -> Approval:
        late = approval.state == "pending" and approval.is_over(rfc3339(self._clock()))
        return replace(approval, state="expired") if late else approval

    def _record(self, row: tuple[Any, ...]) -> Record:
        _, log, sequence, kind, body, sealed = row
        detail = None
        if sealed is not None:
            detail = self._key.unseal(sealed, orjson.loads(body)["detail"])
        return Record(log=log, sequence=sequence, kind=kind, body=body, detail=detail)

    def _detail_of(self, connection: Connection, record: int) -> dict[str, Any]:
        """The sealed detail of a record; empty where there is none any more."""
        row = connection.execute(_RECORD, (record,)).fetchone()
        found = None if row is None else self._record(row).detail
        detail: dict[str, Any] = {} if found is None else orjson.loads(found)
        return detail


def _logs_of(connection: Connection) -> dict[int, LogRow]:
    return {row[0]: log_of(row) for row in connection.execute(_LOGS).fetchall()}


def _read_run(connection: Connection, run: str) -> Published:
    row: tuple[Any, ...] = connection.execute(_RUN, (run,)).fetchone()
    name, principal, started, position, version, labels, usage, record, sources = row
    return RunRow(
        name, principal, started, position, version, tuple(orjson.loads(labels)), orjson.loads(usage), record,
        sources, history_of(connection, run),
    ).publish()  # fmt: skip
