"""The runner: every check of a list looks at one output, whatever becomes of any of them.

Here is the only place that catches whatever a check may raise: checks are other people's code, and one that fails
must read as an `error`, never as an output without faults.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, cast, get_args

from guardrail.canonical import check_text
from guardrail.errors import InvalidArguments, told
from guardrail.facts.secrets import secrets_in
from guardrail.outputs.check import Answer, CheckResult, CheckVerdict, ConfiguredCheck, Finding
from guardrail.outputs.output import Output, value_at
from guardrail.pointers import tokens

MAX_FINDINGS: Final = 500
"""Findings of one check; with more, whole texts are named in place of what is in them, then the whole content."""
MAX_MESSAGE: Final = 500
"""Characters of a message."""
MAX_OVERDUE: Final = 4
"""How often one check may be past its limit at the same time; meanwhile it is not asked again."""

_VERDICTS: Final = get_args(CheckVerdict)
_KIND: Final = re.compile(r"[\w@.+/:-]{1,200}", re.ASCII)
_SKIPPED: Final = Answer(verdict="skipped", message="it is not asked about this tool's outputs")


def run_checks(output: Output, checks: Sequence[ConfiguredCheck]) -> tuple[CheckResult, ...]:
    """What every check says of an output, in their order. Never raises for what a check does.

    Quick ones look in this thread, the others side by side in threads of their own, each up to its limit. A thread
    cannot be stopped: what goes on past its limit is left alone, and its answer is lost.
    """
    looks = [
        _Look(check, output) if check.limit is not None and check.looks_at(output) else None
        for check in checks
    ]
    return tuple(
        _result(check, look.answer() if look else _looked(check, output), output)
        for check, look in zip(checks, looks, strict=True)
    )


def unlooked(checks: Iterable[ConfiguredCheck], why: str) -> tuple[CheckResult, ...]:
    """The results where there is no output that checks could look at.

    Args:
        checks: which would have looked.
        why: what is wrong with the output, without what is in it.
    """
    return tuple(
        CheckResult(
            name=check.name,
            version=str(check.check.version),
            verdict="error",
            required=check.required,
            message=_without_secrets(why),
        )
        for check in checks
    )


def are_quick(checks: Iterable[ConfiguredCheck]) -> bool:
    """Whether `run_checks` waits for no thread, so that an event loop may run these in place."""
    return all(check.limit is None for check in checks)


def _looked(check: ConfiguredCheck, output: Output) -> Answer:
    """What a check says, in this thread."""
    if not check.looks_at(output):
        return _SKIPPED
    try:
        return check.check.look(output)
    except Exception as error:  # noqa: BLE001  checks are other people's code
        return _failed(error)


class _Look:
    """A look that is taken in a thread of its own."""

    def __init__(self, check: ConfiguredCheck, output: Output) -> None:
        self._check = check
        self._output = output
        self._box: list[Answer] = []
        self._until = time.monotonic() + cast("float", check.limit)
        self._thread = threading.Thread(target=self._work, name=f"guardrail check {check.name}", daemon=True)
        check.overdue[:] = [thread for thread in check.overdue if thread.is_alive()]
        self._started = len(check.overdue) < MAX_OVERDUE
        if self._started:
            self._thread.start()

    def _work(self) -> None:
        try:
            self._box.append(self._check.check.look(self._output))
        except BaseException as error:  # noqa: BLE001  as above; and a thread has nobody else to tell
            self._box.append(_failed(error))

    def answer(self) -> Answer:
        """What it says, waited for up to its limit."""
        if not self._started:
            return _error(f"it is still busy with {MAX_OVERDUE} outputs for which it took too long")
        self._thread.join(max(self._until - time.monotonic(), 0.0))
        if self._box:
            return self._box[0]
        self._check.overdue.append(self._thread)
        return _error(f"no answer within its limit of {self._check.limit:g} s")


def _failed(error: BaseException) -> Answer:
    return _error(f"it raised {told(error)}")


def _error(message: str) -> Answer:
    return Answer(verdict="error", message=message)


def _result(check: ConfiguredCheck, answer: object, output: Output) -> CheckResult:
    """The answer as policies see it, once it is one: types are hints in other people's code."""
    if fault := _fault(answer, output):
        answer = _error(f"its answer cannot be used: {fault}")
    said = cast("Answer", answer)
    return CheckResult(
        name=check.name,
        version=str(check.check.version),
        verdict=said.verdict,
        required=check.required,
        message=_without_secrets(said.message) if said.message else "",
        score=said.score,
        findings=_few(tuple(map(_nameable, said.findings))) if said.findings else (),
    )


def _fault(answer: object, output: Output) -> str:
    """What is wrong with an answer, in words; empty where it is well-formed."""
    if not isinstance(answer, Answer):
        return f"it is a {type(answer).__name__}, not an Answer"
    if answer.verdict not in _VERDICTS:
        return "its verdict is none of " + ", ".join(_VERDICTS)
    score = answer.score
    if score is not None and not (type(score) in {int, float} and math.isfinite(score)):
        return "its score is no finite number"
    if answer.message != "" and not _is_text(answer.message):
        return "its message is no text"
    findings: object = answer.findings
    if type(findings) is not tuple:
        return "its findings are no tuple"
    if not findings:
        return ""
    content = output.content
    return next(filter(None, (_astray(item, content) for item in answer.findings)), "")


def _astray(item: object, content: Any) -> str:
    """Why something is no finding in a content; empty where it is one."""
    if not isinstance(item, Finding):
        return "one of its findings is no Finding"
    if not (isinstance(cast("object", item.kind), str) and _KIND.fullmatch(item.kind)):
        return "the kind of a finding is no short word"
    try:
        value = value_at(content, item.at)
    except (LookupError, ValueError, TypeError, AttributeError):
        return "a finding stands where nothing is"
    if type(item.start) is not int or type(item.end) is not int:
        return "a finding begins or ends at no whole number"
    inside = isinstance(value, str) and 0 <= item.start < item.end <= len(value)
    return "" if inside or item.start == item.end == 0 else "a finding is outside of its text"


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and check_text(value, "")
    except InvalidArguments:
        return False


def _without_secrets(message: str) -> str:
    """A message, cut short, and without what looks like a secret: it goes into records."""
    for fact in sorted(secrets_in(message[: 4 * MAX_MESSAGE]), key=lambda fact: fact["start"], reverse=True):
        message = f"{message[: fact['start']]}[{fact['kind']}]{message[fact['end'] :]}"
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _nameable(finding: Finding) -> Finding:
    """A finding whose place can be named: a pointer goes through the names of members, which may be secrets."""
    at = finding.at
    while any(next(secrets_in(token), None) for token in tokens(at)):
        at = at.rpartition("/")[0]
    return finding if at == finding.at else Finding(kind=finding.kind, at=at)


def _few(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """At most so many findings, which together cover all that was found."""
    found = tuple(dict.fromkeys(findings))
    if len(found) > MAX_FINDINGS:
        found = tuple(dict.fromkeys(replace(finding, start=0, end=0) for finding in found))
    if len(found) > MAX_FINDINGS:
        found = tuple(dict.fromkeys(Finding(kind=finding.kind, at="") for finding in found))
    return found[:MAX_FINDINGS]
