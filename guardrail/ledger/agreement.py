"""Whether the tables that say how things stand agree with the records of how they came to stand so.

One pass over the records, log by log, gathers what they say. Nothing of it depends on the order of records in
different logs, and the calls are not kept in memory: every change of a call's
state carries a running number (`move`), so the sum of the calls' moves must be the number of such records, and
the record that each call points to must be its last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import select

from guardrail.canonical import digest
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.statements import text

_calls, _records = schema.calls.c, schema.records.c
_CALLS: Final = text(
    select(_calls.key, _calls.reference, _calls.state, _calls.moves, _calls.fence, _records.log, _records.sequence,
           _records.body)
    .join_from(schema.calls, schema.records, _calls.record == _records.id, isouter=True)
)  # fmt: skip
_APPROVALS: Final = text(select(schema.approvals.c.id, schema.approvals.c.state))
_VOTES: Final = text(select(schema.votes.c.approval, schema.votes.c.person, schema.votes.c.answer))
_HALTS: Final = text(select(schema.controls.c.scope))
_LABELS: Final = text(select(schema.runs.c.id, schema.runs.c.labels))
_TOOLS: Final = text(select(schema.tools.c.digest, schema.tools.c.definition))
_POLICIES: Final = text(select(schema.policies.c.revision, schema.policies.c.bundle))

_FORWARD: Final = {"pending": 0, "approved": 1}
"""How far along an approval's states are; all others are ends."""

_RARE: Final = {"asked", "voted", "expired", "cancelled", "halted", "unhalted", "tool", "policy"}

Disagreement = tuple[int | None, int | None, str]
"""Log and sequence of the record, where there is one, and what is wrong."""


class Agreement:
    """What the records say, gathered as they go by."""

    def __init__(self) -> None:
        self._moves = 0
        self._approvals: dict[str, str] = {}
        self._votes: set[tuple[str, str, str]] = set()
        self._halts: Counter[str] = Counter()
        self._labels: dict[str, set[str]] = {}
        self._runs = 0
        self._tools: set[str] = set()
        self._policies: dict[str, str] = {}

    def take(self, kinds: Sequence[str], bodies: Sequence[bytes]) -> None:
        """Records in their order."""
        for kind, body in zip(kinds, bodies, strict=True):
            if b'"move":' in body:
                self._moves += 1
            if kind == "settled":
                if b'"labels":["' in body:
                    fields = orjson.loads(body)
                    self._labels.setdefault(fields["run"], set()).update(fields["labels"])
            elif kind == "admitted":
                if b'"approval":"' in body:
                    self._reach(orjson.loads(body)["approval"], "consumed")
            elif kind == "begun":
                self._runs += 1
            elif kind in _RARE:
                self._take_rare(kind, orjson.loads(body))

    def _reach(self, approval: str, state: str) -> None:
        """States only go forward, so the furthest one counts, in whichever log it was recorded."""
        known = self._approvals.get(approval, "pending")
        self._approvals[approval] = state if _FORWARD.get(state, 2) > _FORWARD.get(known, 2) else known

    def _take_rare(self, kind: str, fields: dict[str, Any]) -> None:
        match kind:
            case "asked":
                self._reach(fields["approval"], "pending")
                self._votes |= {(fields["approval"], person, "approve") for person in fields["carried"]}
            case "voted":
                self._reach(fields["approval"], fields["state"])
                self._votes.add((fields["approval"], fields["person"], fields["answer"]))
            case "halted":
                self._halts[fields["scope"]] += 0 if fields["again"] else 1
            case "unhalted":
                self._halts[fields["scope"]] -= 1
            case "tool":
                self._tools.add(fields["tool_digest"])
            case "policy":
                self._policies[fields["revision"]] = fields["bundle"]
            case _:
                self._reach(fields["approval"], fields["state"])

    def disagreements(self, connection: Connection) -> Iterator[Disagreement]:
        """What the tables say otherwise."""
        yield from self._about_calls(connection)
        states = dict(connection.execute(_APPROVALS).fetchall())
        for name in sorted(states.keys() | self._approvals.keys()):
            yield from _differ(f"approval {name}", states.get(name), self._approvals.get(name))
        votes = {(row[0], row[1], row[2]) for row in connection.execute(_VOTES).fetchall()}
        for approval, person, answer in sorted(votes ^ self._votes):
            where = (
                "stored but not recorded"
                if (approval, person, answer) in votes
                else "recorded but not stored"
            )
            yield None, None, f"the vote '{answer}' of {person} on approval {approval} is {where}"
        halts = {scope for (scope,) in connection.execute(_HALTS).fetchall()}
        for scope in sorted(halts ^ {scope for scope, count in self._halts.items() if count}):
            yield (
                None,
                None,
                f"the halt of {scope} is "
                + ("on" if scope in halts else "off")
                + ", the records say otherwise",
            )
        yield from self._about_runs(connection)
        yield from self._about_definitions(connection)

    def _about_calls(self, connection: Connection) -> Iterator[Disagreement]:
        moves = 0
        for key, reference, state, count, _, log, sequence, body in connection.execute(_CALLS):
            moves += count
            if body is None:
                yield None, None, f"call_{key[:16]} points to a record that does not exist"
                continue
            marks = (
                b'"call":"%b"' % reference.encode(),
                b'"state":"%b"' % state.encode(),
                b'"move":%d,' % count,
            )
            if not all(mark in body for mark in marks):
                yield (
                    log,
                    sequence,
                    f"call_{key[:16]} is '{state}' after {count} moves; this record says otherwise",
                )
        if moves != self._moves:
            yield None, None, f"the calls have made {moves} moves, {self._moves} are recorded"

    def _about_runs(self, connection: Connection) -> Iterator[Disagreement]:
        count = 0
        for run, labels in connection.execute(_LABELS):
            count += 1
            if set(orjson.loads(labels)) != self._labels.get(run, set()):
                yield None, None, f"the labels of run {run!r} are not those that are recorded"
        if count != self._runs:
            yield None, None, f"{count} runs are stored, {self._runs} are recorded"

    def _about_definitions(self, connection: Connection) -> Iterator[Disagreement]:
        tools: set[str] = set()
        for name, definition in connection.execute(_TOOLS):
            tools.add(name)
            if digest(definition) != name:
                yield None, None, f"the definition of tool {name} is not the one that was stored"
        for name in sorted(tools ^ self._tools):
            yield (
                None,
                None,
                f"the definition of tool {name} is " + ("not recorded" if name in tools else "missing"),
            )
        policies = {
            revision: sha256(bundle).hexdigest() for revision, bundle in connection.execute(_POLICIES)
        }
        for revision in sorted(policies.keys() | self._policies.keys()):
            if policies.get(revision) != self._policies.get(revision):
                yield None, None, f"policy {revision} is not the one that was stored"


def _differ(what: str, stored: str | None, recorded: str | None) -> Iterator[Disagreement]:
    if stored != recorded:
        yield None, None, f"{what} is {stored or 'missing'}, recorded as {recorded or 'never asked for'}"
