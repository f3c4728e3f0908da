"""The lint: what will go wrong with a policy, or with the people who work on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, cast

from guardrail.bundles import TEST_SUFFIX, Bundle
from guardrail.rego.definedness import Asked, Known, statements
from guardrail.rego.findings import Finding, Severity, did_you_mean
from guardrail.rego.parity import disagreements
from guardrail.rego.preflight import VERDICTS, decides, depended_on, inspect, terms_of, torn
from guardrail.rego.references import Program, Scope, terms_in
from guardrail.rego.shapes import ANY
from guardrail.rego.syntax import Module, Path, Rule, Term, subterms

_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_DENIED: Final = "every call that it speaks of would be denied"
_REASON: Final = frozenset({"rule", "message", "fix"})
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "deny": _REASON,
    "ask": _REASON | {"approvers", "quorum", "expires_in"},
    "allow": _REASON | {"obligations", "instead_of"},
}
_SETTINGS: Final[Path] = ("data", "settings")
_SHIPPED: Final[Path] = ("guardrail", "settings", "hosts")
"""A rule of the shipped settings, by which a bundle that holds them is known."""
_TYPES: Final[Mapping[str, str]] = {
    "string": "a text", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object",
}  # fmt: skip
_TYPE_NAMES: Final[Mapping[type, str]] = {
    str: "a text", int: "a number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
}  # fmt: skip
_PICKING: Final = frozenset({"object.get", "object.filter"})
_UNBOUNDED: Final = frozenset(
    {"numbers.range", "numbers.range_step", "net.cidr_expand", "bits.lsh", "yaml.unmarshal", "sprintf"}
)
"""Functions whose cost an argument decides: of `sprintf` its format, of the others any argument."""


def lint(bundle: Bundle) -> list[Finding]:
    """Everything that is wrong with a bundle, in order of place.

    Where the pre-flight finds something, its findings are all there is: the bundle cannot be activated.
    """
    program, findings = inspect(bundle)
    if program is None or findings:
        return findings
    findings += [replace(finding, severity="warning") for finding in torn(program)]
    program = program.deciding
    asked: Asked = {}
    verdicts = depended_on(program, filter(decides, program.rules))
    for path, rules in program.rules.items():
        for rule in rules:
            if path not in verdicts:
                findings += disagreements(program, rule, asked)
            findings += _comparisons(program, rule, asked)
            findings += _reasons(rule)
            findings += _habits(program, rule)
    findings += [*_settings(program), *_settings_of_another_type(program)]
    return sorted(set(findings))


def _comparisons(program: Program, rule: Rule, asked: Asked) -> Iterator[Finding]:
    """Rego orders values of all types, null first: `null <= 100` is true."""
    for known, statement, _ in statements(program, rule, asked):
        for term in statement.terms:
            for part in subterms(term):
                if part.kind == "operator" and part.text in _ORDER:
                    for operand in part.items:
                        if _is_unguarded(known, operand):
                            text = _spelled(operand)
                            message = (
                                f"{text} is compared without its type: `null <= 100` is true, and so is "
                                f'`100 <= "0"`; ask `is_number({text})` in the same body first'
                            )
                            yield _finding(rule, statement.line, "type-guard", message)


def _is_unguarded(known: Known, term: Term) -> bool:
    path = known.scope.path(term)
    if not path or path[0] == "data" or known.shape(term) != ANY:
        return False
    return not known.types.get(path, frozenset()) & {"number", "string"}


def _reasons(rule: Rule) -> Iterator[Finding]:
    """What a deny, ask or allow says has to be readable by guardrail, and by a person."""
    if rule.path[:2] != ("guardrail", "rules") or rule.path[-1] not in VERDICTS:
        return
    verdict = str(rule.path[-1])
    if not _has_metadata(rule.module, rule.line):
        message = f"`{verdict}` has no METADATA with a title above it: say what it is for"
        yield _finding(rule, rule.line, "metadata", message, "warning")
    reason = _object_of(rule)
    if reason is None:
        return
    keys = reason.items[::2]
    if any(key.kind != "string" for key in keys):
        return
    names = {key.text for key in keys}
    if missing := {"rule", "message"} - names:
        message = f"what `{verdict}` says lacks {' and '.join(sorted(missing))}: {_DENIED}"
        yield _finding(rule, reason.line, "reason", message)
    if unknown := names - _FIELDS[verdict]:
        message = (
            f"`{verdict}` may not say {', '.join(sorted(unknown))}: {_DENIED}; "
            f"it may say {', '.join(sorted(_FIELDS[verdict]))}"
        )
        yield _finding(rule, reason.line, "reason", message)


def _object_of(rule: Rule) -> Term | None:
    """The object that a set rule adds, where it is written out: in its head, or by a variable of its body."""
    key = rule.key
    if key is None or key.kind == "object":
        return key
    if key.kind != "var":
        return None
    for body in rule.bodies:
        for statement in body.query.statements:
            term = statement.terms[0] if statement.terms else key
            if term.kind == "operator" and term.text == ":=" and term.items[0].text == key.text:
                return term.items[1] if term.items[1].kind == "object" else None
    return None


def _habits(program: Program, rule: Rule) -> Iterator[Finding]:
    """What costs time or shows too much."""
    if str(rule.path[-1]).startswith("test_"):
        message = f"{rule.name} runs at every decision; move tests to a file that ends in {TEST_SUFFIX}"
        yield _finding(rule, rule.line, "test-file", message, "warning")
    scope = program.scope(rule)
    for term in terms_of(rule):
        name = scope.function(term) if term.kind == "call" else ""
        if name == "print":
            message = "`print` shows arguments on the standard error of an OPA server; keep it in tests"
            yield _finding(rule, term.line, "print", message, "warning")
        decisive = term.items[1:2] if name == "sprintf" else term.items[1:]
        if name in _UNBOUNDED and any(not _is_constant(item) for item in decisive):
            message = (
                f"`{name}` costs as much as its argument says, and nothing stops it; bound the argument first"
            )
            yield _finding(rule, term.line, "unbounded", message, "warning")


def _settings(program: Program) -> Iterator[Finding]:
    """A misspelt setting changes nothing, and nobody notices: with the shipped rules it opens what it closes."""
    severity: Severity = "error" if _SHIPPED in program.rules else "warning"
    known: dict[Path, set[str | None]] = {_SETTINGS: set()}
    for rules in _asked_for(program):
        for rule in rules:
            terms = list(terms_in(program, rule))
            followed = {id(part) for scope, term in terms for part in _followed(scope, term)}
            for scope, term in terms:
                _note(known, scope, term)
                path = scope.path(term)
                if path[:2] == _SETTINGS and len(path) <= 3 and id(term) not in followed:
                    known.setdefault(path, set()).add(None)
    for above, names in known.items():
        given: object = program.data
        for step in above[1:]:
            given = cast("dict[str, object]", given).get(step or "") if isinstance(given, dict) else None
        read = {name for name in names if name is not None}
        if read != names or not isinstance(given, dict):
            continue
        for name in sorted(cast("dict[str, object]", given).keys() - read):
            place = ".".join(step or "" for step in above[1:])
            near = did_you_mean(name, read, f"{place}.")
            advice = near or f"; those that are read: {', '.join(sorted(read))}"
            message = f"no rule reads {place}.{name}{advice}"
            yield Finding(file="data.json", line=1, rule="unused-setting", message=message, severity=severity)


def _settings_of_another_type(program: Program) -> Iterator[Finding]:
    """A setting of another type than its default: the rules that read it would fall silent, or hold by the default."""
    for rules in program.rules.values():
        defaults = [body.value for rule in rules if rule.kind == "default" for body in rule.bodies]
        meant = _TYPES.get(defaults[0].kind) if defaults and defaults[0] is not None else None
        values = [(program.scope(rule), body.value) for rule in rules for body in rule.bodies]
        for scope, value in values if meant else ():
            place = scope.path(value) if value is not None and value.kind == "ref" else ()
            given = _given(program.data, place[1:]) if place[:2] == _SETTINGS else None
            found = None if given is None else _TYPE_NAMES[type(given)]
            if found not in (None, meant):
                text = ".".join(step or "" for step in place[1:])
                message = f"{text} is {found}, and {meant} is read there, as in {rules[0].name}"
                yield Finding(file="data.json", line=1, rule="setting-type", message=message)


def _given(data: object, path: Path) -> object:
    """What stands in the data; None where nothing does."""
    for step in path:
        data = cast("dict[str, object]", data).get(step or "") if isinstance(data, dict) else None
    return data


def _asked_for(program: Program) -> Iterator[list[Rule]]:
    """The rules that count as readers: of the shipped settings those that another rule asks for.

    What only a pack reads that nobody picked would be as if it were not written.
    """
    asked = {
        scope.path(term)[1:4]
        for path, rules in program.rules.items()
        if path[:2] != _SHIPPED[:2]
        for rule in rules
        for scope, term in terms_in(program, rule)
    }
    for path, rules in program.rules.items():
        if path[:2] != _SHIPPED[:2] or path in asked:
            yield rules


def _followed(scope: Scope, term: Term) -> tuple[Term, ...]:
    """The parts of a term whose fields are known by name where they are read: what a variable stands for too."""
    if term.kind == "operator" and term.text == ":=":
        return term.items
    return term.items[1:2] if term.kind == "call" and scope.function(term) in _PICKING else ()


def _note(known: dict[Path, set[str | None]], scope: Scope, term: Term) -> None:
    """Add what a term reads of the settings: a setting, any of them (None), or constant fields of one."""
    path = scope.path(term)
    if path[:2] == _SETTINGS and len(path) > 2:
        known[_SETTINGS].add(path[2])
    if path[:2] == _SETTINGS and len(path) > 3:
        known.setdefault(path[:3], set()).add(path[3])
    if term.kind != "call" or len(term.items) < 3:
        return
    name, read, keys = scope.function(term), scope.path(term.items[1]), term.items[2]
    if name not in _PICKING or read[:2] != _SETTINGS or None in read:
        return
    parts = keys.items if keys.kind in {"array", "set"} else (keys,)
    if name == "object.get":
        parts = parts[:1]
    if name == "object.filter" or read == _SETTINGS:
        names = known.setdefault(read, set())
        names.update(part.text if part.kind == "string" else None for part in parts)


def _is_constant(term: Term) -> bool:
    return all(part.kind not in {"var", "ref", "call"} for part in subterms(term))


def _has_metadata(module: Module, line: int) -> bool:
    """Whether the comment directly above a line is a METADATA block with a title."""
    above: list[str] = []
    for text in reversed(module.lines[: line - 1]):
        if not text.startswith("#"):
            break
        above.append(text)
    return "# METADATA" in above and any(text.startswith("# title:") for text in above)


def _spelled(term: Term) -> str:
    return ".".join(part.text for part in term.items) if term.kind == "ref" else term.text


def _finding(rule: Rule, line: int, name: str, message: str, severity: Severity = "error") -> Finding:
    return Finding(file=rule.module.file, line=line, rule=name, message=message, severity=severity)
