"""The rule as Rego: one file to put among one's policies, and one that tests it.

Whatever agents or tools wrote stands in JSON literals only, which are literals of Rego too; no comment holds any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from guardrail.pointers import escape
from guardrail.provenance.matching import STRENGTH, Trust
from guardrail.replay.suggesting.rule import HIDDEN, UNPLAIN, Between, OneOf, Rule, Under, Varying, free

_SHOWN: Final = 10
"""Approved calls that a test holds."""
_PARTS: Final = ("point", "tool", "agent", "principal", "arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A rule, written.

    Attributes:
        name: of the package behind `guardrail.rules.`, and of the files.
        rego: the rule.
        test: what tests it.
    """

    name: str
    rego: str
    test: str

    @property
    def files(self) -> dict[str, str]:
        """Name of a file → what stands in it."""
        return {f"{self.name}.rego": self.rego, f"{self.name}_test.rego": self.test}


def written(rule: Rule, approved: Sequence[Mapping[str, Any]], *, people: int) -> Written:
    """Write a rule.

    Args:
        rule: which calls need nobody.
        approved: the policy inputs that people have approved.
        people: how many did.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", rule.tool["name"].lower()).strip("_")[:40] or "tool"
    name = f"suggested_{slug}_{rule.id}"
    return Written(
        name=name,
        rego="\n".join(_rego(rule, name, f"suggested.{slug}.{rule.id}", len(approved), people)),
        test="\n".join(_test(rule, name, approved)),
    )


def _rego(rule: Rule, name: str, id_: str, count: int, people: int) -> Iterator[str]:
    by = "one person" if people == 1 else f"{people} people"
    yield "# METADATA"
    yield "# title: Calls as people have approved them"
    yield f"# description: Proposed by `guardrail suggest` from {count} approvals by {by}. Read it before you use it."
    yield "# scope: package"
    yield f"package guardrail.rules.{name}"
    yield ""
    yield "# METADATA"
    yield "# title: Calls like these need nobody"
    yield "# custom:"
    yield f"#   rule: {id_}"
    yield "allow contains {"
    yield f'\t"rule": {_json(id_)},'
    yield f'\t"message": "people have approved {count} calls like this one",'
    yield f'\t"instead_of": {_json(list(rule.asks))},'
    yield "} if {"
    for line in _conditions(rule):
        yield f"\t{line}"
    yield "}"
    yield ""
    yield from _FOREIGN
    if rule.resolved or free(rule.varying):
        yield ""
        yield from _astray(rule)
    yield ""


def _conditions(rule: Rule) -> Iterator[str]:
    yield 'input.point == "action"'
    for part in ("tool", "agent", "principal"):
        yield f"input.{part} == {_json(getattr(rule, part))}"
    names = sorted(rule.trust)
    yield f"object.keys(input.arguments) == {_set(names)}"
    for name, value in rule.arguments.items():
        yield f"{_argument(name)} == {_json(value)}"
    yield from _varying(rule.varying)
    for name, least in rule.trust.items():
        enough: list[Trust] = sorted(trust for trust, rank in STRENGTH.items() if rank >= STRENGTH[least])
        pointer = _json(f"/{escape(name)}")
        yield f'object.get(input.labels.arguments, [{pointer}, "trust"], "unknown") in {_set(enough)}'
    if rule.labels:
        yield f"every label in input.labels.run {{ label in {_set(rule.labels)} }}"
    else:
        yield "count(input.labels.run) == 0"
    yield "count(foreign) == 0"
    if rule.resolved or free(rule.varying):
        yield "count(astray) == 0"
    else:
        yield "count(input.facts.paths) + count(input.facts.guessed.paths) == 0"


def _varying(varying: Varying) -> Iterator[str]:
    match varying:
        case None:
            pass
        case OneOf():
            values = ", ".join(map(_json, varying.values))
            yield f"{_argument(varying.argument)} in [{values}]"
        case Between():
            argument = _argument(varying.argument)
            yield f"is_number({argument})"
            yield f"{argument} >= {_json(varying.least)}"
            yield f"{argument} <= {_json(varying.greatest)}"
        case Under():
            field = "resolved" if varying.kind == "paths" else "url"
            pointer = _json(f"/{escape(varying.argument)}")
            yield f"led := [fact.{field} | some fact in input.facts.{varying.kind}; fact.argument == {pointer}]"
            yield "count(led) == 1"
            yield f"startswith(led[0], {_json(varying.place)})"
            for part in (HIDDEN, *(sorted(UNPLAIN) if varying.kind == "urls" else ())):
                yield f"not contains(led[0], {_json(part)})"


_FOREIGN: Final = """\
# Values of the call, and links in it, that stand in what an untrusted tool has returned.
foreign contains argument if {
	some argument, label in input.labels.arguments
	label.trust == "untrusted"
}

foreign contains argument if {
	some argument, label in input.labels.arguments
	label.origins[_].kind == "untrusted"
}

foreign contains url if {
	some url, label in input.labels.links
	label.trust == "untrusted"
}

foreign contains url if {
	some url, label in input.labels.links
	label.origins[_].kind == "untrusted"
}""".splitlines()


def _astray(rule: Rule) -> Iterator[str]:
    """Paths that lead elsewhere than they did when people looked."""
    led = {at: list(places) for at, places in rule.resolved.items()}
    left_out = free(rule.varying)
    yield "# Paths that lead elsewhere than when people looked."
    for paths in ("input.facts.paths", "input.facts.guessed.paths"):
        yield "astray contains path.argument if {"
        yield f"\tsome path in {paths}"
        if left_out is not None:
            yield f"\tpath.argument != {_json(f'/{escape(left_out)}')}"
        yield f"\tnot path.resolved in object.get({_json(led)}, path.argument, [])"
        yield "}"
        yield ""


def _test(rule: Rule, name: str, approved: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    calls = _distinct(list(map(_shown, approved)))[:_SHOWN]
    first = calls[0]
    yield f"package tests.{name}"
    yield ""
    yield f"import data.guardrail.rules.{name} as suggested"
    yield ""
    yield "# A call that people have approved."
    yield "call := {"
    yield from (f"\t{_json(part)}: {_json(value)}," for part, value in first.items())
    yield "}"
    yield ""
    yield "# The same with other parts."
    yield "but(parts) := {part: object.get(parts, part, value) | some part, value in call}"
    yield ""
    yield "# Others that people have approved."
    yield "approved := ["
    yield from (f"\t{_json(_unlike(first, other))}," for other in calls[1:])
    yield "]"
    yield ""
    yield "# Each is like the call but for one thing."
    yield "others := ["
    yield from (f"\t{_json(_unlike(first, other))}," for other in _distinct(list(_others(rule, first))))
    yield "]"
    yield ""
    yield "test_what_was_approved_needs_nobody if {"
    yield "\tcount(suggested.allow) == 1 with input as call"
    yield "\tevery parts in approved {"
    yield "\t\tcount(suggested.allow) == 1 with input as but(parts)"
    yield "\t}"
    yield "}"
    yield ""
    yield "test_nothing_else_is_covered if {"
    yield "\tevery parts in others {"
    yield "\t\tcount(suggested.allow) == 0 with input as but(parts)"
    yield "\t}"
    yield "}"
    yield ""


def _shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a policy input that the rule looks at."""
    facts = {
        "paths": [
            {name: fact[name] for name in ("argument", "resolved")} for fact in given["facts"]["paths"]
        ],
        "urls": [{name: fact[name] for name in ("argument", "url")} for fact in given["facts"]["urls"]],
        "guessed": {
            "paths": [
                {name: fact[name] for name in ("argument", "resolved")}
                for fact in given["facts"]["guessed"]["paths"]
            ]
        },
    }
    arguments = {
        pointer: {"trust": label["trust"], "origins": [{"kind": one["kind"]} for one in label["origins"]]}
        for pointer, label in given["labels"]["arguments"].items()
    }
    labels = {"run": given["labels"]["run"], "arguments": arguments, "links": {}}
    return {**{part: given[part] for part in _PARTS}, "facts": facts, "labels": labels}


def _others(rule: Rule, call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Calls that are not covered, each like one that is, but for one thing."""
    yield {**call, "point": "output"}
    for part, field in (("tool", "digest"), ("agent", "id"), ("principal", "id")):
        yield {**call, part: {**call[part], field: f"{call[part][field]}-other"}}
    arguments, labels = call["arguments"], call["labels"]
    yield {**call, "arguments": {**arguments, "-other": 1}}
    for name in rule.arguments:
        yield {**call, "arguments": {**arguments, name: {"another": arguments[name]}}}
    varying = rule.varying
    if isinstance(varying, Between):
        for value in (varying.least - 1, varying.greatest + 1, "1", None):
            yield {**call, "arguments": {**arguments, varying.argument: value}}
    elif isinstance(varying, OneOf):
        another = {"another": arguments[varying.argument]}
        yield {**call, "arguments": {**arguments, varying.argument: another}}
    elif isinstance(varying, Under):
        yield {**call, "facts": {**call["facts"], varying.kind: []}}
    elsewhere = [{"argument": "/-other", "resolved": "/-other"}]
    yield {**call, "facts": {**call["facts"], "guessed": {"paths": elsewhere}}}
    for index, fact in enumerate(call["facts"]["paths"]):
        led = [*call["facts"]["paths"]]
        led[index] = {**fact, "resolved": "/-other"}
        yield {**call, "facts": {**call["facts"], "paths": led}}
    yield {**call, "labels": {**labels, "run": [*labels["run"], "-other"]}}
    yield {**call, "labels": {**labels, "links": {"-other": {"trust": "untrusted", "origins": []}}}}
    for name in rule.trust:
        untrusted: dict[str, Any] = {"trust": "untrusted", "origins": []}
        said = {**labels["arguments"], f"/{escape(name)}": untrusted}
        yield {**call, "labels": {**labels, "arguments": said}}


def _unlike(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that differ."""
    return {part: value for part, value in other.items() if value != first[part]}


def _distinct(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({_json(call): call for call in calls}.values())


def _argument(name: str) -> str:
    return f"input.arguments[{_json(name)}]"


def _set(values: Sequence[str]) -> str:
    return "{" + ", ".join(map(_json, values)) + "}" if values else "set()"


def _json(value: object) -> str:
    """A value as a literal, on one line."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
