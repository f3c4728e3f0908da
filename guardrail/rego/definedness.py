"""Which references certainly have a value where a query asks for it, and of what type it then is.

This is what the checks of `parity.py` and `lint.py` stand on. A reference is certain when the policy
input always has it, when data of the bundle has it, when it is a rule that always has a value, or when
another statement of the same query, or of one around it, fails without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from guardrail.rego.references import Local, Program, Scope
from guardrail.rego.shapes import PARTIAL, Shape, step
from guardrail.rego.syntax import Body, Path, Query, Rule, Statement, Term, subterms

GUARDS: Final[Mapping[str, str]] = {
    "is_string": "string", "is_number": "number", "is_boolean": "boolean",
    "is_array": "collection", "is_object": "collection", "is_set": "collection",
}  # fmt: skip
"""Built-in functions that say what type a value is, and the type."""

Insists: TypeAlias = tuple[frozenset[Path], Mapping[Path, frozenset[str]]]
"""What a rule requires to have a value, and the types that it insists on, whichever of its bodies holds."""
Asked: TypeAlias = dict[Path, Insists]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What holds in a query, whatever order its statements run in.

    Attributes:
        scope: what its names mean.
        required: canonical paths without which one of its statements fails.
        types: canonical path → the types that its statements insist on, one of them.
        asked: what the rules that were looked at so far insist on, so that each is looked at once.
    """

    scope: Scope
    required: frozenset[Path] = frozenset()
    types: Mapping[Path, frozenset[str]] = field(default_factory=dict[Path, frozenset[str]])
    asked: Asked = field(default_factory=dict[Path, "Insists"])

    def entered(self, query: Query) -> Known:
        """What holds inside a query, on top of what holds around it."""
        known = replace(self, scope=self.scope.entered(query))
        for statement in query.statements:
            known = known.with_statement(statement)
        return known

    def with_statement(self, statement: Statement) -> Known:
        """What holds where this statement does too."""
        if statement.kind in {"not", "some"} or statement.modifiers:
            return self
        required = {
            path[:end]
            for term in statement.terms
            for part in subterms(term)
            if (path := self.scope.path(part))
            for end in range(2, len(path) + 1)
            if None not in path[:end]
        }
        types = dict(self.types)
        for path, kinds in self._types_of(statement):
            types[path] = types.get(path, kinds) & kinds or kinds
        known = replace(self, required=self.required | required, types=types)
        return known.with_asked_rule(statement)

    def _types_of(self, statement: Statement) -> Iterator[tuple[Path, frozenset[str]]]:
        call = statement.terms[0]
        if statement.kind == "expression" and call.kind == "call" and len(call.items) == 2:
            name, path = self.scope.function(call), self.scope.path(call.items[1])
            if name in GUARDS and path:
                yield path, frozenset({GUARDS[name]})

    def with_asked_rule(self, statement: Statement) -> Known:
        """What a rule that is asked for insists on in each of its bodies holds here too."""
        path = self.scope.path(statement.terms[0])
        if statement.kind != "expression" or path[:1] != ("data",):
            return self
        if path not in self.asked:
            self.asked[path] = self._insists(path)
        required, types = self.asked[path]
        return replace(self, required=self.required | required, types={**types, **self.types})

    def _insists(self, path: Path) -> Insists:
        rules = self.scope.program.rules.get(path[1:], [])
        if not rules or any(rule.kind != "complete" for rule in rules):
            return frozenset(), {}
        each = [known for rule in rules for known, _ in bodies(self.scope.program, rule, self.asked)]
        world = [path for path in each[0].required if path[0] == "input"]
        return (
            frozenset(path for path in world if all(path in known.required for known in each)),
            {
                path: frozenset[str]().union(*(known.types[path] for known in each))
                for path in world
                if all(path in known.types for known in each)
            },
        )

    def uncertain(self, term: Term) -> Iterator[Term]:
        """The references and calls in a term that may have no value, outside of its comprehensions."""
        if term.kind in {"var", "ref"}:
            if not self._is_certain(term):
                yield term
            else:
                yield from self.uncertain_steps(term)
        elif term.kind == "call":
            if not self._is_total(term):
                yield term
            for item in term.items[1:]:
                yield from self.uncertain(item)
        elif term.kind != "comprehension":
            for item in term.items:
                yield from self.uncertain(item)

    def uncertain_steps(self, reference: Term) -> Iterator[Term]:
        """The same for what stands in the brackets of a reference, and for a call that it begins with."""
        for item in reference.items:
            if item.kind not in {"var", "string"} or (item.kind == "var" and item is not reference.items[0]):
                yield from self.uncertain(item)

    def shape(self, term: Term) -> Shape:
        """What is known of its value."""
        return self.scope.shape(term)

    def _is_certain(self, term: Term) -> bool:
        path = self.scope.path(term)
        if not path:
            return False
        if path in self.required or len(path) == 1:
            return True
        if path[0] == "data":
            return self._is_certain_data(path[1:])
        known: Shape = self.scope.shape_at(path[:1])
        for name in path[1:]:
            known, certain = step(known, name)
            if not certain:
                return False
        return True

    def _is_certain_data(self, path: Path) -> bool:
        program = self.scope.program
        rules = program.rules.get(path)
        if rules:
            return any(rule.kind in {"set", "object"} or self._always_holds(rule) for rule in rules)
        value: Any = program.data
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]  # pyright: ignore[reportUnknownVariableType]
        return True

    def _is_total(self, call: Term) -> bool:
        name = self.scope.function(call)
        if not name.startswith("data."):
            return name not in PARTIAL
        rules = self.scope.program.rules.get(self.scope.path(call.items[0])[1:], [])
        return any(self._always_holds(rule, call.items[1:]) for rule in rules)

    def _always_holds(self, rule: Rule, arguments: Sequence[Term] = ()) -> bool:
        """Whether a rule has a value whatever is asked, given these arguments."""
        given = {
            parameter.text: Local(shape=self.shape(argument))
            for parameter, argument in zip(rule.parameters, arguments, strict=False)
        }
        scope = self.scope.program.scope(rule)
        known = Known(scope=replace(scope, locals={**scope.locals, **given}), asked=self.asked)
        return rule.kind == "default" or (
            all(parameter.kind == "var" for parameter in rule.parameters)
            and any(
                not body.query.statements and (body.value is None or not any(known.uncertain(body.value)))
                for body in rule.bodies
            )
        )


def bodies(program: Program, rule: Rule, asked: Asked) -> Iterator[tuple[Known, Body]]:
    """Each body of a rule, and what holds in it."""
    for body in rule.bodies:
        yield Known(scope=program.scope(rule), asked=asked).entered(body.query), body


def statements(program: Program, rule: Rule, asked: Asked) -> Iterator[tuple[Known, Statement, bool]]:
    """Every statement of a rule with what holds there, and whether it stands in a body of the rule itself."""
    for known, body in bodies(program, rule, asked):
        yield from _in_query(known, body.query, top=True)
        for term in (body.value, rule.key):
            if term is not None:
                yield from _in_term(known, term)


def _in_query(known: Known, query: Query, *, top: bool) -> Iterator[tuple[Known, Statement, bool]]:
    for statement in query.statements:
        yield known, statement, top
        for term in (*statement.terms, *statement.modifiers):
            yield from _in_term(known, term)
        if statement.query is not None:
            inside = replace(known, scope=known.scope.declared(statement)).entered(statement.query)
            yield from _in_query(inside, statement.query, top=False)


def _in_term(known: Known, term: Term) -> Iterator[tuple[Known, Statement, bool]]:
    inside = known
    if term.query is not None:
        inside = known.entered(term.query)
        yield from _in_query(inside, term.query, top=False)
    for item in term.items:
        yield from _in_term(inside, item)


def is_unconditional(rule: Rule) -> bool:
    """Whether a rule has a value whatever is asked: a constant."""
    return rule.kind == "complete" and any(
        not body.query.statements and (body.value is None or _is_constant(body.value)) for body in rule.bodies
    )


def _is_constant(term: Term) -> bool:
    return all(part.kind not in {"var", "ref", "call", "operator"} for part in subterms(term))
