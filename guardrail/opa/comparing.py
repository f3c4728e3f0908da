"""One policy, two engines: what OPA and the embedded interpreter decide about the same inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal

import orjson

from guardrail.bundles import Bundle
from guardrail.canonical import canonical
from guardrail.decisions import Decision, refuse
from guardrail.opa.process import Process, Questions
from guardrail.opa.questions import Question, asked_by_tests, asked_of_arguments, varied
from guardrail.rego.answers import decision_of
from guardrail.rego.findings import Finding
from guardrail.rego.interpreter import ENTRYPOINT, UNDEFINED, Interpreter, RegoError

Kind = Literal["opa", "embedded", "words"]
"""Where two decisions differ: less strict on OPA, less strict embedded, or as strict and in other words."""

_AT: Final = re.compile(r"(.+?):(\d+): ")
_STRICTNESS: Final[Mapping[str, int]] = {"allow": 0, "ask": 1, "deny": 2}
Progress = Callable[[int, int | None], None]
"""Told how many questions were asked, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A question that two engines answer otherwise.

    Attributes:
        question: what was asked.
        opa: what OPA decided, and
        embedded: what the embedded interpreter did.
    """

    question: Question
    opa: Decision
    embedded: Decision

    @property
    def kind(self) -> Kind:
        """Where it is less strict."""
        opa, embedded = _STRICTNESS[self.opa.effect], _STRICTNESS[self.embedded.effect]
        if opa == embedded:
            return "words"
        return "opa" if opa < embedded else "embedded"

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that spoke on one of them only, those of the stricter one first."""
        strict, lenient = (self.opa, self.embedded) if self.kind == "embedded" else (self.embedded, self.opa)
        alone = [rule for rule in strict.rules if rule not in lenient.rules]
        return (*alone, *(rule for rule in lenient.rules if rule not in strict.rules))


def compared(
    bundle: Bundle, questions: Iterable[Question], progress: Progress | None = None
) -> list[Difference]:
    """Ask both engines, and keep what they answer otherwise.

    Args:
        bundle: what decides.
        questions: what is asked.
        progress: told how many were asked, of how many.

    Raises:
        ConfigError: there is no OPA on this machine.
        PolicyError: OPA does not start, or refuses a module.
    """
    by_settings = sorted(questions, key=_settings)
    found: list[Difference] = []
    done = 0
    with Process(bundle, as_files=True) as process:
        opa = Questions(process.url)
        try:
            for _, group in groupby(by_settings, key=_settings):
                asked = list(group)
                found += _of_settings(bundle, opa, asked)
                done += len(asked)
                if progress is not None:
                    progress(done, len(by_settings))
        finally:
            opa.close()
    return found


def questions_of(bundle: Bundle) -> list[Question]:
    """Everything that a bundle is asked to compare engines: what its tests ask, and what its rules read, varied."""
    return list(varied([*asked_by_tests(bundle), *asked_of_arguments(bundle)]))


def findings_of(bundle: Bundle, differences: Iterable[Difference]) -> list[Finding]:
    """What two engines decide otherwise, by the rules that speak on one of them only; each finding once.

    Less strict on one of them is an error, other words are a warning.
    """
    found: dict[tuple[str, str, str], Finding] = {}
    for difference in differences:
        file, line, rule = _place(bundle, difference)
        asked = difference.question
        argument = asked.argument.removeprefix("/").replace("/", ".")
        where = f"{argument} is {asked.otherwise}" if argument else f"{asked.asked_by} asks"
        finding = Finding(
            file=file,
            line=line,
            rule="engines",
            message=f"{rule}: where {where}, OPA says {_words(difference.opa)}, "
            f"and the embedded interpreter {_words(difference.embedded)}",
            severity="warning" if difference.kind == "words" else "error",
        )
        found.setdefault((rule, argument, difference.kind), finding)
    return sorted(found.values())


def _place(bundle: Bundle, difference: Difference) -> tuple[str, int, str]:
    """Where a rule stands that speaks on one engine only, and its id; what an engine raises names its own place."""
    for decision in (difference.embedded, difference.opa):
        raised = decision.reasons[0]
        if raised.code == "policy.error" and (at := _AT.match(raised.message)):
            return at[1], int(at[2]), "what is raised"
    for rule in difference.rules:
        for path, source in bundle.rules.items():
            before, said, _ = source.partition(json.dumps(rule))
            if said:
                return path, before.count("\n") + 1, rule
    return next(iter(bundle.rules)), 1, ", ".join(difference.rules) or "a reason"


def _words(decision: Decision) -> str:
    reason = decision.reasons[0]
    more = f" and {len(decision.reasons) - 1} more" if len(decision.reasons) > 1 else ""
    return f"{decision.effect} ({reason.message}{more})"


def _settings(question: Question) -> bytes:
    return orjson.dumps(question.settings, option=orjson.OPT_SORT_KEYS)


def _of_settings(bundle: Bundle, opa: Questions, questions: list[Question]) -> Iterator[Difference]:
    """What differs of questions with the same settings."""
    data = bundle.data
    if (settings := questions[0].settings) is not None:
        data["settings"] = settings
        opa.put_data({"settings": settings})
    interpreter = Interpreter(bundle.rules, canonical(data))
    for question in questions:
        given = orjson.dumps(question.given)
        there, here = decided_by_opa(opa, given), _decided_here(interpreter, given)
        if _meaning(there) != _meaning(here):
            yield Difference(question=question, opa=there, embedded=here)


def decided_by_opa(opa: Questions, given: bytes) -> Decision:
    """What OPA decides about an input."""
    value, wrong = opa.ask(ENTRYPOINT, given)
    if wrong == "undefined":
        return decision_of(UNDEFINED, revision="")
    if wrong:
        return refuse("policy.error", wrong)
    return decision_of(orjson.dumps(value).decode(), revision="")


def _decided_here(interpreter: Interpreter, given: bytes) -> Decision:
    try:
        return decision_of(interpreter.answer(given.decode()), revision="")
    except RegoError as error:
        return refuse("policy.error", str(error))


def _meaning(decision: Decision) -> Any:
    """A decision without the words of errors, which are the engine's own, and without an order."""
    said = decision.as_json()
    reasons = [
        reason if reason["code"] == "rule" else {"code": reason["code"]} for reason in said.pop("reasons")
    ]
    return said, sorted(map(orjson.dumps, reasons))
