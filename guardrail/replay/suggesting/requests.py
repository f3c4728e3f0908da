"""The requests of a history: what people were asked about, what they said, and what became of the call.

Everything is read from records, which `guardrail verify` covers; the tables that the ledger works with are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from guardrail.records import Kind
from guardrail.releasing import SERVER
from guardrail.replay.history import Entry, Gone, History

_SAID: Final[frozenset[Kind]] = frozenset({"voted", "edited"})
_STEPS: Final[frozenset[Kind]] = frozenset(
    {"begun", "admitted", "asked", "denied", "heard", "settled", "resolved"}
)
_KINDS: Final = _SAID | _STEPS
_ENDED: Final = frozenset({"returned", "raised"})

Fate = Literal["agreed", "refused", "changed", "open"]
"""What people made of a request: their yes ran the call, they said no, they changed it, or nothing came of it."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, as records tell of it.

    Attributes:
        approval: its id; several calls may wait with one.
        place: of its record: log and sequence.
        call: the call that asked, as records name it.
        run: the run.
        tool: `server/name`.
        at: when people were asked.
        given: the policy input; None where it cannot be read, and
        gone: why.
        decision: what the policy said.
        edits: the call is one whose arguments a person had changed.
        yes: who said yes to this very request.
        unopened: somebody said so without having been shown the complete arguments.
        fate: what people made of it.
        carried: votes were taken over from a request before.
        folded: an identical call waited already, and this one waited with it.
    """

    approval: str
    place: tuple[int, int]
    call: str
    run: str
    tool: str
    at: str
    given: Mapping[str, Any] | None
    gone: Gone | None
    decision: Mapping[str, Any]
    edits: bool
    carried: bool
    folded: bool
    yes: set[str] = field(default_factory=set[str])
    unopened: bool = False
    fate: Fate = "open"

    @property
    def asks(self) -> Sequence[Mapping[str, Any]]:
        """The requirements."""
        asks: Sequence[Mapping[str, Any]] = self.decision.get("asks", ())
        return asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A call that was denied since no rule had anything to say of it.

    Attributes:
        given: the policy input.
    """

    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What people were asked in a history.

    Attributes:
        requests: every request about a call, in the order in which they were made.
        silent: calls that were denied since no rule allowed them.
        at_once: calls that ran right after people had said yes, before anything else was decided in their run.
    """

    requests: tuple[Request, ...]
    silent: tuple[Denial, ...]
    at_once: frozenset[str]


def asked(history: History, progress: Callable[[int, int | None], None] | None = None) -> Asked:
    """Read what people were asked.

    Args:
        history: where to read; all of it is read.
        progress: is told how many records were read.

    Raises:
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    reading = _Reading()
    with history.opened() as opened:
        for count, entry in enumerate(opened.in_order(lambda kind, _: kind in _KINDS), start=1):
            reading.take(entry)
            if progress is not None and count % 500 == 0:
                progress(count, None)
    return Asked(
        requests=tuple(reading.requests),
        silent=tuple(reading.silent),
        at_once=frozenset(reading.at_once),
    )


class _Reading:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.silent: list[Denial] = []
        self.at_once: set[str] = set()
        self._of_approval: dict[str, list[Request]] = {}
        self._of_call: dict[str, list[Request]] = {}
        self._steps: dict[str, tuple[str, str]] = {}  # run → its last step, while that may lead straight on

    def take(self, entry: Entry) -> None:
        """Take the next record."""
        if entry.kind in _SAID:
            self._said(entry)
        elif entry.kind != "begun":
            self._step(entry)
            if entry.kind == "asked":
                self._asked(entry)
            elif entry.kind == "admitted":
                self._admitted(entry)
            elif entry.kind == "denied":
                self._denied(entry)

    def _step(self, entry: Entry) -> None:
        """Follow a call from the question to its end, as long as nothing else happens in its run."""
        fields = entry.fields
        run, call = fields["run"], fields.get("call", "")
        match entry.kind, self._steps.pop(run, ("begun", "")):
            case "asked", _:
                self._steps[run] = ("asked", call)
            case "admitted", ("asked", before) if before == call and fields.get("approval"):
                self._steps[run] = ("admitted", call)
            case "settled", ("admitted", before) if before == call and fields.get("state") in _ENDED:
                if len(self._of_call.get(call, ())) == 1:
                    self.at_once.add(call)
            case _:
                pass

    def _asked(self, entry: Entry) -> None:
        fields, detail = entry.fields, entry.detail or {}
        if fields["tool"].startswith(f"{SERVER}/"):
            return  # an output that waits
        waiting = self._of_approval.setdefault(fields["approval"], [])
        request = Request(
            approval=fields["approval"],
            place=(entry.log, entry.sequence),
            call=fields["call"],
            run=fields["run"],
            tool=fields["tool"],
            at=fields["at"],
            given=detail.get("given"),
            gone=entry.gone,
            decision=detail.get("decision", {}),
            edits=bool(fields.get("edits")),
            carried=bool(fields.get("carried")),
            folded=bool(waiting),
        )
        self.requests.append(request)
        waiting.append(request)
        self._of_call.setdefault(request.call, []).append(request)

    def _said(self, entry: Entry) -> None:
        for request in self._of_approval.get(entry.fields["approval"], ()):
            if entry.kind == "edited":
                request.fate = "changed"
            elif entry.kind == "voted" and entry.fields["answer"] == "reject":
                request.fate = "refused"
            elif entry.kind == "voted":
                request.yes.add(entry.fields["person"])
                request.unopened = request.unopened or not entry.fields["opened"]

    def _admitted(self, entry: Entry) -> None:
        """The call runs: people have agreed to what it was asked about before, unless the policy alone lets it run."""
        if not (entry.fields.get("approval") or entry.fields.get("remembered")):
            return
        for request in self._of_call.get(entry.fields["call"], ()):
            if request.fate == "open":
                request.fate = "agreed"

    def _denied(self, entry: Entry) -> None:
        if entry.detail is not None and entry.fields["codes"] == ["policy.silent"]:
            self.silent.append(Denial(given=entry.detail["given"]))
