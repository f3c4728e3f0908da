"""What records say of how things stand, gathered as they go by: of each log in its order, of the logs in any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from guardrail.ledger.schema import PLACES

_QUIET: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "admitted": (b'"approval":null,', b'"kind":"admitted","log":%d,"move":'),
    "settled": (b"{", b'"kind":"settled","labels":[],"log":%d,"move":'),
}
"""What a record that says no more than that a call moved holds, in this order; the log's number is to be filled in."""

_FORWARD: Final = {"pending": 0, "approved": 1}
"""How far along an approval's states are; all others are ends."""

_RARE: Final = {
    "asked", "voted", "expired", "cancelled", "superseded", "edited", "remembered", "forgotten", "halted", "unhalted",
    "tool", "policy", "activation", "erased", "pruned",
}  # fmt: skip

ACTIVATION: Final = (
    "source", "turn", "result", "code", "by", "previous", "policy", "edition", "label", "counter", "at"
)  # fmt: skip
"""What a record and a row of an activation both say."""


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


class Told:
    """What records have said.

    Attributes:
        moves: how often they say that a call has moved.
        runs: how many runs have begun.
        approvals: request → the furthest state that it has reached.
        uses: request → the admissions under it: run, call, move.
        votes: request, person, answer.
        halts: scope → how often it was turned on, less how often off.
        labels: run → its labels.
        tools: digests of definitions.
        policies: revision → digest of its bundle.
        activations: each as `ACTIVATION`.
        scopes: remembered scope → the person.
        forgotten: those that were taken back.
        erased: run → how many details were erased.
        pruned: logs whose records are gone; what is still needed of what those said counts as said.
    """

    def __init__(self) -> None:
        self.moves = self.runs = 0
        self.approvals: dict[str, str] = {}
        self.uses: dict[str, list[tuple[str, str, int]]] = {}
        self.votes: set[tuple[str, str, str]] = set()
        self.halts: Counter[str] = Counter()
        self.labels: dict[str, set[str]] = {}
        self.tools: set[str] = set()
        self.policies: dict[str, str] = {}
        self.activations: set[tuple[Any, ...]] = set()
        self.scopes: dict[str, str] = {}
        self.forgotten: set[str] = set()
        self.erased: Counter[str | None] = Counter()
        self.pruned: set[int] = set()

    def is_pruned(self, record: int) -> bool:
        """Whether a record was in a log that was pruned."""
        return bool(self.pruned) and record >> PLACES in self.pruned

    def take(self, count: int, told: Sequence[tuple[str, bytes]]) -> None:
        """Take in so many records, later ones of a log never before earlier ones.

        Args:
            count: how many.
            told: kind and body of those that say more than that a call moved (`telling`).
        """
        self.moves += count - len(told)
        for kind, body in told:
            if b'"move":' in body:
                self.moves += 1
            if kind in {"settled", "heard"}:
                if b'"labels":["' in body:
                    fields = orjson.loads(body)
                    self.labels.setdefault(fields["run"], set()).update(fields["labels"])
            elif kind == "admitted":
                if b'"approval":"' in body:
                    fields = orjson.loads(body)
                    self.reach(fields["approval"], "consumed")
                    use = fields["run"], fields["call"], fields["move"]
                    self.uses.setdefault(fields["approval"], []).append(use)
            elif kind == "begun":
                self.runs += 1
            elif kind in _RARE:
                self._take_rare(kind, orjson.loads(body))

    def reach(self, approval: str, state: str) -> None:
        """States only go forward, so the furthest one counts, in whichever log it was recorded."""
        known = self.approvals.get(approval, "pending")
        self.approvals[approval] = state if _FORWARD.get(state, 2) > _FORWARD.get(known, 2) else known

    def _take_rare(self, kind: str, fields: dict[str, Any]) -> None:
        match kind:
            case "asked":
                self.reach(fields["approval"], "pending")
                self.votes |= {(fields["approval"], person, "approve") for person in fields["carried"]}
            case "voted":
                self.reach(fields["approval"], fields["state"])
                self.votes.add((fields["approval"], fields["person"], fields["answer"]))
            case "remembered":
                self.scopes[fields["scope"]] = fields["person"]
            case "forgotten":
                self.forgotten.add(fields["scope"])
            case "halted":
                self.halts[fields["scope"]] += 0 if fields["again"] else 1
            case "unhalted":
                self.halts[fields["scope"]] -= 1
            case "erased":
                self.erased[fields["run"]] += fields["details"]
            case "pruned":
                self.pruned.update(fields["pruned"])
                self._carry(fields["carried"])
            case "tool":
                self.tools.add(fields["tool_digest"])
            case "policy":
                self.policies[fields["revision"]] = fields["bundle"]
            case "activation":
                self.activations.add(tuple(fields[name] for name in ACTIVATION))
            case _:
                self.reach(fields["approval"], fields["state"])

    def _carry(self, carried: Mapping[str, Any]) -> None:
        """Take in what was kept of records that were pruned: `guardrail.ledger.carried`."""
        self.moves += carried["moves"]
        self.runs += carried["runs"]
        self.halts.update(dict(carried["halts"]))
        self.erased.update(dict(carried["erased"]))
        for run, labels in carried["labels"]:
            self.labels.setdefault(run, set()).update(labels)
        for approval, state in carried["approvals"]:
            self.reach(approval, state)
        self.votes |= {(approval, person, answer) for approval, person, answer in carried["votes"]}
        self.forgotten.update(carried["forgotten"])
        self.tools.update(carried["tools"])
        self.policies.update(dict(carried["policies"]))
        self.activations |= {tuple(activation) for activation in carried["activations"]}
