"""Questions to the approval policy: who answers, what is asked, the owner's settings, and every argument otherwise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any, Final, Literal

import orjson

from guardrail.canonical import canonical
from guardrail.opa.process import Process, Questions
from guardrail.opa.questions import Question, varied
from guardrail.rego.interpreter import UNDEFINED, Interpreter, RegoError
from guardrail.standing import ENTRY, with_package

NOW: Final = "2026-01-31T12:00:00Z"
TIER: Final[Mapping[str, Any]] = {
    "tool": "bank/pay", "argument": "amount", "over": 100, "approvers": ["role:finance"], "quorum": 2,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What both engines say of who may answer, and whether it is enough.

    Attributes:
        given: what they were asked.
        settings: of the owner.
        opa: what bars and whether it is met, as JSON, or `nothing`: no answer bars everybody, and
        embedded: the same.
    """

    given: Any
    settings: Any
    opa: str
    embedded: str

    @property
    def laxer(self) -> Literal["", "opa", "embedded", "words"]:
        """Where more is allowed: people may answer, or it is enough; empty = both say the same."""
        if self.opa == self.embedded:
            return ""
        one, other = _freedom(self.opa), _freedom(self.embedded)
        return "words" if one == other else "opa" if one > other else "embedded"


def questions() -> Iterator[tuple[Any, Any]]:
    """Settings of the owner, and what is asked under them."""
    whole = list(_requests({"amount": 500}))
    for settings in ({}, {"two_person": True}, {"tiers": [TIER]}):
        yield from ((settings, given) for given in whole)
    asked = _request(
        {"amount": 500}, _person("bob"), [_yes(_person("mia", "finance"))], [_ask(["role:finance"], 1)]
    )
    for settings in varied([Question(given={"arguments": {"two_person": True, "tiers": [TIER]}})]):
        yield settings.given["arguments"], asked
    for call in varied([Question(given={"arguments": {"amount": 500, "other": [{"x": 1}]}})]):
        yield {"tiers": [TIER]}, {**asked, "call": call.given}


def _requests(arguments: Mapping[str, Any]) -> Iterator[Any]:
    mia, bob, joe = _person("mia", "finance"), _person("bob", "finance", "sales"), _person("joe")
    people = (mia, bob, joe, _person("payer"), _person("anna"), _person(""))
    votes = ([], [_yes(mia)], [_yes(mia), _yes(bob)], [_yes(joe), {**_yes(bob), "answer": "reject"}])
    asks = ([], [_ask([], 1)], [_ask(["role:finance"], 2)], [_ask(["bob", "user:mia"], 1), _ask([], 2)])
    for person, said, asked, remembered in product(people, votes, asks, (False, True)):
        yield _request(arguments, person, said, asked, mia if remembered else None)


def _request(
    arguments: Mapping[str, Any], person: Any, votes: list[Any], asks: list[Any], remembered: Any = None
) -> Any:
    request = {
        "id": "apr_1", "run": "r", "agent": "payer", "chain": ["payer"], "principal": "user:anna", "tool": "bank/pay",
        "asks": asks, "requested_at": NOW, "edited_by": "bob",
    }  # fmt: skip
    standby = [] if remembered is None else [{"id": "s", "person": remembered, "at": NOW, "until": NOW}]
    return {
        "schema": 1, "point": "vote", "request": request, "call": {"arguments": arguments}, "person": person,
        "votes": votes, "remembered": standby, "now": NOW,
    }  # fmt: skip


def _ask(approvers: list[str], quorum: int) -> Any:
    return {"rule": "r", "message": "m", "approvers": approvers, "quorum": quorum, "expires_in": 900}


def _person(name: str, *roles: str) -> Any:
    return {"id": name, "roles": list(roles), "principals": [f"user:{name}"], "attributes": {}}


def _yes(person: Any) -> Any:
    return {"person": person, "answer": "approve", "channel": "cli", "at": NOW}


def judged() -> list[Judged]:
    """Every question, on both engines."""
    bundle = with_package(None)
    found: list[Judged] = []
    with Process(bundle, as_files=True) as process:
        opa = Questions(process.url)
        try:
            for settings, asked in groupby(questions(), key=lambda pair: pair[0]):
                opa.put_data({"settings": settings})
                interpreter = Interpreter(bundle.rules, canonical({"settings": settings}))
                found += (_both(opa, interpreter, given, settings) for _, given in asked)
        finally:
            opa.close()
    return found


def _both(opa: Questions, interpreter: Interpreter, given: Any, settings: Any) -> Judged:
    text = orjson.dumps(given)
    there, _ = opa.ask(ENTRY, text)
    try:
        answer = interpreter.answer(text.decode(), ENTRY)
    except RegoError:
        answer = UNDEFINED
    here = None if answer == UNDEFINED else orjson.loads(answer)
    return Judged(given=given, settings=settings, opa=_meaning(there), embedded=_meaning(here))


def _freedom(meaning: str) -> tuple[bool, bool]:
    answer = {"barred": ["nobody may"], "met": False} if meaning == "nothing" else orjson.loads(meaning)
    return answer["met"], not answer["barred"]


def _meaning(answer: Any) -> str:
    """An answer, without the order of what bars."""
    if answer is None:
        return "nothing"
    bars = sorted(orjson.dumps(reason, option=orjson.OPT_SORT_KEYS).decode() for reason in answer["barred"])
    return orjson.dumps({"barred": bars, "met": answer["met"]}).decode()
