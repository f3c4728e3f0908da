"""The what-if: another policy over what was recorded, run by run, each call in the state that it would have met.

Records are walked in the order in which calls were admitted. Each call goes down the line once more, judged by the
candidate, with answers from the record: whether people agreed, what the tool returned. Budgets, labels, usage and
history are made again on the way. A run that comes out otherwise cannot be followed any further: after a refusal or a
question its agent would not have come to its next calls, and after a permission nobody knows what it would have done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

from guardrail.budgets import Reservation
from guardrail.hidden import Hidden
from guardrail.records import Kind
from guardrail.releasing import RELEASE
from guardrail.replay.admitting import Admitting, Turn
from guardrail.replay.budgets import Budgets
from guardrail.replay.candidate import Candidate, Definitions
from guardrail.replay.driver import Walked
from guardrail.replay.findings import Because, Finding, Said, becauses
from guardrail.replay.history import Entry, History, Reading
from guardrail.replay.recorded import Recorded, decision_in
from guardrail.replay.reviewing import Reviewing
from guardrail.replay.runs import Divergence, RunSoFar

_TURNS: Final[frozenset[Kind]] = frozenset({"admitted", "asked", "denied"})
_KINDS: Final[frozenset[Kind]] = frozenset({*_TURNS, "begun", "heard", "settled", "resolved"})
_AFTER: Final[Mapping[str, Divergence]] = {
    "denied": Divergence(then="unreachable", why="its run has been refused something before"),
    "asked": Divergence(then="unreachable", why="its run waits for people"),
    "allowed": Divergence(then="unsure", why="its run was allowed something before that had not happened"),
}
"""What is said of the rest of a run after a flip."""
_HANDED_ON: Final = Said(answer="allowed")


def what_if(history: History, candidate: Candidate) -> Iterator[Finding]:
    """Walk a history under a candidate; a finding for each decision, in the order of the records.

    Of all of the history the budgets count; findings are given of what is asked for.

    Args:
        history: where to read, and of which run, or since when, findings are wanted.
        candidate: who decides.

    Raises:
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    for (finding,) in _walked(history, [candidate]):
        if finding is not None:
            yield finding


def between(history: History, first: Candidate, second: Candidate) -> Iterator[Finding]:
    """Two candidates over one history, compared with each other instead of with what was recorded.

    Raises:
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    for one, other in _walked(history, [first, second]):
        if (finding := _compared(one, other)) is not None:
            yield finding


def each_beside(
    history: History, base: Candidate, others: Sequence[Candidate], agreed: AbstractSet[str]
) -> Iterator[tuple[Finding | None, ...]]:
    """Several candidates over one history, each compared with a first one; for each record, a finding of each.

    Args:
        history: where to read.
        base: what they are compared with.
        others: the candidates.
        agreed: calls, as records name them, that people said yes to and that then ran at once, as they were. What
            such a call has returned is taken to be what it would have without them, so its run can be followed on.

    Raises:
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    for one, *rest in _walked(history, [base, *others], agreed):
        yield tuple([_compared(one, other) for other in rest])


def _compared(one: Finding | None, other: Finding | None) -> Finding | None:
    if one is not None and other is not None:
        return replace(other, before=one.now)
    if one is not None:  # nobody has anything to say of that output any more: it is handed on
        return replace(one, before=one.now, now=_HANDED_ON)
    return None if other is None else replace(other, before=_HANDED_ON)


def _walked(
    history: History, candidates: Sequence[Candidate], agreed: AbstractSet[str] = frozenset()
) -> Iterator[tuple[Finding | None, ...]]:
    """Every record once, with what there is to find of it under each candidate."""
    with replace(history, run=None, since="").opened() as reading:
        definitions = Definitions(reading.connection)
        walks = [_Walk(history, candidate, definitions, agreed, reading) for candidate in candidates]
        for entry in reading.in_order(lambda kind, _: kind in _KINDS):
            yield tuple([walk.take(entry) for walk in walks])


@dataclass(slots=True)
class _Running:
    """A call that was admitted and has not ended.

    Attributes:
        walked: where it stands on the line; None = it was not judged.
        given: the policy input that it was admitted by.
        taken: what it took from budgets.
    """

    walked: Walked | None
    given: Mapping[str, Any]
    taken: tuple[Reservation, ...]


class _Walk:
    def __init__(
        self, history: History, candidate: Candidate, definitions: Definitions, agreed: AbstractSet[str],
        reading: Reading,
    ) -> None:  # fmt: skip
        self._history = history
        self._agreed = agreed
        self._candidate = candidate
        self._reading = reading
        self._budgets = Budgets(whole=reading.is_whole)
        self._admitting = Admitting(candidate, self._budgets, definitions)
        self._reviewing = Reviewing(candidate)
        self._runs: dict[str, RunSoFar] = {}
        self._running: dict[str, _Running] = {}
        self._hidden: dict[str, Hidden] = {}

    def take(self, entry: Entry) -> Finding | None:
        """Take the next record."""
        run = self._runs.get(entry.fields["run"]) or self._begin(entry.fields["run"])
        if entry.kind in _TURNS:
            finding = self._turn(entry, run)
        elif entry.kind == "settled":
            finding = self._settled(entry, run)
        else:
            self._other(entry, run)
            return None
        if entry.kind in (
            "denied",
            "settled",
        ):  # nothing is said of this call any more, or it is decided anew
            self._hidden.pop(entry.fields["call"], None)
        return finding

    def _begin(self, name: str) -> RunSoFar:
        """A run that is met for the first time; nobody can follow one whose beginning was pruned."""
        run = self._runs[name] = RunSoFar()
        if self._reading.lacks_beginning(name):
            run.diverged = Divergence(then="unsure", why="the beginning of its run was pruned")
        return run

    def _other(self, entry: Entry, run: RunSoFar) -> None:
        if entry.kind == "resolved":
            self._ended(entry, run)
        run.label(entry.fields.get("labels", ()))

    def _is_asked_for(self, entry: Entry) -> bool:
        fields, history = entry.fields, self._history
        return history.run in (None, fields["run"]) and bool(fields["at"] >= history.since)

    # --- calls ----------------------------------------------------------------------------------------

    def _turn(self, entry: Entry, run: RunSoFar) -> Finding | None:
        """A call was decided about: admitted, asked about or denied."""
        recorded = decision_in(entry)
        before = _recorded(entry, recorded)
        if recorded is not None and recorded.decision["mask"]:
            arguments, name = recorded.given.get("arguments", {}), entry.fields["call"]
            hidden = Hidden.of(arguments, recorded.decision["mask"])
            self._hidden[name] = self._hidden.get(name, Hidden()) | hidden
        if run.diverged is not None:
            self._lose(entry, run, recorded)
            return self._finding(entry, before, Said(answer=run.diverged.then, why=run.diverged.why))
        if recorded is None:
            why = f"a detail of its run was {entry.gone}" if entry.gone else "its record holds no decision"
            self._budgets.doubt_all(entry.fields["chain"], entry.fields["at"])
            return self._diverge(entry, run, before, Said(answer="unsure", why=why))
        if not self._is_asked_for(entry):
            self._go_on(entry, run, self._admitting.as_recorded(recorded))
            return None
        if entry.kind == "admitted" and entry.fields["call"] in run.ahead:  # it was, when people were asked
            run.admit(entry, (), entry.fields["effect"])
            return self._finding(entry, before, before)
        turn = self._admitting.turn(recorded, run)
        if turn.walked is not None and before.answer == "asked" and entry.fields["call"] in self._agreed:
            return self._go_ahead(entry, run, turn, before)
        if turn.said.answer != before.answer:
            self._budgets.doubt(turn.reservations)
            run.counted.add(entry.fields["call"])
            return self._diverge(entry, run, before, turn.said)
        self._go_on(entry, run, turn)
        return self._finding(entry, before, turn.said)

    def _go_on(self, entry: Entry, run: RunSoFar, turn: Turn) -> None:
        """The run goes on as it did."""
        name, effect = entry.fields["call"], turn.effect
        if entry.kind != "admitted":
            run.refuse(entry, effect)
            return
        taken = () if entry.fields.get("resumed") else turn.reservations
        self._budgets.take(taken)
        run.admit(entry, taken, effect)
        self._running[name] = _Running(turn.walked, turn.given, taken)

    def _go_ahead(self, entry: Entry, run: RunSoFar, turn: Turn, before: Said) -> Finding | None:
        """Nobody has to be asked about a call that people said yes to: the run goes on as it did after that."""
        self._budgets.take(turn.reservations)
        run.go_ahead(entry, turn.reservations, turn.effect)
        self._running[entry.fields["call"]] = _Running(turn.walked, turn.given, turn.reservations)
        return self._finding(entry, before, turn.said)

    def _lose(self, entry: Entry, run: RunSoFar, recorded: Recorded | None) -> None:
        """A call of a run that nobody can follow: it may spend what it would have."""
        name = entry.fields["call"]
        if name in run.counted:
            return
        run.counted.add(name)
        if recorded is None:
            self._budgets.doubt_all(entry.fields["chain"], entry.fields["at"])
        else:
            self._budgets.doubt(self._admitting.as_recorded(recorded).reservations)

    # --- outcomes -------------------------------------------------------------------------------------

    def _settled(self, entry: Entry, run: RunSoFar) -> Finding | None:
        running = self._ended(entry, run)
        labels = entry.fields.get("labels", ())
        if not self._reviewing.is_due(entry):
            run.label(labels)
            return None
        before = self._reviewing.before(entry)
        if run.diverged is not None:
            now = Said(answer=run.diverged.then, why=run.diverged.why)
        elif running is None or running.walked is None:  # it is not asked for
            run.label(labels)
            return None
        else:
            now = self._reviewing.review(entry, running.walked, running.given, run)
            run.label(labels)
            if now.answer != before.answer:
                return self._diverge(entry, run, before, now, point="output")
            if now.why:
                run.diverged = Divergence(then="unsure", why=now.why)
        return self._finding(entry, before, now, point="output")

    def _ended(self, entry: Entry, run: RunSoFar) -> _Running | None:
        """A call has ended: it gives back what it took where it did not run."""
        running = self._running.pop(entry.fields["call"], None)
        taken = () if running is None else running.taken
        if entry.fields["state"] == "blocked":
            self._budgets.give_back(taken)
        if run.diverged is None:
            effect = (
                entry.fields["effect"] if running is None else self._candidate.effect(running.given["tool"])
            )
            run.end(entry, taken, effect)
        return running

    # --- findings -------------------------------------------------------------------------------------

    def _diverge(self, entry: Entry, run: RunSoFar, before: Said, now: Said, **point: Any) -> Finding | None:
        run.diverged = _AFTER.get(now.answer) or Divergence(then="unsure", why=now.why)
        return self._finding(entry, before, now, **point)

    def _finding(self, entry: Entry, before: Said, now: Said, *, point: Any = None) -> Finding | None:
        fields = entry.fields
        if not self._is_asked_for(entry):
            return None
        hidden = self._hidden.get(fields["call"], Hidden())
        of_output = point == "output" or fields["tool"] == RELEASE.title
        return Finding(
            log=entry.log,
            sequence=entry.sequence,
            at=fields["at"],
            run=fields["run"],
            call=fields["call"],
            tool=fields["tool"],
            agent=fields["agent"],
            point="output" if of_output else "action",
            before=_masked(before, hidden),
            now=_masked(now, hidden),
        )


def _masked(said: Said, hidden: Hidden) -> Said:
    """In words that may be shown: what was masked then, no other policy tells."""
    if not hidden:
        return said
    told = (replace(because, message=hidden.text(because.message)) for because in said.reasons)
    return replace(said, reasons=tuple(told))


def _recorded(entry: Entry, recorded: Recorded | None) -> Said:
    """What became of a call, as recorded."""
    reasons: tuple[Because, ...] = tuple(Because(rule=rule, message="") for rule in entry.fields["rules"])
    if recorded is not None:
        stopped: Sequence[Mapping[str, Any]] = (entry.detail or {}).get("stopped", ())
        reasons = becauses(stopped or recorded.decision["reasons"])
    match entry.kind:
        case "admitted":
            return Said(answer="allowed", reasons=reasons)
        case "asked":
            return Said(answer="asked", reasons=reasons)
        case _:
            return Said(answer="denied", reasons=reasons)
