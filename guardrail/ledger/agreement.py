"""Whether the tables that say how things stand agree with the records of how they came to stand so.

One pass over the records, log by log, gathers what they say. Nothing of it depends on the order of records in
different logs, and the calls are not kept in memory: they come in the order of the records that they point to
(the database sorts them, in a temporary file where they are many) and are compared as those go by. Every change of a
call's state carries a running number (`move`), so the sum of the calls' moves must be the number of such records,
and the record that each call points to must be its last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, or_, select

from guardrail.canonical import digest
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection, stream
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text

_calls = schema.calls.c
_CALLS: Final = text(
    select(_calls.record, _calls.reference, _calls.state, _calls.moves, _calls.key).order_by(_calls.record)
)
_APPROVALS: Final = text(select(schema.approvals.c.id, schema.approvals.c.state))
_asked = schema.approvals.c
_REQUESTS: Final = text(
    select(_asked.id, _asked.run, _asked.agent, _asked.chain, _asked.principal, _asked.tool, _asked.expires_at,
           _calls.reference, schema.records.c.body)
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
_LABELS: Final = text(select(schema.runs.c.id, schema.runs.c.labels))
_TOOLS: Final = text(select(schema.tools.c.digest, schema.tools.c.definition))
_activations = schema.activations.c
_FIELDS: Final = (
    "source", "turn", "result", "code", "by", "previous", "policy", "edition", "label", "counter", "at"
)  # fmt: skip
_ACTIVATIONS: Final = text(select(*(_activations[name] for name in _FIELDS)))
_POLICIES: Final = text(select(schema.policies.c.revision, schema.policies.c.bundle))

_QUIET: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "admitted": (b'"approval":null,', b'"kind":"admitted","log":%d,"move":'),
    "settled": (b"{", b'"kind":"settled","labels":[],"log":%d,"move":'),
}
"""What a record that says no more than that a call moved holds, in this order; the log's number is to be filled in."""

_GOES_ON: Final = {"suspended", "raised", "unknown"}
"""The states from which a call is admitted again under the approval that it has used."""

_FORWARD: Final = {"pending": 0, "approved": 1}
"""How far along an approval's states are; all others are ends."""

_RARE: Final = {
    "asked", "voted", "expired", "cancelled", "superseded", "edited", "remembered", "forgotten", "halted", "unhalted",
    "tool", "policy", "activation", "erased",
}  # fmt: skip

_Call = tuple[int, str, str, int, str]
"""Last record, reference, state, moves and key."""

Disagreement = tuple[int | None, int | None, str]
"""Log and sequence of the record, where there is one, and what is wrong."""


def says(body: bytes, kind: str, log: int, sequence: int, run: str | None) -> bool:
    """Whether the canonical body holds these fields; quotes in its strings are escaped, so text search is exact."""
    return (
        b'"kind":"%b"' % kind.encode() in body
        and b'"log":%d,' % log in body
        and (b'"sequence":%d,' % sequence in body or b'"sequence":%d}' % sequence in body)
        and (b'"run":' not in body if run is None else _named(run) in body)
    )


def telling(
    log: int, first: int, kinds: Sequence[str], runs: Sequence[str | None], bodies: Sequence[bytes]
) -> list[tuple[str, bytes]] | None:
    """The records that say more than that a call moved, as kind and body; None where columns and a body disagree.

    Most say no more. The fields of a body are sorted, so one search for a few of them, each behind the last, finds
    that out and compares the columns on its way; where it finds nothing, `says` compares them.

    Args:
        log: number of the log.
        first: place of the first record there; the others follow without gaps.
        kinds: as the columns say, and
        runs: the same.
        bodies: canonical JSON.
    """
    quiet = {kind: (mark, moved % log) for kind, (mark, moved) in _QUIET.items()}
    named = {run: _named(run) for run in set(runs) if run is not None}
    told: list[tuple[str, bytes]] = []
    for sequence, (kind, run, body) in enumerate(zip(kinds, runs, bodies, strict=True), first):
        if run is not None and kind in quiet:
            mark, moved = quiet[kind]
            start = body.find(named[run], body.find(moved, body.find(mark)))
            if body.find(b'"sequence":%d,' % sequence, start) >= 0:  # after -1, not found, no more is found
                continue
        if not says(body, kind, log, sequence, run):
            return None
        told.append((kind, body))
    return told


def _named(run: str) -> bytes:
    return b'"run":' + orjson.dumps(run)


class Agreement:
    """What the records say, gathered as they go by."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls: Iterator[_Call] = stream(connection, _CALLS)
        self._call = next(self._calls, None)
        self._differing: list[Disagreement] = []
        self._counted = self._moves = 0
        self._approvals: dict[str, str] = {}
        self._uses: dict[str, list[tuple[str, str, int]]] = {}
        self._votes: set[tuple[str, str, str]] = set()
        self._halts: Counter[str] = Counter()
        self._labels: dict[str, set[str]] = {}
        self._runs = 0
        self._tools: set[str] = set()
        self._policies: dict[str, str] = {}
        self._activations: set[tuple[Any, ...]] = set()
        self._scopes: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._erased: Counter[str | None] = Counter()

    def take(self, first: int, bodies: Sequence[bytes], told: Sequence[tuple[str, bytes]]) -> None:
        """Records in their order, later ones never before earlier ones.

        Args:
            first: the number of the first; the others follow without gaps.
            bodies: all of them.
            told: kind and body of those that say more than that a call moved (`telling`).
        """
        self._meet(first, bodies)
        self._moves += len(bodies) - len(told)
        for kind, body in told:
            if b'"move":' in body:
                self._moves += 1
            if kind in {"settled", "heard"}:
                if b'"labels":["' in body:
                    fields = orjson.loads(body)
                    self._labels.setdefault(fields["run"], set()).update(fields["labels"])
            elif kind == "admitted":
                if b'"approval":"' in body:
                    fields = orjson.loads(body)
                    self._reach(fields["approval"], "consumed")
                    use = fields["run"], fields["call"], fields["move"]
                    self._uses.setdefault(fields["approval"], []).append(use)
            elif kind == "begun":
                self._runs += 1
            elif kind in _RARE:
                self._take_rare(kind, orjson.loads(body))

    def _meet(self, first: int, bodies: Sequence[bytes]) -> None:
        """Compare the calls whose last record is one of these with it."""
        marks: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        call, end = self._call, first + len(bodies)
        while call is not None and call[0] < end:
            record, reference, state, count, key = call
            self._counted += count
            if record < first:
                self._differing.append(_lost(key))
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
            case "remembered":
                self._scopes[fields["scope"]] = fields["person"]
            case "forgotten":
                self._forgotten.add(fields["scope"])
            case "halted":
                self._halts[fields["scope"]] += 0 if fields["again"] else 1
            case "unhalted":
                self._halts[fields["scope"]] -= 1
            case "erased":
                self._erased[fields["run"]] += fields["details"]
            case "tool":
                self._tools.add(fields["tool_digest"])
            case "policy":
                self._policies[fields["revision"]] = fields["bundle"]
            case "activation":
                self._activations.add(tuple(fields[name] for name in _FIELDS))
            case _:
                self._reach(fields["approval"], fields["state"])

    def disagreements(self) -> Iterator[Disagreement]:
        """What the tables say otherwise."""
        connection = self._connection
        yield from self._about_calls()
        states = dict(connection.execute(_APPROVALS).fetchall())
        for name in sorted(states.keys() | self._approvals.keys()):
            yield from _differ(f"approval {name}", states.get(name), self._approvals.get(name))
        yield from self._about_requests(connection)
        yield from self._about_uses(connection)
        votes = {(row[0], row[1], row[2]) for row in connection.execute(_VOTES).fetchall()}
        for approval, person, answer in sorted(votes ^ self._votes):
            where = (
                "stored but not recorded"
                if (approval, person, answer) in votes
                else "recorded but not stored"
            )
            yield None, None, f"the vote '{answer}' of {person} on approval {approval} is {where}"
        yield from self._about_scopes(connection)
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

    def about_erasing(self, gone: Counter[str | None]) -> Iterator[Disagreement]:
        """Details that are not there, by their run, against what was recorded as erased."""
        for run in sorted(gone.keys() | self._erased.keys(), key=str):
            if gone[run] != self._erased[run]:
                of = "of no run" if run is None else f"of run {run!r}"
                yield None, None, f"{gone[run]} sealed details {of} are gone, {self._erased[run]} were erased"

    def _about_calls(self) -> Iterator[Disagreement]:
        yield from self._differing
        while self._call is not None:
            self._counted += self._call[3]
            yield _lost(self._call[4])
            self._call = next(self._calls, None)
        if self._counted != self._moves:
            yield None, None, f"the calls have made {self._counted} moves, {self._moves} are recorded"

    @staticmethod
    def _about_requests(connection: Connection) -> Iterator[Disagreement]:
        for name, run, agent, chain, principal, tool, expires, call, body in stream(connection, _REQUESTS):
            fields: dict[str, Any] = _read(body or b"{}") or {}
            stored = {
                "approval": name, "run": run, "agent": agent, "chain": _read(chain), "principal": principal,
                "tool": tool, "expires_at": expires, "call": call,
            }  # fmt: skip
            if any(fields.get(key) != said for key, said in stored.items()):
                yield None, None, f"the request of approval {name} is not the one that was recorded"

    def _about_uses(self, connection: Connection) -> Iterator[Disagreement]:
        """An approval is used once: further admissions under it are of a call that goes on."""
        for name, uses in sorted(self._uses.items()):
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
            scope: (person, scope in self._forgotten) for scope, person in self._scopes.items()
        }  # fmt: skip
        stored = {
            scope: (person, bool(forgotten)) for scope, person, forgotten in connection.execute(_SCOPES)
        }
        for scope in sorted(recorded.keys() | stored.keys()):
            if recorded.get(scope) != stored.get(scope):
                yield None, None, f"the remembered scope {scope} is not the one that is recorded"

    def _about_runs(self, connection: Connection) -> Iterator[Disagreement]:
        count = 0
        for run, labels in stream(connection, _LABELS):
            count += 1
            stored = _read(labels)
            listed = {str(label) for label in stored} if isinstance(stored, list) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if listed != self._labels.get(run, set()):
                yield None, None, f"the labels of run {run!r} are not those that are recorded"
        if count != self._runs:
            yield None, None, f"{count} runs are stored, {self._runs} are recorded"

    def _about_definitions(self, connection: Connection) -> Iterator[Disagreement]:
        tools: set[str] = set()
        for name, definition in stream(connection, _TOOLS):
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
            revision: sha256(bundle).hexdigest() for revision, bundle in stream(connection, _POLICIES)
        }
        for revision in sorted(policies.keys() | self._policies.keys()):
            if policies.get(revision) != self._policies.get(revision):
                yield None, None, f"policy {revision} is not the one that was stored"
        activations = {tuple(row) for row in connection.execute(_ACTIVATIONS)}
        for source, turn in sorted({(row[0], row[1]) for row in activations ^ self._activations}):
            yield None, None, f"activation {turn} of {source} is not the one that is recorded"


def _lost(key: str) -> Disagreement:
    return None, None, f"call_{key[:16]} points to a record that does not exist"


def _read(text: str | bytes) -> Any:
    """JSON of a table; None where somebody has made something else of it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _differ(what: str, stored: str | None, recorded: str | None) -> Iterator[Disagreement]:
    if stored != recorded:
        yield None, None, f"{what} is {stored or 'missing'}, recorded as {recorded or 'never asked for'}"
