"""The outcome: how an attempt ended, and the words in which the model reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

from pydantic_core import to_json

from guardrail.calls import Call
from guardrail.canonical import MAX_DEPTH
from guardrail.decisions import Reason
from guardrail.errors import unspoken, words
from guardrail.pointers import EVERY, tokens

Status = Literal["returned", "raised", "blocked", "suspended", "unknown"]
"""How an attempt ended.

`returned`, `raised` and `unknown` spend their budgets; `blocked` releases them; `suspended` means that the
tool paused itself, and the same key may be admitted again without paying twice.
"""

Heading = Literal[
    "DENIED", "REJECTED", "WAITING", "CHANGED", "UNKNOWN OUTCOME", "RESULT NOT KEPT", "RUNNING",
    "WITHHELD", "HELD",
]  # fmt: skip
"""First words of what a model reads in place of a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        status: how.
        value: what the tool returned, where it returned.
        error: what it raised, where it raised or was cut.
        message: the error in words, as recorded.
        reasons: why it was blocked.
        heading: the first words, where a model gets words in place of a result, or of what was raised.
        approval: the approval that decided, or that is waited for.
        repeated: the value comes from the record of an earlier run of the same call; nothing ran now.
        changed: an obligation changed the arguments: what ran, as the call that was judged.
        mask: JSON pointers into the arguments that no text may show.
    """

    status: Status
    value: Any = None
    error: BaseException | None = None
    message: str = ""
    reasons: tuple[Reason, ...] = ()
    heading: Heading | None = None
    approval: str | None = None
    repeated: bool = False
    changed: Call | None = None
    mask: tuple[str, ...] = ()


class Codec(Protocol):
    """Turns a tool's result into JSON and back, so that a repeat returns it. Never pickle."""

    def dump(self, value: Any) -> bytes | None:
        """The result as JSON bytes, or None where it has no form that reads back equal."""
        ...

    def load(self, body: bytes) -> Any:
        """The result again."""
        ...

    def content(self, value: Any) -> Any:
        """What somebody would read of the result, as a JSON value. Never raises."""
        ...

    def replaced(self, value: Any, content: Any) -> Any:
        """The result with other content in place of what `content` gave."""
        ...


_SAFE_DIGITS: Final = 15
_encode: Final = json.JSONEncoder(allow_nan=False).encode


class JsonCodec:
    """Keeps results that are plain JSON values and nothing else."""

    def dump(self, value: Any) -> bytes | None:
        """JSON bytes, or None where reading them back would give another value."""
        try:
            body = _encode(value)
            return body.encode() if type(value) is str or _same(json.loads(body), value) else None
        except (TypeError, ValueError, RecursionError):
            return None

    def load(self, body: bytes) -> Any:
        """The value again."""
        return json.loads(body)

    def content(self, value: Any) -> Any:
        """The value; what is no JSON as pydantic or its own words say it."""
        return readable(value)

    def replaced(self, value: Any, content: Any) -> Any:  # noqa: ARG002  the signature of every codec
        """The content, which is the value."""
        return content


def readable(value: Any) -> Any:
    """A JSON value that says what a value says. Never raises: what cannot be shown is named by its type."""
    if type(value) is str:
        return value if value.isascii() else value.encode(errors="backslashreplace").decode()
    try:
        return json.loads(to_json(value, fallback=words, inf_nan_mode="strings"), parse_int=_whole)
    except (ValueError, RecursionError):  # pydantic's serialisation error is a ValueError
        said = words(value)
        return _UNREADABLE if said == unspoken(value) else said


def plain(value: Any) -> Any:
    """A value that has a JSON form, as `readable` shows it.

    Raises:
        ValueError: it has none, or holds something that has none.
    """
    try:
        return json.loads(to_json(value, inf_nan_mode="strings"), parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _nested(text: str) -> Any:
    value: Any = text
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    return value


_UNREADABLE: Final = _nested("<nested too deep>")
"""What is read of a value that is nested too deep to be read: it is too deep for checks, too, so none passes it."""


def _whole(digits: str) -> int | str:
    """A number that every reader takes for the same (RFC 7493), else its digits."""
    return int(digits) if len(digits) <= _SAFE_DIGITS else digits


def _same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down (1 is not True, a tuple is not a list)."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        ours, theirs = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(left, list):
        first, second = cast("list[Any]", left), cast("list[Any]", right)
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(left == right)


def explain(call: Call, outcome: Outcome) -> str:
    """What a model reads where it gets no result: the first word decides, one line a fact.

    Args:
        call: what was attempted.
        outcome: how it ended; without a `heading` it reads as a denial.
    """
    heading = outcome.heading or "DENIED"
    first = _FIRST_RAISED if outcome.status == "raised" else _FIRST
    lines = [first[heading].format(call=aim(call, outcome.mask))]
    lines += [f"Reason: {reason.message} [{reason.rule}]" for reason in outcome.reasons]
    lines += [f"You may: {fix}" for fix in dict.fromkeys(reason.fix for reason in outcome.reasons) if fix]
    lines.append(_LAST[heading].format(reference=call.reference, approval=outcome.approval or "-"))
    return "\n".join(lines)


def aim(call: Call, mask: tuple[str, ...] = ()) -> str:
    """The call in a few words: the tool and its first plain arguments, cut short, masked ones left out."""
    words = [call.tool.name]
    hidden = {tokens(pointer)[:1] for pointer in mask}
    for name, value in call.arguments.items():
        if hidden & {(), (EVERY,), (name,)}:
            continue
        if isinstance(value, (str, int, float)):
            text = json.dumps(value) if not isinstance(value, str) else value
            shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
            words.append(f"{name}={shown[:40]}{'…' if len(shown) > 40 else ''}")
        if len(words) == 4:
            break
    return " ".join(words)


_FIRST: dict[Heading, str] = {
    "DENIED": "DENIED (nothing was executed): {call}",
    "REJECTED": "REJECTED (nothing was executed): {call}",
    "WAITING": "WAITING for a person (nothing was executed yet): {call}",
    "CHANGED": "CHANGED (ran with other arguments than asked for): {call}",
    "UNKNOWN OUTCOME": "UNKNOWN OUTCOME (started, its end was not seen; it was not run again): {call}",
    "RESULT NOT KEPT": "RESULT NOT KEPT (ran before; it was not run again): {call}",
    "RUNNING": "RUNNING elsewhere (not started a second time): {call}",
    "WITHHELD": "WITHHELD (it ran; what it returned is not shown): {call}",
    "HELD": "HELD (it ran; a person decides whether what it returned is shown): {call}",
}
_FIRST_RAISED: dict[Heading, str] = {
    **_FIRST,
    "WITHHELD": "WITHHELD (it failed; what it raised is not shown): {call}",
    "HELD": "HELD (it failed; a person decides whether what it raised is shown): {call}",
}
_LAST: dict[Heading, str] = {
    "DENIED": "Do not repeat this call unchanged. Ref: {reference}",
    "REJECTED": "Do not repeat this call unchanged. Ref: {reference}, approval {approval}",
    "WAITING": "Do not repeat this call; wait for the decision. Ref: {reference}, approval {approval}",
    "CHANGED": "Ref: {reference}",
    "UNKNOWN OUTCOME": "Do not repeat this call; a person has to find out whether it ran. Ref: {reference}",
    "RESULT NOT KEPT": "Do not repeat this call. Ref: {reference}",
    "RUNNING": "Do not repeat this call. Ref: {reference}",
    "WITHHELD": "Do not repeat this call. Ref: {reference}",
    "HELD": "Do not repeat this call; wait for the decision. Ref: {reference}, approval {approval}",
}
