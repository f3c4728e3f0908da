"""A what-if over decision logs of OPA: each event decided once more, by itself.

An event holds the input that a policy saw, and what it said; the calls around it, what they spent and what people
answered are not in it. So budgets are not looked at, and no event makes later ones unreachable: where there is a
ledger, `what_if` tells more. Usage, history and labels are what the input says of them.

Source: Open Policy Agent, "Decision Logs": events as a JSON array, or one a line, compressed or not.
"""

from __future__ import annotations

import gzip
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson
from pydantic import BaseModel, ValidationError

from guardrail.decisions import Verdict
from guardrail.errors import CallError, ConfigError
from guardrail.releasing import SERVER
from guardrail.replay.candidate import Candidate
from guardrail.replay.findings import NOT_KEPT, Because, Finding, Said, Then, becauses
from guardrail.replay.recorded import input_of

PATH: Final = "guardrail/decision"
"""The decision that events have to be about; others are counted."""
NO_INPUT: Final = "its input, or a part of it, was masked or erased before it was logged"
OWN: Final = "guardrail decided by itself, no policy was asked"
_ANSWERS: Final[Mapping[Verdict, Then]] = {"allow": "allowed", "ask": "asked", "deny": "denied"}
_NULL_BYTES: Final = len(b"null")
_GZIP: Final = b"\x1f\x8b"


class Result(BaseModel):
    """What a policy said: the effect, with reasons, or with the names of rules alone."""

    effect: Verdict
    reasons: tuple[dict[str, Any], ...] = ()
    rules: tuple[str, ...] = ()


class Event(BaseModel):
    """A decision log event, as far as it is looked at."""

    decision_id: str
    timestamp: str
    path: str = ""
    input: dict[str, Any] | None = None
    result: Any = None
    erased: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the policy input is there as the policy saw it."""
        return self.input is not None and not any(
            at.startswith("/input") for at in (*self.erased, *self.masked)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """What is no event of such a log.

    Attributes:
        number: of its line, or its place in the array, from 1.
        why: what is wrong with it.
    """

    number: int
    why: str


@dataclass(slots=True, kw_only=True)
class DecisionLog:
    """A file of events.

    Attributes:
        path: the file.
        invalid: what was found to be no event, as it is read.
        others: events about other decisions than `guardrail/decision`, as they are read.
    """

    path: Path
    invalid: list[Invalid] = field(default_factory=list[Invalid])
    others: int = 0

    def findings(self, candidate: Candidate) -> Iterator[Finding]:
        """Decide each event again; those that cannot be read are put aside.

        Args:
            candidate: who decides.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            with _opened(self.path) as file:
                for number, line in _documents(file):
                    try:
                        event = Event.model_validate(orjson.loads(line) if isinstance(line, bytes) else line)
                        if event.path.strip("/") != PATH:
                            self.others += 1
                            continue
                        yield _finding(number, event, candidate)
                    except (
                        ValidationError,
                        orjson.JSONDecodeError,
                        CallError,
                        LookupError,
                        TypeError,
                        ValueError,
                    ) as error:
                        self.invalid.append(Invalid(number=number, why=_in_words(error)))
        except (OSError, EOFError) as error:
            raise ConfigError(
                f"{self.path} cannot be read: {error}", fix="name a file of decision logs"
            ) from error


def _finding(number: int, event: Event, candidate: Candidate) -> Finding:
    given = event.input if event.is_whole else None
    shown: Mapping[str, Any] = event.input or {}
    tool: Mapping[str, Any] = shown.get("tool", {})
    before, now = Said(answer="unsure", why=NO_INPUT), Said(answer="unsure", why=NO_INPUT)
    if given is not None:
        before = _said(Result.model_validate(event.result))
        if _is_own(given, before):
            now = Said(answer="unsure", why=OWN)
        elif _is_without_content(given):
            now = Said(answer="unsure", why=NOT_KEPT)
        else:
            now = _decided(given, candidate)
    return Finding(
        log=0,
        sequence=number,
        at=event.timestamp,
        run=shown.get("run", {}).get("id", ""),
        call=event.decision_id,
        tool="/".join(filter(None, (tool.get("server", ""), tool.get("name", "")))),
        agent=shown.get("agent", {}).get("id", ""),
        point=shown.get("point", "action"),
        before=before,
        now=now,
    )


def _decided(given: Mapping[str, Any], candidate: Candidate) -> Said:
    shown = input_of(candidate.configured(given))
    if shown.point == "output" and not candidate.policy.reviews:
        return Said(answer="allowed")  # nobody has anything to say of it: it is handed on
    decision = candidate.policy.decide(shown)
    reasons = tuple(Because(rule=reason.rule, message=reason.message) for reason in decision.reasons)
    return Said(answer=_ANSWERS[decision.effect], reasons=reasons)


def _said(result: Result) -> Said:
    reasons = becauses(result.reasons) or tuple(Because(rule=rule, message="") for rule in result.rules)
    return Said(answer=_ANSWERS[result.effect], reasons=reasons)


def _is_own(given: Mapping[str, Any], said: Said) -> bool:
    """Whether guardrail has decided by itself: its own tools, what it refuses, what it lets through."""
    if not given or given["tool"]["server"] == SERVER:
        return True
    return bool(said.reasons) and all(because.rule.startswith(f"{SERVER}.") for because in said.reasons)


def _is_without_content(given: Mapping[str, Any]) -> bool:
    """Whether it is about an output that was withheld or changed, so that it is nowhere kept."""
    output: Mapping[str, Any] = given["output"]
    return given["point"] == "output" and output["content"] is None and output["bytes"] != _NULL_BYTES


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if packed:
            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield file


def _documents(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Lines of a file, or items of an array, each with its number; an array is read whole."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith(b"["):
            yield from enumerate(orjson.loads(line + file.read()), start=1)
            return
        yield number, line


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        (first, *_) = error.errors()
        return f"{'.'.join(map(str, first['loc'])) or 'the event'}: {first['msg']}"
    if isinstance(error, orjson.JSONDecodeError):
        return f"it is no JSON: {error}"
    return f"its input is no policy input of guardrail's: {type(error).__name__}: {error}"
