"""The answer of `data.guardrail.decision`, read strictly.

    {"deny":  [{"rule", "message", "fix"?}],
     "ask":   [{"rule", "message", "fix"?, "approvers"?, "quorum"?, "expires_in"?}],
     "allow": [{"rule", "message", "fix"?, "obligations"?: {"redact"?, "replace"?, "deadline"?}, "instead_of"?}],
     "mask":  ["/pointer/into/the/arguments"]}

`instead_of` names rules whose asks are not made where that allow holds. A deny stays one, and so does every ask of
another rule.

`redact` and `replace` mean more of an output than of arguments; who asks makes sure that they fit (`decisions.fault`).

An absent list is an empty one. Everything else that is not exactly this form is a deny that says so:
a policy that answers `{"allow": false}` must never read like one that allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from guardrail.decisions import MAX_EXPIRY, MAX_QUORUM, Ask, Decision, Obligation, Reason, most, refuse
from guardrail.durations import seconds
from guardrail.outputs.check import CHECK_NAME
from guardrail.pointers import tokens
from guardrail.rego.interpreter import ENTRYPOINT, UNDEFINED

MAX_MESSAGE: Final = 2_000
"""Characters of a message or fix that are kept; a rule that quotes an argument may make it any length."""

_REMEMBERED_LENGTH: Final = 4_096
_REPAIR: Final = (
    "the owner of the policy has to repair it; `guardrail check` names the place where it can be found"
)


def _pointer(text: str) -> str:
    if not tokens(text):
        raise ValueError("a JSON pointer to a part of the arguments was expected, not to the whole")
    return text


def _place(text: str) -> str:
    tokens(text)
    return text


def _redactable(text: str) -> str:
    return text if CHECK_NAME.fullmatch(text) else _place(text)


def _expiry(text: object) -> float:
    value = seconds(text)
    if value > MAX_EXPIRY:
        raise ValueError("nobody waits longer than 365 days")
    return value


_Text = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text[:MAX_MESSAGE])]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Pointer = Annotated[str, AfterValidator(_pointer)]
_Place = Annotated[str, AfterValidator(_place)]
_Redactable = Annotated[str, AfterValidator(_redactable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Reason(_Strict):
    rule: _Name
    message: _Text
    fix: _Text = ""

    def reason(self) -> Reason:
        return Reason(rule=self.rule, message=self.message, fix=self.fix or None)


class _Ask(_Reason):
    approvers: Annotated[list[_Name], Field(min_length=1)] = []
    quorum: Annotated[int, Field(ge=1, le=MAX_QUORUM)] = 1
    expires_in: Annotated[float, BeforeValidator(_expiry)] = 900.0

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.quorum > most(self.approvers):
            raise ValueError("fewer approvers are named than the quorum wants")
        return self

    def ask(self) -> Ask:
        return Ask(
            rule=self.rule, message=self.message, fix=self.fix or None,
            approvers=tuple(dict.fromkeys(self.approvers)), quorum=self.quorum, expires_in=self.expires_in,
        )  # fmt: skip


class _Obligations(_Strict):
    redact: Annotated[list[_Redactable], Field(min_length=1)] | None = None
    replace: Annotated[dict[_Place, Any], Field(min_length=1)] | None = None
    deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def obligations(self) -> Iterable[Obligation]:
        if self.redact is not None:
            yield Obligation(name="redact", value=self.redact)
        if self.replace is not None:
            yield Obligation(name="replace", value=self.replace)
        if self.deadline is not None:
            yield Obligation(name="deadline", value=self.deadline)


class _Allow(_Reason):
    obligations: _Obligations = _Obligations()
    instead_of: Annotated[list[_Name], Field(min_length=1)] = []

    def reason_for(self, spared: AbstractSet[str]) -> Reason:
        """The reason, which says whose asks it stands for."""
        named = [rule for rule in dict.fromkeys(self.instead_of) if rule in spared]
        reason = self.reason()
        return (
            replace(reason, message=f"{reason.message} (instead of: {', '.join(named)})") if named else reason
        )


class _Answer(_Strict):
    deny: list[_Reason] = []
    ask: list[_Ask] = []
    allow: list[_Allow] = []
    mask: list[_Pointer] = []


def decision_of(text: str, *, revision: str, observe: frozenset[str] = frozenset()) -> Decision:
    """The decision that an answer means. Answers for every text; what is not of the form is a deny.

    Args:
        text: the value of `data.guardrail.decision` as JSON, or `UNDEFINED`.
        revision: of the policy that answered.
        observe: ids of rules that are recorded and not enforced: their reasons move to `observed` before
            the effect is computed.
    """
    # Most calls of a system get one of few answers. Long ones quote arguments: they are not worth the memory.
    read = _remembered if len(text) <= _REMEMBERED_LENGTH else _read
    return read(text, revision, observe)


def _read(text: str, revision: str, observe: frozenset[str]) -> Decision:
    if text == UNDEFINED:
        return refuse(
            "policy.undefined", f"{ENTRYPOINT} has no value for this call", fix=_REPAIR, revision=revision
        )
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError as error:
        message = f"the policy gave no well-formed decision: {_first(error)}"
        return refuse("policy.malformed", message, fix=_REPAIR, revision=revision)
    said = (*answer.deny, *answer.ask, *answer.allow)
    observed = tuple(item.reason() for item in said if item.rule in observe)
    if observed:
        answer = _without(answer, observe)
    return _combine(answer, observed, revision)


_remembered = lru_cache(maxsize=128)(_read)


def _combine(answer: _Answer, observed: tuple[Reason, ...], revision: str) -> Decision:
    """Deny wins over ask, and ask over allow that does not name it; nobody at all is a deny."""
    mask = tuple(answer.mask)
    if answer.deny:
        reasons = tuple(item.reason() for item in answer.deny)
        return Decision(effect="deny", reasons=reasons, mask=mask, observed=observed, revision=revision)
    if not answer.ask and not answer.allow:
        reason = Reason(
            rule="guardrail.policy.silent",
            message="no rule of the policy allows this call",
            fix="use a tool that the policy allows, or ask the owner of the policy for a rule",
            code="policy.silent",
        )
        return Decision(effect="deny", reasons=(reason,), mask=mask, observed=observed, revision=revision)
    answered = {rule for item in answer.allow for rule in item.instead_of}
    asks = [item for item in answer.ask if item.rule not in answered]
    spared = {item.rule for item in answer.ask} & answered
    allowed = [item.reason_for(spared) for item in answer.allow]
    return Decision(
        effect="ask" if asks else "allow",
        reasons=tuple(item.reason() for item in asks) or tuple(allowed),
        asks=tuple(item.ask() for item in asks),
        obligations=tuple(done for item in answer.allow for done in item.obligations.obligations()),
        mask=mask,
        observed=observed,
        revision=revision,
    )


def _without(answer: _Answer, observe: AbstractSet[str]) -> _Answer:
    return _Answer(
        deny=[item for item in answer.deny if item.rule not in observe],
        ask=[item for item in answer.ask if item.rule not in observe],
        allow=[item for item in answer.allow if item.rule not in observe],
        mask=answer.mask,
    )


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: where and what, without the value, which may come from an argument."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return f"{where}: {wrong['msg']}" if where else wrong["msg"]
