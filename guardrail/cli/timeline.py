"""The timeline of a run, from its records: call → decision → approval → outcome, as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import orjson

from guardrail.cli.arguments import ShownArguments, shown_arguments
from guardrail.hidden import Hidden

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.records import Record

_ENDS: Final = frozenset({"returned", "raised", "blocked", "suspended", "unknown", "resolved"})
"""What ends what was admitted."""
_ANSWERS: Final = frozenset({"approved", "rejected", "expired", "cancelled", "superseded", "edited"})
"""What ends a wait for people, each as far as it goes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One record of a call, in words.

    Attributes:
        at: RFC 3339, UTC.
        event: what happened, in one word: `denied`, `asked`, `voted`, `admitted`, `returned`, …
        why: reasons with their rules, people, messages.
        observed: nothing was enforced.
    """

    at: str
    event: str
    why: tuple[str, ...] = ()
    observed: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"at": self.at, "event": self.event, "why": list(self.why), "observed": self.observed}


@dataclass(kw_only=True)
class Story:
    """What is recorded of one call, in order.

    Attributes:
        fields: of its first record that names the agent and the tool.
        key: the call's key, where a detail that holds it can still be opened.
        arguments: those that were judged; None = they were erased, or never had a form.
        mask: what its decisions mask.
        result: what was kept of the tool's result, as JSON text.
    """

    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: str = ""
    arguments: Mapping[str, Any] | None = None
    mask: tuple[str, ...] = ()
    result: str | None = None
    steps: list[Step] = field(default_factory=list[Step])

    @property
    def reference(self) -> str:
        """How people name the call."""
        return f"call_{self.key[:16]}" if self.key else f"record {self.fields.get('call', '')}"

    @property
    def chain(self) -> tuple[str, ...]:
        """The agents through which the tool was reached."""
        return tuple(self.fields.get("chain") or (self.fields.get("agent", ""),))

    @property
    def state(self) -> str:
        """The last thing that happened."""
        return self.steps[-1].event if self.steps else ""

    @property
    def ran(self) -> float | None:
        """Seconds from its last admission to its outcome; None where it has none."""
        return self._seconds({"admitted"}, _ENDS)

    @property
    def waited(self) -> float | None:
        """Seconds for which people were asked, until what followed; None where nobody was, or nothing did yet."""
        asked = [place for place, step in enumerate(self.steps) if step.event == "asked"]
        after = self.steps[asked[0] + 1 :] if asked else []
        answered = [step for step in after if step.event in _ANSWERS]
        return _between(self.steps[asked[0]].at, answered[-1].at) if answered else None

    def _seconds(self, begins: Collection[str], ends: Collection[str]) -> float | None:
        """From the last step of one kind to the first of another kind after it."""
        places = [place for place, step in enumerate(self.steps) if step.event in begins]
        after = self.steps[places[-1] + 1 :] if places else []
        end = next((step.at for step in after if step.event in ends), None)
        return None if end is None else _between(self.steps[places[-1]].at, end)

    def shown(self, config: Config, *, reveal: bool = False) -> ShownArguments | None:
        """Its arguments, as far as they may be shown."""
        return (
            None
            if self.arguments is None
            else shown_arguments(self.arguments, self.mask, config, reveal=reveal)
        )

    def conceal(self, hide: Iterable[str]) -> None:
        """Take out of its words, and of its result, what its decisions mask or `hide` names."""
        hidden = Hidden.of(self.arguments or {}, (*self.mask, *hide))
        if not hidden:
            return
        self.steps = [replace(step, why=tuple(map(hidden.text, step.why))) for step in self.steps]
        if self.result is not None:
            self.result = json.dumps(hidden.value(json.loads(self.result)), ensure_ascii=False)

    def take(self, fields: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
        """Add one record."""
        if "tool" in fields and not self.fields:
            self.fields = fields
        self.key = self.key or detail.get("key", "")
        self.result = detail.get("result") or self.result
        decision: Mapping[str, Any] = detail.get("decision") or {}
        self.mask = tuple(dict.fromkeys((*self.mask, *decision.get("mask", ()))))
        given: Mapping[str, Any] = detail.get("given") or {}
        if self.arguments is None:
            self.arguments = given.get("arguments")
        self.steps.append(step(fields, detail))


def _between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def lasted(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    return f"{seconds:.1f} s" if seconds < 60 else f"{whole // 60} min {whole % 60} s"


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many agents two chains begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def stories(records: Iterable[Record], hide: Collection[str] = (), *, reveal: bool = False) -> list[Story]:
    """What the records of one run say, a story a call, in the order in which the calls first appear.

    Several processes write logs of their own: what puts their records in order is the time of their commits.

    Args:
        records: of one run.
        hide: JSON pointers into arguments, beside those that the decisions mask: no words say what stands there.
        reveal: they do: the holder of the key wants to see it.
    """
    found: dict[str, Story] = {}
    for record in sorted(records, key=lambda record: str(record.fields["at"])):
        reference = record.fields.get("call")
        if reference is not None:
            detail = orjson.loads(record.detail) if record.detail is not None else None
            found.setdefault(reference, Story()).take(record.fields, detail or {})
    if not reveal:
        for story in found.values():
            story.conceal(hide)
    return list(found.values())


def step(fields: Mapping[str, Any], detail: Mapping[str, Any]) -> Step:
    """One record in words."""
    kind: str = fields["kind"]
    event, why = kind, list[str]()
    if kind in ("denied", "asked", "admitted"):
        why = _decided(fields, detail)
    elif kind == "voted":
        event = {"approve": "approved", "reject": "rejected"}[fields["answer"]]
        why = [f"by {fields['person']} ({fields['channel']})", detail.get("reason", "")]
    elif kind in ("settled", "late"):
        event = "late" if kind == "late" else fields["status"]
        ended = f"it {fields['status']} after it had been resolved without that" if kind == "late" else ""
        lost = "the process that ran it is gone" if "lost" in fields else ""
        why = [ended, lost, detail.get("message", "")]
    elif kind == "resolved":
        why = [f"{fields['by']} says that it {'ran' if fields['ran'] else 'did not run'}"]
    elif kind == "edited":
        why = [f"by {fields['person']} ({fields['channel']})", detail.get("reason", "")]
    if kind in ("asked", "expired", "cancelled", "superseded", "edited", "remembered"):
        why.append(f"approval {fields['approval']}")
    return Step(
        at=fields["at"],
        event=event,
        why=tuple(text for text in why if text),
        observed=bool(fields.get("observe") or fields.get("observed")),
    )


def _decided(fields: Mapping[str, Any], detail: Mapping[str, Any]) -> list[str]:
    """What was decided, and why: in the policy's words where they are kept, else by rule."""
    decision: Mapping[str, Any] = detail.get("decision") or {}
    reasons: list[Mapping[str, Any]] = detail.get("stopped") or decision.get("reasons") or []
    if fields["kind"] == "admitted" and fields.get("approval"):
        why = [f"approval {fields['approval']} is used up"]  # the reasons stand where people were asked
    else:
        why = [f"{reason['message']} [{reason['rule']}]" for reason in reasons]
        why = why or [f"[{rule}]" for rule in fields.get("rules", ())]
    why += [
        f"a yes that was given beforehand covers it [scope {scope}]" for scope in fields.get("remembered", ())
    ]
    if fields.get("observe") and fields.get("decision") != "allow":
        why.insert(0, f"OBSERVE MODE, not enforced: {fields['decision']}")
    why += [f"over budget, not enforced [{rule}]" for rule in fields.get("over", ())]
    why += [
        f"observed, not enforced: {item['message']} [{item['rule']}]" for item in decision.get("observed", ())
    ]
    return [*why, *map(_answered, decision.get("answered", ()))]


def _answered(answer: Mapping[str, Any]) -> str:
    """Who has answered, where a policy asks another process."""
    if answer["by"] == "embedded":
        return f"the embedded policies decided in place of the OPA server: {answer['why']}"
    named = [f"bundle {revision[:16]}" for revision in answer["bundles"].values() if revision]
    named += [f"decision {answer['decision_id']}"] if answer["decision_id"] else []
    return f"answered by OPA ({', '.join(named)})" if named else "answered by OPA"
