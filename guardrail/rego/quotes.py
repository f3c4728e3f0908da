"""What a deny or ask quotes: where that has no value, the verdict itself has none, and the call goes ahead.

A rule says nothing where any part of what it says is undefined, and whoever calls a tool may leave out an
argument that it does not require. So what stands in a reason is always there, or a condition of the same
body fails without it. A statement that only binds a name for the reason is no condition: it is a part of
what is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from guardrail.rego.definedness import Asked, Known
from guardrail.rego.findings import Finding
from guardrail.rego.parity import written
from guardrail.rego.references import Program, Scope
from guardrail.rego.shapes import step
from guardrail.rego.syntax import Path, Query, Rule, Statement, Term, all_terms, deep_terms, subterms

_REASON: Final = frozenset({"rule", "message"})
_BINDING: Final = frozenset({":=", "="})
_PATTERNS: Final = frozenset({"var", "array", "object"})


def unproven(program: Program, rule: Rule, asked: Asked) -> Iterator[Finding]:
    """What in a reason may have no value though its body holds, with what to write instead.

    Args:
        program: all of the bundle; its rules do not depend on themselves.
        rule: a deny or ask, or a rule that one depends on: of those, what reads like a reason is looked at.
        asked: shared between the rules of one program, so that each is worked out once.
    """
    around = program.scope(rule)
    for body in rule.bodies:
        said = rule.key or body.value
        if said is None:
            continue
        known = Known(scope=around.entered(body.query), asked=asked)
        told = _told(known.scope, body.query, said, frozenset(around.locals))
        conditions = [statement for statement in body.query.statements if statement not in told]
        for statement in conditions:
            known = known.with_statement(statement)
        parts = [*(part for statement in told for part in _bound_to(statement)), said]
        if not (_is_verdict(rule.path) or any(map(_is_reason, parts))):
            continue
        for term in _doubtful(known, parts, conditions):
            message = (
                f"{written(term)} may have no value, and then neither has this reason: it refuses nothing; "
                f"{_advice(known, term)}"
            )
            yield Finding(file=rule.module.file, line=term.line, rule="quote", message=message)


def _is_verdict(path: Path) -> bool:
    return path[:2] == ("guardrail", "rules") and path[-1] in {"deny", "ask"}


def _is_reason(term: Term) -> bool:
    """Whether an object in this term has the fields of a reason."""
    return any(
        part.kind == "object" and {key.text for key in part.items[::2] if key.kind == "string"} >= _REASON
        for part in subterms(term)
    )


def _doubtful(known: Known, parts: Iterable[Term], conditions: Iterable[Statement]) -> Iterable[Term]:
    """What may have no value in some terms, each once, however it is spelled."""
    asked = {
        written(replace(part, items=part.items[:end]))
        for statement in conditions
        if statement.kind not in {"not", "some"} and not statement.modifiers
        for term in statement.terms
        for part in subterms(term)
        if part.kind == "ref" and not any(name.startswith("_") for name in _variables(part))
        for end in range(2, len(part.items) + 1)
    }
    found: dict[object, Term] = {}
    for part in parts:
        for term in known.uncertain(part):
            if not _is_asked(known, term, asked):
                found.setdefault(known.scope.path(term) or written(term), term)
    return found.values()


def _is_asked(known: Known, term: Term, asked: set[str]) -> bool:
    """Whether a condition asks for the same member of a list, by the same variable, or for one beside it."""
    for end in range(len(term.items), 1, -1):
        above = replace(term, items=term.items[:end])
        if term.kind == "ref" and written(above) in asked:
            shape, certain = known.shape(above), True
            for item in term.items[end:]:
                shape, there = step(shape, item.text if item.kind == "string" else None)
                certain = certain and there
            return certain
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A statement: the names in it, and those that it binds, where that may be all it does."""

    statement: Statement
    names: frozenset[str]
    bound: frozenset[str]


def _told(scope: Scope, query: Query, said: Term, parameters: frozenset[str]) -> list[Statement]:
    """The statements that only bind names for what is said: no condition reads them."""
    given = parameters | _given(query)
    parts = [
        _Part(statement=item, names=_names(item), bound=_binds(scope, item, said, given))
        for item in query.statements
    ]
    conditions = [part for part in parts if not part.bound]
    told = [part for part in parts if part.bound]
    while moved := [part for part in told if _decides(part, told, conditions, said, parameters)]:
        conditions += moved
        told = [part for part in told if part not in moved]
    return [part.statement for part in told]


def _decides(
    part: _Part, told: Sequence[_Part], conditions: Sequence[_Part], said: Term, parameters: frozenset[str]
) -> bool:
    """Whether a condition reads what a statement binds, another binds it too, or nobody uses it."""
    others = [other for other in told if other is not part]
    read = parameters.union(*(other.names for other in conditions), *(other.bound for other in others))
    used = _variables(said).union(*(other.names for other in others))
    return bool(part.bound & read) or not part.bound & used


def _binds(scope: Scope, statement: Statement, said: Term, given: frozenset[str]) -> frozenset[str]:
    """The names that a statement binds; none where it walks through something, or takes a whole reason from a rule."""
    if statement.kind != "expression" or statement.modifiers:
        return frozenset()
    term = statement.terms[0]
    if any(_walks(scope, part, given) for part in subterms(term)):
        return frozenset()
    targets = [term.items[-1]] if term.kind == "call" and term.items[-1].kind == "var" else []
    if term.kind == "operator" and term.text in _BINDING:
        left, right = term.items
        if left.kind == said.kind == "var" and left.text == said.text and _is_rule(scope, right):
            return frozenset()
        targets = [side for side in term.items if side.kind in _PATTERNS][: 1 if term.text == ":=" else 2]
    return frozenset(name for target in targets for name in _variables(target) if _is_local(scope, name))


def _walks(scope: Scope, term: Term, given: frozenset[str]) -> bool:
    """Whether a reference takes every member of something: a step of it is bound nowhere else."""
    return term.kind == "ref" and any(
        step.kind == "var" and step.text not in given and _is_local(scope, step.text)
        for step in term.items[1:]
    )


def _is_rule(scope: Scope, term: Term) -> bool:
    return scope.path(term)[:1] == ("data",)


def _is_local(scope: Scope, name: str) -> bool:
    return name in scope.locals or scope.path(Term(kind="var", line=0, text=name)) == (f"${name}",)


def _bound_to(statement: Statement) -> Sequence[Term]:
    """What the names stand for, that a statement binds."""
    term = statement.terms[0]
    if term.kind == "call":
        return (replace(term, items=term.items[:-1]),)
    return term.items[:0:-1] if term.text == ":=" else term.items[::-1]


def _given(query: Query) -> frozenset[str]:
    """Names that have one value each time: assigned, or a member of what is walked through."""
    found: list[Term] = []
    for item in query.statements:
        if item.kind == "some_in":
            found += item.names
        elif item.kind == "expression" and item.terms[0].text in _BINDING:
            found += (side for side in item.terms[0].items if side.kind in _PATTERNS)
    return _variables(*found)


def _names(statement: Statement) -> frozenset[str]:
    """The variables of a statement; `some x` alone asks for nothing."""
    if statement.kind == "some":
        return frozenset()
    inner = all_terms(statement.query) if statement.query is not None else ()
    return _variables(*statement.terms, *statement.names, *statement.modifiers, *inner)


def _variables(*terms: Term) -> frozenset[str]:
    return frozenset(part.text for term in terms for part in deep_terms(term) if part.kind == "var")


def _advice(known: Known, term: Term) -> str:
    """What to write where a term has no value."""
    if term.kind == "call":
        return "give the function a `default`, or read it in a rule that has one"
    if _is_rule(known.scope, term):
        return f"give {written(term)} a `default`"
    for end in range(len(term.items) - 1, 0, -1):
        above = replace(term, items=term.items[:end]) if end > 1 else term.items[0]
        if not any(known.uncertain(above)):
            keys = ", ".join(map(written, term.items[end:]))
            keys = keys if end == len(term.items) - 1 else f"[{keys}]"
            return f'write `object.get({written(above)}, {keys}, "")`'
    return "ask for it in a condition of the same body"
