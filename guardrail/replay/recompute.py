"""The recomputing: every recorded decision again, from the stored policy, input and clock.

What this shows: whoever holds the key can tell that each decision is the one that the stored policy gives for the
stored input. That nobody has changed the records is another question, which `guardrail verify` answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson

from guardrail.decisions import Decision, ReasonCode
from guardrail.errors import CallError, VerificationFailed
from guardrail.judging import UNASKED, decision_about, said, unasked
from guardrail.policy import AllOf
from guardrail.releasing import EMIT
from guardrail.replay.history import Entry, Gone, History, Reading, Stretch
from guardrail.replay.policies import Policies
from guardrail.replay.recorded import Recorded, decision_in, input_of, may_decide

_TIMEOUT: Final[ReasonCode] = "policy.timeout"
_CHANGED: Final = "its sealed detail does not open: it was changed"
_WITHHELD: Final = "about an output that was withheld or changed, which is not kept"
_OTHER_FORM: Final = "the recorded policy input is of another form than today's"
_TOOK_LONG: Final = "the policy took too long, then or now: that depends on the machine"
_UNANSWERED: Final = "an OPA server gave no answer then"
_ELSEWHERE: Final = "an OPA server decided, and that it had the stored bundle is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A record whose decision is not the one that is recomputed.

    Attributes:
        log: its log, and
        sequence: its place there.
        run: the run, and
        call: how records name the call.
        what: what is different, for people.
        recorded: the decision as recorded; None where it cannot be read.
        recomputed: the decision as it is now; None where there is none.
    """

    log: int
    sequence: int
    run: str
    call: str
    what: str
    recorded: Mapping[str, Any] | None = None
    recomputed: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"log {self.log}, record {self.sequence}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """What was recomputed, and what was found.

    Attributes:
        records: how many records were looked at.
        equal: how many decisions are what they were.
        own: how many refusals were guardrail's own, so that no policy can give them again.
        erased: how many decisions cannot be recomputed since their detail was erased.
        closed: how many, since another key sealed their detail.
        unsaid: why others cannot be recomputed → how many.
        changed: what reads the stored policies today, and did in another version then.
        differences: the records whose decision is another one, in their order.
        pruned: how many records are gone, and so were not looked at.
    """

    records: int = 0
    equal: int = 0
    own: int = 0
    erased: int = 0
    closed: int = 0
    unsaid: Mapping[str, int] = field(default_factory=dict[str, int])
    changed: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    pruned: int = 0

    @classmethod
    def of(cls, parts: Iterable[Recomputation]) -> Recomputation:
        """Several as one, whatever their order."""
        found = list(parts)
        unsaid = Counter[str]()
        for part in found:
            unsaid.update(part.unsaid)
        places = (difference for part in found for difference in part.differences)
        return cls(
            records=sum(part.records for part in found),
            equal=sum(part.equal for part in found),
            own=sum(part.own for part in found),
            erased=sum(part.erased for part in found),
            closed=sum(part.closed for part in found),
            unsaid=dict(sorted(unsaid.items())),
            changed=tuple(sorted({change for part in found for change in part.changed})),
            differences=tuple(sorted(places, key=lambda found: (found.log, found.sequence))),
        )

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def claim(self) -> str:
        """What this shows, in words: no more than it does."""
        if self.differences:
            count = len(self.differences)
            return (
                f"{count:,} recorded decision{'s differ' if count > 1 else ' differs'}: {self.differences[0]}"
            )
        if not self.equal:
            return "no decision could be recomputed"
        if self.equal == 1:
            return "1 recorded decision is what the stored policy decides from the stored input"
        return f"{self.equal:,} recorded decisions are what the stored policies decide from the stored inputs"

    def require(self) -> None:
        """Raise unless nothing differs.

        Raises:
            VerificationFailed: names the first record that does.
        """
        if self.differences:
            raise VerificationFailed(
                self.claim,
                fix="run `guardrail verify`; where it finds nothing, what decides has changed, not the record",
            )

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"ok": self.ok, "claim": self.claim, **asdict(self)}


Progress = Callable[[int], None]
"""Told how many places of the history were passed since it was told last."""


def recompute(history: History, stretch: Stretch, progress: Progress | None = None) -> Recomputation:
    """Recompute the decisions of a stretch, in this process.

    Args:
        history: where to read.
        stretch: which part of it.
        progress: told, in steps, of how many places were passed.

    Raises:
        LedgerUnavailable: the ledger or its key cannot be read.
    """
    with history.opened() as reading:
        tally = _Tally(Policies(reading.connection))
        for passed in _walked(reading, stretch, tally):
            if progress is not None:
                progress(passed)
        return tally.result()


_STEP: Final = 1_000
"""Records between two words about progress."""


def _walked(reading: Reading, stretch: Stretch, tally: _Tally) -> Iterator[int]:
    """Take every record; tells now and then how many there were."""
    done = 0
    for entry in reading.entries(stretch, may_decide):
        tally.records += 1
        if entry is not None:
            tally.take(entry)
        if tally.records - done >= _STEP:
            yield tally.records - done
            done = tally.records
    yield tally.records - done


class _Tally:
    """Counts while the records go by."""

    def __init__(self, policies: Policies) -> None:
        self.records = 0
        self._policies = policies
        self._equal = self._own = 0
        self._gone = Counter[Gone]()
        self._unsaid = Counter[str]()
        self._changed: dict[str, None] = {}
        self._differences: list[Difference] = []

    def take(self, entry: Entry) -> None:
        """Recompute what a record decides."""
        if entry.gone == "changed":
            self._differ(entry, _CHANGED)
        elif entry.gone is not None:
            self._gone[entry.gone] += 1
        elif (recorded := decision_in(entry)) is not None:
            self._again(recorded)

    def _again(self, recorded: Recorded) -> None:
        decision = recorded.decision
        if recorded.is_own:
            self._own += 1
            return
        rebuilt = self._policies.of(decision["revision"])
        self._changed.update(dict.fromkeys(rebuilt.changed))
        if rebuilt.fault:
            self._differ(recorded.entry, rebuilt.fault, decision)
        elif rebuilt.policy is None:
            self._unsaid[rebuilt.why] += 1
        elif recorded.is_without_content:
            self._unsaid[_WITHHELD] += 1
        else:
            try:
                self._compare(recorded, again(recorded, rebuilt.policy))
            except (CallError, KeyError, TypeError):
                self._unsaid[_OTHER_FORM] += 1

    def _compare(self, recorded: Recorded, decision: Decision) -> None:
        then, now = _said(recorded.decision), _said(orjson.loads(orjson.dumps(decision)))
        if then == now:
            self._equal += 1
        elif any(reason["code"] == _TIMEOUT for reason in (*then["reasons"], *now["reasons"])):
            self._unsaid[_TOOK_LONG] += 1
        elif (elsewhere := _elsewhere(recorded.decision)) is not None:
            self._unsaid[elsewhere] += 1
        else:
            names = ", ".join(name for name in now if now[name] != then.get(name))
            self._differ(recorded.entry, f"another {names} is recomputed", then, now)

    def _differ(
        self,
        entry: Entry,
        what: str,
        recorded: Mapping[str, Any] | None = None,
        recomputed: Mapping[str, Any] | None = None,
    ) -> None:
        self._differences.append(
            Difference(
                log=entry.log,
                sequence=entry.sequence,
                run=entry.fields["run"],
                call=entry.fields["call"],
                what=what,
                recorded=recorded,
                recomputed=recomputed,
            )
        )

    def result(self) -> Recomputation:
        """What was found."""
        return Recomputation.of(
            [
                Recomputation(
                    records=self.records,
                    equal=self._equal,
                    own=self._own,
                    erased=self._gone["erased"],
                    closed=self._gone["closed"],
                    unsaid=self._unsaid,
                    changed=tuple(self._changed),
                    differences=tuple(self._differences),
                )
            ]
        )


def _elsewhere(decision: Mapping[str, Any]) -> str | None:
    """Why another decision may have been right, where another process was asked; None = it was not."""
    answered: list[Mapping[str, Any]] = decision.get("answered", [])
    if any(answer["by"] == "nobody" for answer in answered):
        return _UNANSWERED
    asked = any(answer["by"] == "opa" and answer["bundle"] != "same" for answer in answered)
    return _ELSEWHERE if asked else None


def _said(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What a decision says, whichever back end has answered."""
    return {name: value for name, value in decision.items() if name != "answered"}


def again(recorded: Recorded, policy: AllOf) -> Decision:
    """The decision once more, as of the recorded revision.

    Args:
        recorded: what was decided, and from what.
        policy: who decided, made again.
    """
    revision: str = recorded.decision["revision"]
    given = recorded.given
    if recorded.decision["reasons"] == [UNASKED.as_json()]:
        asked = decision_about(input_of(given), policy) if given else None
        if asked is None or asked.effect != "allow":
            return unasked(asked, revision=revision)
        return replace(asked, revision=revision)
    shown = input_of(given)
    if shown.point == "action" and shown.call.tool.title == EMIT.title:
        return said(revision)
    return replace(decision_about(shown, policy), revision=revision)
