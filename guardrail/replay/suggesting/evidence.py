"""The evidence: which requests say that a call like theirs needs nobody, and which say the contrary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.canonical import canonical
from guardrail.pointers import tokens
from guardrail.replay.suggesting.requests import Denial, Request
from guardrail.replay.suggesting.rule import Rule, is_foreign

ERASED: Final = "it was erased"
CLOSED: Final = "another key sealed it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for.

    Attributes:
        minimum: approvals that a rule has to rest on, and different values that a limit or a place has to.
        people: different people who have to have approved them.
        tool: only of this tool, as `server/name`, or by its name alone; None = of any.
        since: only approvals from then on, as records write moments.
        irreversible: also of tools that do what cannot be undone.
    """

    minimum: int = 5
    people: int = 1
    tool: str | None = None
    since: str = ""
    irreversible: bool = False


def why_not(request: Request, wanted: Wanted) -> str:
    """Why a request speaks for no rule; empty where it does."""
    if request.gone is not None:
        return ERASED if request.gone == "erased" else CLOSED
    if (unlike := _by_people(request)) or request.given is None:
        return unlike or CLOSED
    return _by_content(request, request.given, wanted)


def _by_people(request: Request) -> str:
    match request.fate:
        case "refused":
            return "a person said no"
        case "changed":
            return "a person changed the arguments"
        case "open":
            return "nobody said yes in time, or the call was not made then"
        case "agreed":
            pass
    if request.edits:
        return "a person had changed the arguments"
    if request.folded:
        return "it waited with an identical call"
    if request.unopened:
        return "somebody said yes without having been shown the complete arguments"
    if request.carried or len(request.yes) < max((ask["quorum"] for ask in request.asks), default=1):
        return "it ran by a yes that was given before, at least in part"
    return ""


def _by_content(request: Request, given: Mapping[str, Any], wanted: Wanted) -> str:
    facts, effect = given["facts"], given["tool"]["effect"]
    if given["point"] != "action":
        return "it is about an output"
    if not wanted.irreversible and effect not in {"read", "write"}:
        return "the tool does what cannot be undone (--irreversible)"
    if is_foreign(given):
        return "a value of it stands in what an untrusted tool has returned"
    if _hides(request.decision.get("mask", ()), given["arguments"]):
        return "an argument of it is hidden"
    if any(secret["category"] == "secret" for secret in facts["secrets"]):
        return "an argument of it holds a secret"
    if facts["opaque"]:
        return "an argument of it could not be understood"
    if facts["packages"] or facts["guessed"]["packages"]:
        return "what registries say of packages changes: list them under settings.packages"
    return "the policy changes its arguments" if request.decision.get("obligations") else ""


def _hides(mask: Iterable[str], arguments: Mapping[str, Any]) -> bool:
    return any(not (path := tokens(pointer)) or path[0] in {*arguments, "*"} for pointer in mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Requests that may speak for one rule: of one agent, for one principal, with one tool, asked by the same rules.

    Attributes:
        requests: in the order in which they were made.
        people: how many people each of them needed.
    """

    requests: tuple[Request, ...]
    people: int


def groups(requests: Iterable[Request]) -> Iterator[Group]:
    """Requests that speak for rules, by what has to be the same."""
    found: dict[bytes, list[Request]] = {}
    for request in requests:
        given: Mapping[str, Any] = request.given or {}
        said = [given[part] for part in ("tool", "agent", "principal")]
        run, rules = sorted(given["labels"]["run"]), sorted({ask["rule"] for ask in request.asks})
        key = canonical([*said, run, rules, sorted(given["arguments"]), len(request.yes)])
        found.setdefault(key, []).append(request)
    for key in sorted(found):
        yield Group(requests=tuple(found[key]), people=len(found[key][0].yes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What speaks against a rule.

    Attributes:
        refused: people said no to it, or changed it.
        others: nobody said yes to it, or more people than others had to.
        silent: it was denied since no rule allowed it.
    """

    refused: Sequence[Request]
    others: Sequence[Request]
    silent: Sequence[Denial]

    @classmethod
    def of(cls, requests: Sequence[Request], silent: Sequence[Denial], people: int) -> Against:
        """What speaks against rules that rest on requests which so many people each said yes to."""
        return cls(
            refused=[request for request in requests if request.fate in {"refused", "changed"}],
            others=[
                request
                for request in requests
                if request.fate == "open" or (request.fate == "agreed" and len(request.yes) > people)
            ],
            silent=silent,
        )

    def inside(self, rule: Rule) -> list[Mapping[str, Any]]:
        """The calls that a rule would let pass and must not."""
        refused = (one.given for one in self.refused if one.given is not None and rule.says_of(one.given))
        others = (one.given for one in self.others if one.given is not None and rule.covers(one.given))
        silent = (one.given for one in self.silent if rule.covers(one.given))
        return [*refused, *others, *silent]
