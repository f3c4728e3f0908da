"""References to what is never there: a rule that asks for one can never fire, and nobody would notice.

Data is fixed when a bundle is loaded and a policy input has the fields of its schema, so both show at load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

from guardrail.rego.definedness import is_unconditional
from guardrail.rego.findings import Finding, did_you_mean
from guardrail.rego.references import Program, Scope, terms_in
from guardrail.rego.shapes import BOOLEAN, NUMBER, TEXT, Shape, fields, input_of, step
from guardrail.rego.syntax import Path, Rule, Term

_SCALARS: Final = frozenset({TEXT, NUMBER, BOOLEAN})


def unanswered(program: Program) -> Iterator[Finding]:
    """References to data that no rule and no data of the bundle gives, and to fields no policy input has.

    What is read of data may be absent where another definition of the reading rule holds without it: a
    default, or a constant behind `else`.

    Args:
        program: what takes part in decisions, without the tests.
    """
    for rules in program.rules.values():
        optional = any(rule.kind == "default" or is_unconditional(rule) for rule in rules)
        for rule in rules:
            yield from _unanswered(program, rule, optional=optional)


def _unanswered(program: Program, rule: Rule, *, optional: bool) -> Iterator[Finding]:
    terms = list(terms_in(program, rule))
    called = {scope.path(term.items[0]) for scope, term in terms if term.kind == "call"}
    for scope, term in terms:
        path = _asked(scope, term)
        if path[:1] != ("data",):
            message = _no_field(scope, path)
        elif optional or path in called or is_provided(program, path[1:]) or _is_collecting(rule, path):
            message = ""
        else:
            message = _no_data(program, path)
        if message:
            yield Finding(file=rule.module.file, line=term.line, rule="missing", message=message)


def _asked(scope: Scope, term: Term) -> Path:
    """The path that a reference spells; of an `object.get` with constant keys that of what it looks for."""
    if term.kind != "call" or scope.function(term) != "object.get" or len(term.items) != 4:
        return scope.path(term)
    base, keys = scope.path(term.items[1]), term.items[2]
    if not base or base[0] == "data":  # absent data is what `object.get` is for
        return ()
    steps = keys.items if keys.kind == "array" else (keys,)
    return (*base, *(item.text if item.kind in {"string", "number"} else None for item in steps))


def _is_collecting(rule: Rule, path: Path) -> bool:
    """What the package guardrail collects may be there or not: no pack has to ask, and no mask has to hide."""
    return rule.path[:-1] == ("guardrail",) and path[1:3] in {("guardrail", "rules"), ("guardrail", "mask")}


def is_provided(program: Program, path: Path) -> bool:
    """Whether a rule or the data of the bundle stands at a path below `data`, above it or beneath it."""
    return bool(program.read_by(path)) or _is_held(program.data, path)


def _is_held(value: object, path: Path) -> bool:
    if not path:
        return True
    first, rest = path[0], path[1:]
    if not isinstance(value, dict | list):
        return False
    members: Mapping[str, object] = (
        cast("dict[str, object]", value)
        if isinstance(value, dict)
        else {str(index): item for index, item in enumerate(cast("list[object]", value))}
    )
    if first is None:
        return not members or any(_is_held(item, rest) for item in members.values())
    return first in members and _is_held(members[first], rest)


def _no_data(program: Program, path: Path) -> str:
    end = next(end for end in range(2, len(path) + 1) if not is_provided(program, path[1:end]))
    above, name = path[1 : end - 1], path[end - 1] or ""
    value: object = program.data
    for part in above:
        value = cast("dict[str, object]", value).get(part or "") if isinstance(value, dict) else None
    names = set(cast("dict[str, object]", value)) if isinstance(value, dict) else set[str]()
    for rule in program.read_by(above):
        if rule[: len(above)] == above and len(rule) > len(above):
            names.add(rule[len(above)] or "")
    near = did_you_mean(name, names, f"{spelled(path[: end - 1])}.")
    advice = near or (
        "; no rule that decides has this name"
        if path[1] == "guardrail"
        else "; give it in data.json, or read it in a rule that has a default"
    )
    return f"there is no {spelled(path)}, so this never holds{advice}"


def _no_field(scope: Scope, path: Path) -> str:
    """What is wrong with a path below `input`, or below a variable that is known to hold a part of it."""
    known, whole = scope.shape_at(path[:1]), input_of(scope.module.package)
    for end, name in enumerate(path[1:], 1):
        above = spelled(path[:end])
        listed = isinstance(known, tuple) and path[0] == "input" and name is not None and not name.isdigit()
        if listed or (isinstance(known, str) and known in _SCALARS):
            what = "a list: walk through it with `some … in`" if listed else f"a {known}, which has no fields"
            return f"there is no {spelled(path)}, so this never holds: {above} is {what}"
        if isinstance(known, Mapping) and known and name is not None and name not in fields(known):
            return f"there is no {above}.{name}, so this never holds{_nearest(known, above, name, whole)}"
        known, _ = step(known, name)
    return ""


def _nearest(known: Mapping[str, Shape], above: str, name: str, whole: Shape) -> str:
    """A field here whose name is near, or one of the name elsewhere in a policy input; else what fields there are."""
    elsewhere = [path for path in _paths(whole, "input") if path.endswith(f".{name.lower()}")]
    return (
        did_you_mean(name, fields(known), f"{above}.")
        or did_you_mean(f"{above}.{name}", elsewhere, cutoff=0.0)
        or f"; {above} has {', '.join(sorted(fields(known)))}"
    )


def _paths(shape: Shape, above: str) -> Iterator[str]:
    """Every field of a policy input, by its path."""
    if isinstance(shape, Mapping):
        for name, inner in fields(shape).items():
            yield f"{above}.{name}"
            yield from _paths(inner, f"{above}.{name}")


def spelled(path: Path) -> str:
    """A canonical path as people write it."""
    first, *rest = path
    return (first or "").removeprefix("$") + "".join("[_]" if part is None else f".{part}" for part in rest)
