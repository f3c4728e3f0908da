"""Standing: whether a person may answer for a call, and whether the answers are enough, by the approval policy.

The policy is the Rego package `guardrail.approval`: the shipped one, or one of the owner's own. It is asked at
every vote, and at every admission that needs people, with the people as they are then. Beneath it is a floor
in Python that no policy can lower: agents and the person they act for never count, nobody counts twice, one no
is final, and nothing is met without anybody's yes. What is not of the contract bars everybody and meets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.approvals import Approval, Vote, is_agent, is_principal
from guardrail.bundles import APPROVAL, APPROVAL_PACKAGE, Bundle, shipped_folder
from guardrail.decisions import Reason
from guardrail.errors import GuardrailError
from guardrail.people import People, Person
from guardrail.rego.interpreter import UNDEFINED, RegoError
from guardrail.rego.threads import Evaluator
from guardrail.tiers import check_tiers

ENTRY: Final = "data.guardrail.approval.decision"
"""The rule that is asked."""

_NOBODY: Final = Person(id="")
_REPAIR: Final = "the owner of the approval policy has to repair it: nobody's answer counts until then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the approval policy is asked.

    Attributes:
        point: `vote`: may this person answer, and is it enough with that; `use`: is it enough now.
        approval: the request; at `use` with what is asked now.
        given: the policy input of the call, as JSON text.
        now: RFC 3339, UTC.
        person: who votes; None at `use`.
        remembered: scopes that were remembered and that the call is in.
    """

    point: Literal["vote", "use"]
    approval: Approval
    given: bytes
    now: str
    person: Person | None = None
    remembered: Sequence[Standby] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """A yes that somebody gave beforehand, for every call in a scope.

    Attributes:
        id: of the scope.
        person: who remembered it.
        at: when, RFC 3339, UTC.
        until: until when it counts.
    """

    id: str
    person: str
    at: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the approval policy says.

    Attributes:
        barred: why the person may not answer; empty = he may.
        met: whether the answers are enough.
    """

    barred: tuple[Reason, ...] = ()
    met: bool = False


class ApprovalPolicy:
    """Asks the package `guardrail.approval` of a bundle; without one, the shipped package.

    Args:
        bundle: rules and data that have passed the pre-flight, or what gives those that count now; None = the shipped
            package alone.
        limit: seconds that an answer may take.

    Raises:
        PolicyError: the bundle cannot be read, or the shipped package would not read its tiers as they are meant.
    """

    def __init__(
        self, bundle: Bundle | Callable[[], Bundle | None] | None = None, *, limit: float = 1.0
    ) -> None:
        self._now = bundle if callable(bundle) else lambda: bundle
        self._known = None if callable(bundle) else (bundle, with_package(bundle))
        self._limit = limit
        self._evaluator = Evaluator()

    @property
    def revision(self) -> str:
        """Digest over the rules and data that count now.

        Raises:
            GuardrailError: they cannot be read.
        """
        return self._bundle.revision

    @property
    def _bundle(self) -> Bundle:
        now, known = self._now(), self._known
        if known is None or known[0] is not now:
            known = self._known = now, with_package(now)
        return known[1]

    def close(self) -> None:
        """End the thread that evaluates for other threads; whoever still asks is told that nobody may answer."""
        self._evaluator.close()

    def judge(self, question: Question, people: People) -> Standing:
        """What holds. Answers for every question; what goes wrong bars everybody and meets nothing.

        Args:
            question: what is asked.
            people: as they are now; the answers of those who are gone do not count.
        """
        approval = question.approval
        counted = [vote for vote in approval.votes if _counts(approval, people.find(vote.person))]
        standby = [item for item in question.remembered if _counts(approval, people.find(item.person))]
        standing = self._asked(_json(question, people, counted, standby))
        agreed = bool(standby) or any(vote.answer == "approve" for vote in counted)
        refused = any(vote.answer == "reject" for vote in approval.votes)
        return replace(standing, met=standing.met and agreed and not refused)

    def _asked(self, text: bytes) -> Standing:
        try:
            answer = self._evaluator.answer(self._bundle, text.decode(), ENTRY)
        except RegoError as error:
            return _nothing(f"the approval policy raised: {error}")
        except GuardrailError as error:
            return _nothing(f"the approval policy cannot be read: {error.message}")
        if answer.seconds > self._limit:
            return _nothing(
                f"the approval policy took {answer.seconds:.2f} s; at most {self._limit:g} s are accepted"
            )
        return _read(answer.text)


def _counts(approval: Approval, person: Person | None) -> bool:
    """Whether somebody who has answered is one who may, by the floor beneath every policy."""
    return person is not None and not (
        is_agent(approval, person.id) or is_principal(approval, person.id, person.principals)
    )


def _json(question: Question, people: People, votes: Sequence[Vote], standby: Sequence[Standby]) -> bytes:
    approval = question.approval
    return orjson.dumps(
        {
            "schema": 1,
            "point": question.point,
            "request": {
                "id": approval.id,
                "run": approval.run,
                "agent": approval.agent,
                "chain": approval.chain,
                "principal": approval.principal,
                "tool": approval.tool,
                "asks": [ask.as_json() for ask in approval.asks],
                "requested_at": approval.requested_at,
                "edited_by": approval.edited_by or "",
            },
            "call": orjson.Fragment(question.given),
            "person": (question.person or _NOBODY).as_json(),
            "votes": [
                {
                    "person": people.person(vote.person).as_json(),
                    "answer": vote.answer,
                    "channel": vote.channel,
                    "at": vote.at,
                }
                for vote in votes
            ],
            "remembered": [
                {
                    "id": item.id,
                    "person": people.person(item.person).as_json(),
                    "at": item.at,
                    "until": item.until,
                }
                for item in standby
            ],
            "now": question.now,
        }
    )


_Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Barred(_Strict):
    rule: _Text
    message: _Text
    fix: str = ""


class _Answer(_Strict):
    barred: list[_Barred]
    met: bool


def _read(text: str) -> Standing:
    if text == UNDEFINED:
        return _nothing(f"{ENTRY} has no value for this request")
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        return _nothing(f"the approval policy gave no well-formed answer: {where}: {wrong['msg']}")
    return Standing(
        barred=tuple(
            Reason(rule=item.rule, message=item.message, fix=item.fix or None) for item in answer.barred
        ),
        met=answer.met,
    )


def _nothing(message: str) -> Standing:
    """Nobody may answer, and nothing is met."""
    reason = Reason(rule="guardrail.policy.error", message=message, fix=_REPAIR, code="policy.error")
    return Standing(barred=(reason,))


def with_package(bundle: Bundle | None) -> Bundle:
    """The rules of a bundle with a package `guardrail.approval`: its own, or the shipped one.

    Raises:
        PolicyError: the shipped one would not read the tiers of the bundle's data as they are meant.
    """
    modules: dict[str, Any] = {} if bundle is None else dict(bundle.rules)
    shipped = (shipped_folder() / APPROVAL).read_text(encoding="utf-8")
    own = [source for source in modules.values() if APPROVAL_PACKAGE.search(source)]
    if not own:
        modules[APPROVAL] = shipped
    if bundle is not None and own in ([], [shipped]):
        check_tiers(bundle.data)
    return Bundle(modules=modules, data_json=b"{}" if bundle is None else bundle.data_json)
