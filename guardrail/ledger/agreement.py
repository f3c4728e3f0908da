"""Whether the tables that say how things stand agree with the records of how they came to stand so.

One pass over the records, log by log, gathers what they say. Nothing of it depends on the order of records in
different logs, and the calls are not kept in memory: they come in the order of the records that they point to
(the database sorts them, in a temporary file where they are many) and are compared as those go by. Every change of a
call's state carries a running number (`move`), so the sum of the calls' moves must be the number of such records,
and the record that each call points to must be its last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, or_, select

from guardrail.canonical import digest
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection, stream
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.ledger.told import ACTIVATION, Told

_calls = schema.calls.c
_CALLS: Final = text(
    select(_calls.record, _calls.reference, _calls.state, _calls.moves, _calls.key).order_by(_calls.record)
)
_APPROVALS: Final = text(select(schema.approvals.c.id, schema.approvals.c.state, schema.approvals.c.record))
_asked = schema.approvals.c
_REQUESTS: Final = text(
    select(_asked.id, _asked.run, _asked.agent, _asked.chain, _asked.principal, _asked.tool, _asked.expires_at,
           _asked.record, _calls.reference, schema.records.c.body)
    .join_from(schema.approvals, schema.calls, _asked.key == _calls.key, isouter=True)
    .join(schema.records, _asked.record == schema.records.c.id, isouter=True)
)  # fmt: skip
_VOTES: Final = text(select(schema.votes.c.approval, schema.votes.c.person, schema.votes.c.answer))
_SCOPES: Final = text(
    select(schema.remembered.c.id, schema.remembered.c.person, schema.remembered.c.forgotten_by)
)
_records = schema.records.c
_SETTLED: Final = text(
    select(_records.body).where(
        _records.run == bindparam("run"), or_(_records.kind == "settled", _records.kind == "resolved")
    )
)
_HALTS: Final = text(select(schema.controls.c.scope))
_LABELS: Final = text(select(schema.runs.c.id, schema.runs.c.labels, schema.runs.c.record))
_TOOLS: Final = text(select(schema.tools.c.digest, schema.tools.c.definition))
_activations = schema.activations.c
_ACTIVATIONS: Final = text(select(*(_activations[name] for name in ACTIVATION)))
_POLICIES: Final = text(select(schema.policies.c.revision, schema.policies.c.bundle))

_GOES_ON: Final = {"suspended", "raised", "unknown"}
"""The states from which a call is admitted again under the approval that it has used."""

_Call = tuple[int, str, str, int, str]
"""Last record, reference, state, moves and key."""

Disagreement = tuple[int | None, int | None, str]
"""Log and sequence of the record, where there is one, and what is wrong."""


class Agreement:
    """The tables, against what the records say.

    Attributes:
        told: what they say, gathered as they go by.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls: Iterator[_Call] = stream(connection, _CALLS)
        self._call = next(self._calls, None)
        self._differing: list[Disagreement] = []
        self._counted = 0
        self.told = Told()

    def take(self, first: int, bodies: Sequence[bytes], told: Sequence[tuple[str, bytes]]) -> None:
        """Records in their order, later ones never before earlier ones; log 0 before all others.

        Args:
            first: the number of the first; the others follow without gaps.
            bodies: all of them.
            told: kind and body of those that say more than that a call moved (`telling`).
        """
        self._meet(first, bodies)
        self.told.take(len(bodies), told)

    def _meet(self, first: int, bodies: Sequence[bytes]) -> None:
        """Compare the calls whose last record is one of these with it."""
        marks: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        call, end = self._call, first + len(bodies)
        while call is not None and call[0] < end:
            record, reference, state, count, key = call
            self._counted += count
            if record < first:
                self._miss(record, key)
            else:
                body = bodies[record - first]
                known = marks.get((state, count))
                if known is None:
                    known = marks[state, count] = b'"move":%d,' % count, b'"state":"%b"' % state.encode()
                # The fields of a body are sorted, so each is sought behind the last.
                start = body.find(known[0], body.find(b'"call":"%b"' % reference.encode()))
                if body.find(known[1], start) < 0:
                    what = f"call_{key[:16]} is '{state}' after {count} moves; this record says otherwise"
                    self._differing.append((*divmod(record, 1 << PLACES), what))
            call = next(self._calls, None)
        self._call = call

    def disagreements(self) -> Iterator[Disagreement]:
        """What the tables say otherwise."""
        connection = self._connection
        yield from self._about_calls()
        rows = connection.execute(_APPROVALS).fetchall()
        states = {name: state for name, state, _ in rows}
        pruned = {name for name, _, record in rows if self.told.is_pruned(record)}
        for name in sorted(states.keys() | self.told.approvals.keys()):
            stored, recorded = states.get(name), self.told.approvals.get(name)
            if name not in pruned or recorded not in (None, "pending", "approved"):
                yield from _differ(f"approval {name}", stored, recorded)
        yield from self._about_requests(connection)
        yield from self._about_uses(connection)
        yield from self._about_votes(connection, pruned)
        yield from self._about_scopes(connection)
        halts = {scope for (scope,) in connection.execute(_HALTS).fetchall()}
        for scope in sorted(halts ^ {scope for scope, count in self.told.halts.items() if count}):
            yield (
                None,
                None,
                f"the halt of {scope} is "
                + ("on" if scope in halts else "off")
                + ", the records say otherwise",
            )
        yield from self._about_runs(connection)
        yield from self._about_definitions(connection)

    def about_erasing(self, gone: Counter[str | None]) -> Iterator[Disagreement]:
        """Details that are not there, by their run, against what was recorded as erased."""
        for run in sorted(gone.keys() | self.told.erased.keys(), key=str):
            if gone[run] != self.told.erased[run]:
                of = "of no run" if run is None else f"of run {run!r}"
                yield (
                    None,
                    None,
                    f"{gone[run]} sealed details {of} are gone, {self.told.erased[run]} were erased",
                )

    def _about_calls(self) -> Iterator[Disagreement]:
        while self._call is not None:
            self._counted += self._call[3]
            self._miss(self._call[0], self._call[4])
            self._call = next(self._calls, None)
        yield from self._differing
        if self._counted != self.told.moves:
            yield None, None, f"the calls have made {self._counted} moves, {self.told.moves} are recorded"

    def _miss(self, record: int, key: str) -> None:
        """A call points to a record that did not go by."""
        if not self.told.is_pruned(record):
            self._differing.append((None, None, f"call_{key[:16]} points to a record that does not exist"))

    def _about_votes(self, connection: Connection, pruned: AbstractSet[str]) -> Iterator[Disagreement]:
        """Votes on requests that were pruned may have been pruned too."""
        votes = {(row[0], row[1], row[2]) for row in connection.execute(_VOTES).fetchall()}
        for vote in sorted(votes ^ self.told.votes):
            approval, person, answer = vote
            if vote not in votes or approval not in pruned:
                where = "stored but not recorded" if vote in votes else "recorded but not stored"
                yield None, None, f"the vote '{answer}' of {person} on approval {approval} is {where}"

    def _about_requests(self, connection: Connection) -> Iterator[Disagreement]:
        for name, run, agent, chain, principal, tool, expires, record, call, body in stream(
            connection, _REQUESTS
        ):
            if self.told.is_pruned(record):
                continue
            fields: dict[str, Any] = _read(body or b"{}") or {}
            stored = {
                "approval": name, "run": run, "agent": agent, "chain": _read(chain), "principal": principal,
                "tool": tool, "expires_at": expires, "call": call,
            }  # fmt: skip
            if any(fields.get(key) != said for key, said in stored.items()):
                yield None, None, f"the request of approval {name} is not the one that was recorded"

    def _about_uses(self, connection: Connection) -> Iterator[Disagreement]:
        """An approval is used once: further admissions under it are of a call that goes on."""
        for name, uses in sorted(self.told.uses.items()):
            if len(uses) == 1:
                continue
            ends: set[tuple[str, int]] = set()
            for run in {run for run, _, _ in uses}:
                told = (orjson.loads(body) for (body,) in connection.execute(_SETTLED, (run,)))
                ends |= {
                    (fields["call"], fields["move"])
                    for fields in told
                    if fields.get("state") in _GOES_ON and "move" in fields
                }
            first = [use for use in uses if (use[1], use[2] - 1) not in ends]
            if len(first) > 1 or len({call for _, call, _ in uses}) > 1:
                yield None, None, f"approval {name} was used more than once"

    def _about_scopes(self, connection: Connection) -> Iterator[Disagreement]:
        recorded = {
            scope: (person, scope in self.told.forgotten) for scope, person in self.told.scopes.items()
        }  # fmt: skip
        stored = {
            scope: (person, bool(forgotten)) for scope, person, forgotten in connection.execute(_SCOPES)
        }
        for scope in sorted(recorded.keys() | stored.keys()):
            if recorded.get(scope) != stored.get(scope):
                yield None, None, f"the remembered scope {scope} is not the one that is recorded"

    def _about_runs(self, connection: Connection) -> Iterator[Disagreement]:
        count = 0
        for run, labels, record in stream(connection, _LABELS):
            count += 1
            stored = _read(labels)
            listed = {str(label) for label in stored} if isinstance(stored, list) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            recorded = self.told.labels.get(run, set())
            whole = listed is not None and self.told.is_pruned(record) and listed >= recorded
            if listed != recorded and not whole:
                yield None, None, f"the labels of run {run!r} are not those that are recorded"
        if count != self.told.runs:
            yield None, None, f"{count} runs are stored, {self.told.runs} are recorded"

    def _about_definitions(self, connection: Connection) -> Iterator[Disagreement]:
        tools: set[str] = set()
        for name, definition in stream(connection, _TOOLS):
            tools.add(name)
            if digest(definition) != name:
                yield None, None, f"the definition of tool {name} is not the one that was stored"
        for name in sorted(tools ^ self.told.tools):
            yield (
                None,
                None,
                f"the definition of tool {name} is " + ("not recorded" if name in tools else "missing"),
            )
        policies = {
            revision: sha256(bundle).hexdigest() for revision, bundle in stream(connection, _POLICIES)
        }
        for revision in sorted(policies.keys() | self.told.policies.keys()):
            if policies.get(revision) != self.told.policies.get(revision):
                yield None, None, f"policy {revision} is not the one that was stored"
        activations = {tuple(row) for row in connection.execute(_ACTIVATIONS)}
        for source, turn in sorted({(row[0], row[1]) for row in activations ^ self.told.activations}):
            yield None, None, f"activation {turn} of {source} is not the one that is recorded"


def _read(text: str | bytes) -> Any:
    """JSON of a table; None where somebody has made something else of it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _differ(what: str, stored: str | None, recorded: str | None) -> Iterator[Disagreement]:
    if stored != recorded:
        yield None, None, f"{what} is {stored or 'missing'}, recorded as {recorded or 'never asked for'}"
