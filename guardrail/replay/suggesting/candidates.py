"""The candidates: rules that enough evidence speaks for and nothing against, those that spare most questions first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname
from typing import Any, Final, Literal

from guardrail.canonical import canonical
from guardrail.provenance.matching import STRENGTH, Trust
from guardrail.replay.suggesting.evidence import Against, Group, Wanted
from guardrail.replay.suggesting.requests import Request
from guardrail.replay.suggesting.rule import (
    Between,
    OneOf,
    Rule,
    Under,
    Varying,
    free,
    is_number,
    paths_of,
    place_of,
    trust_of,
)

_AGAIN: Final = 2
"""Approvals of one value without which it is on no list: what happened once was not repeated."""
_WIDTH: Final = (type(None), OneOf, Between, Under)
"""The kinds of rules, the narrowest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A rule, and the requests that speak for it, in the order in which they were made."""

    rule: Rule
    evidence: tuple[Request, ...]

    @property
    def order(self) -> tuple[int, int, int, str]:
        """The most requests first, then the narrowest kind of rule, then the deepest place."""
        varying = self.rule.varying
        depth = len(varying.place) if isinstance(varying, Under) else 0
        return -len(self.evidence), _WIDTH.index(type(varying)), -depth, self.rule.id


def candidates(group: Group, against: Against, wanted: Wanted) -> Iterator[Candidate]:
    """Rules for one group, each request in one of them at most, the one with most requests first."""
    left = group.requests
    while len(left) >= wanted.minimum:
        best = min(_all(left, against, wanted), key=lambda found: found.order, default=None)
        if best is None:
            return
        yield best
        left = tuple(request for request in left if not best.rule.covers(_given(request)))


def _all(requests: Sequence[Request], against: Against, wanted: Wanted) -> Iterator[Candidate]:
    """Every candidate there is."""
    for argument in (None, *sorted(_given(requests[0])["arguments"])):
        for bucket in _alike(requests, argument):
            for varying, chosen in _varyings(bucket, argument, against, wanted):
                rule = _rule(chosen, varying)
                evidence = tuple(request for request in bucket if rule.covers(_given(request)))
                people = {person for request in evidence for person in request.yes}
                enough = len(evidence) >= wanted.minimum and len(people) >= wanted.people
                if enough and not against.inside(rule):
                    yield Candidate(rule=rule, evidence=evidence)


def _alike(requests: Sequence[Request], argument: str | None) -> Iterator[list[Request]]:
    """Requests whose arguments, but for one, are the same, and lead to the same files."""
    found: dict[bytes, list[Request]] = {}
    for request in requests:
        given = _given(request)
        others = {name: value for name, value in given["arguments"].items() if name != argument}
        found.setdefault(canonical([others, sorted(map(list, paths_of(given, argument)))]), []).append(
            request
        )
    yield from found.values()


def _varyings(
    bucket: Sequence[Request], argument: str | None, against: Against, wanted: Wanted
) -> Iterator[tuple[Varying, Sequence[Request]]]:
    """The ways in which an argument may vary, each with the requests that say so."""
    if argument is None:
        yield None, bucket
        return
    by_value: dict[bytes, list[Request]] = {}
    for request in bucket:
        by_value.setdefault(canonical(_given(request)["arguments"][argument]), []).append(request)
    repeated = [by_value[value] for value in sorted(by_value) if len(by_value[value]) >= _AGAIN]
    fine = [same for same in repeated if not against.inside(_rule(same, _one_of(argument, [same])))]
    if len(fine) > 1:
        yield _one_of(argument, fine), [request for same in fine for request in same]
    firm = [request for request in bucket if _is_firm(_given(request), argument)]
    yield from _between(firm, argument, against, wanted)
    for kind in ("paths", "urls"):
        yield from _under(firm, argument, kind, wanted)


def _one_of(argument: str, repeated: Sequence[Sequence[Request]]) -> OneOf:
    values = tuple(_given(same[0])["arguments"][argument] for same in repeated)
    return OneOf(argument=argument, values=values)


def _is_firm(given: Mapping[str, Any], argument: str) -> bool:
    """Whether more may follow from a value than it says: once a run has read untrusted words, somebody has to vouch."""
    clean = "untrusted" not in given["labels"]["run"]
    return clean or STRENGTH[trust_of(given, argument)] >= STRENGTH["trusted"]


def _between(
    requests: Sequence[Request], argument: str, against: Against, wanted: Wanted
) -> Iterator[tuple[Varying, Sequence[Request]]]:
    """Stretches of numbers without one in them that speaks against it."""
    numbered = [request for request in requests if is_number(_given(request)["arguments"][argument])]
    if len(numbered) != len(requests) or not numbered:
        return

    def number(request: Request) -> float:
        value: float = _given(request)["arguments"][argument]
        return value

    stretch: list[Request] = []
    for request in sorted(numbered, key=number):
        longer = [*stretch, request]
        limits = Between(argument=argument, least=number(longer[0]), greatest=number(request))
        if against.inside(_rule(longer, limits)):
            yield from _stretch(stretch, argument, wanted)
            alone = Between(argument=argument, least=number(request), greatest=number(request))
            longer = [] if against.inside(_rule([request], alone)) else [request]
        stretch = longer
    yield from _stretch(stretch, argument, wanted)


def _stretch(
    requests: Sequence[Request], argument: str, wanted: Wanted
) -> Iterator[tuple[Varying, Sequence[Request]]]:
    values = [_given(request)["arguments"][argument] for request in requests]
    if len(set(values)) >= max(wanted.minimum, _AGAIN):
        yield Between(argument=argument, least=values[0], greatest=values[-1]), requests


def _under(
    requests: Sequence[Request], argument: str, kind: Literal["paths", "urls"], wanted: Wanted
) -> Iterator[tuple[Varying, Sequence[Request]]]:
    """Places below which enough different ones were approved."""
    below: dict[str, dict[str, list[Request]]] = {}
    for request in requests:
        place = place_of(_given(request), argument, kind)
        if place is not None:
            for above in _above(place, kind):
                below.setdefault(above, {}).setdefault(place, []).append(request)
    for above in sorted(below):
        if len(below[above]) >= max(wanted.minimum, _AGAIN):
            chosen = [request for same in below[above].values() for request in same]
            yield Under(argument=argument, kind=kind, place=above), chosen


def _above(place: str, kind: Literal["paths", "urls"]) -> Iterator[str]:
    """The folders that hold a file, without the root; those of an address, up to its host."""
    at, top = place, "/"
    if kind == "urls":
        scheme, separator, rest = place.partition("://")
        if not separator:
            return
        top = f"{scheme}://{rest.partition('/')[0]}"
    while (at := dirname(at)) and at != "/" and len(at) >= len(top):
        yield f"{at}/"
        if at == top:
            return


def _rule(requests: Sequence[Request], varying: Varying) -> Rule:
    """The narrowest rule of a kind that covers some requests, which are alike but for what varies."""
    first = _given(requests[0])
    name = None if varying is None else varying.argument
    resolved: dict[str, set[str]] = {}
    for request in requests:
        for at, led in paths_of(_given(request), free(varying)):
            resolved.setdefault(at, set()).add(led)
    return Rule(
        tool=first["tool"],
        agent=first["agent"],
        principal=first["principal"],
        labels=tuple(sorted(first["labels"]["run"])),
        asks=tuple(sorted({ask["rule"] for ask in requests[0].asks})),
        arguments={key: value for key, value in sorted(first["arguments"].items()) if key != name},
        varying=varying,
        trust={key: _least(requests, key) for key in sorted(first["arguments"])},
        resolved={at: tuple(sorted(led)) for at, led in sorted(resolved.items())},
    )


def _least(requests: Sequence[Request], argument: str) -> Trust:
    return min((trust_of(_given(request), argument) for request in requests), key=STRENGTH.__getitem__)


def _given(request: Request) -> Mapping[str, Any]:
    """The policy input of a request that speaks for a rule: it can be read."""
    if request.given is None:
        raise AssertionError(request.approval)
    return request.given
