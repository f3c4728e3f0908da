"""What references lead to: across modules, through imports and through local variables.

A canonical path begins with `input`, `data` or `$name` for a local variable, so that two spellings of one
thing compare equal: `input["arguments"].x`, `args.x` after `import input.arguments as args`, and `a.x` after
`a := input.arguments`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from guardrail.bundles import TEST_SUFFIX, Bundle
from guardrail.rego.shapes import ANY, BOOLEAN, NUMBER, OWNED, RESULTS, TEXT, Shape, input_of, step
from guardrail.rego.syntax import Body, Module, Path, Query, Rule, Statement, Term, subterms

_SHAPES: Final[Mapping[str, Shape]] = {
    "string": TEXT, "number": NUMBER, "bool": BOOLEAN, "object": (ANY,), "comprehension": (ANY,),
}  # fmt: skip
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """All modules of a bundle, with its data."""

    modules: Sequence[Module]
    bundle: Bundle

    @cached_property
    def deciding(self) -> Program:
        """The part that takes part in decisions: all but the tests, as `Bundle.rules`."""
        modules = [module for module in self.modules if not module.file.endswith(TEST_SUFFIX)]
        return Program(modules=modules, bundle=self.bundle)

    @cached_property
    def rules(self) -> Mapping[Path, list[Rule]]:
        """Every rule by its path, all definitions of it together."""
        found: dict[Path, list[Rule]] = {}
        for module in self.modules:
            for rule in module.rules:
                found.setdefault(rule.path, []).append(rule)
        return found

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The data of the bundle."""
        return self.bundle.data

    @cached_property
    def _at_and_below(self) -> Mapping[Path, list[Path]]:
        """Every constant beginning of a rule's path → the paths of the rules that begin so."""
        found: dict[Path, list[Path]] = {}
        for path in self.rules:
            constant = _constant(path)
            for end in range(len(constant) + 1):
                found.setdefault(constant[:end], []).append(path)
        return found

    @cached_property
    def _at(self) -> Mapping[Path, list[Path]]:
        """The constant beginning of a rule's path, up to its first variable → the paths of such rules."""
        found: dict[Path, list[Path]] = {}
        for path in self.rules:
            found.setdefault(_constant(path), []).append(path)
        return found

    def is_virtual(self, path: Path) -> bool:
        """Whether a rule stands at a constant path below `data`, or beneath it."""
        return path in self._at_and_below

    def read_by(self, path: Path) -> list[Path]:
        """The paths of the rules that a reference below `data` may read: above it, at it and below it."""
        constant = _constant(path)
        found = list(self._at_and_below.get(constant, ()))
        for end in range(len(constant)):
            found += self._at.get(constant[:end], ())
        return [rule for rule in found if _meet(rule, path)]

    @cached_property
    def graph(self) -> Mapping[Path, Sequence[Path]]:
        """The path of every rule → the paths of the rules that its definitions ask for, in order."""
        return {path: sorted(_reads(self, path), key=str) for path in self.rules}

    @cached_property
    def _shapes(self) -> dict[Path, Shape]:
        return {}

    def shape_given_by(self, path: Path) -> Shape:
        """What is known of the value of the rules at a path; of one that asks for itself, nothing."""
        if path not in self._shapes:
            self._shapes[path] = ANY
            self._shapes[path] = _joined([_given_by(self, rule) for rule in self.rules[path]])
        return self._shapes[path]

    def scope(self, rule: Rule) -> Scope:
        """What names mean in the head of a rule."""
        names = {
            term.text for parameter in rule.parameters for term in subterms(parameter) if term.kind == "var"
        }
        return Scope(program=self, module=rule.module, locals={name: Local() for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What is known of a local variable: the path that it stands for, if any, and its shape."""

    path: Path = ()
    shape: Shape = ANY


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What names mean in one query."""

    program: Program
    module: Module
    locals: Mapping[str, Local] = field(default_factory=dict[str, Local])

    def path(self, term: Term) -> Path:
        """The canonical path of a variable or reference; empty for anything else."""
        if term.kind == "var":
            return self._named(term.text)
        if term.kind != "ref" or term.items[0].kind != "var":
            return ()
        steps = (part.text if part.kind in {"string", "number"} else None for part in term.items[1:])
        return (*self._named(term.items[0].text), *steps)

    def _named(self, name: str) -> Path:
        if name in self.locals:
            return self.locals[name].path or ("$" + name,)
        if name in {"input", "data"}:
            return (name,)
        if name in self.module.imports:
            return self.module.imports[name]
        if self.program.is_virtual((*self.module.package, name)):
            return ("data", *self.module.package, name)
        return ("$" + name,)

    def function(self, call: Term) -> str:
        """The name of what a call calls: a built-in function's own, of another its path from `data` on."""
        path = self.path(call.items[0])
        return ".".join(part or "[…]" for part in path).removeprefix("$")

    def shape(self, term: Term) -> Shape:
        """What is known of the value of a term."""
        if term.kind in {"var", "ref"}:
            return self.shape_at(self.path(term))
        if term.kind in {"array", "set"}:
            return (_joined([self.shape(item) for item in term.items]),)
        if term.kind == "call":
            return RESULTS.get(self.function(term), ANY)
        if term.kind == "operator":
            return NUMBER if term.text in _ARITHMETIC else (ANY,) if term.text in {"|", "&"} else BOOLEAN
        return _SHAPES.get(term.kind, ANY)

    def shape_at(self, path: Path) -> Shape:
        """What is known of the value at a canonical path."""
        if not path or path[0] is None:
            return ANY
        if path[0] == "data":
            return self._shape_of_rule(path[1:])
        known: Shape = ANY
        if path[0] == "input":
            known = input_of(self.module.package)
        elif path[0].removeprefix("$") in self.locals:
            known = self.locals[path[0].removeprefix("$")].shape
        for name in path[1:]:
            known, _ = step(known, name)
        return known

    def _shape_of_rule(self, path: Path) -> Shape:
        for end in range(len(path), 0, -1):
            rules = self.program.rules.get(path[:end])
            if rules:
                known = self.program.shape_given_by(path[:end])
                for name in path[end:]:
                    known, _ = step(known, name)
                return known
        return OWNED  # data of the bundle, or a package with its rules

    def entered(self, query: Query) -> Scope:
        """What names mean inside a query, with the variables that it declares."""
        scope = self
        for _ in range(2):  # a variable may be used above the statement that says what it is
            for statement in query.statements:
                scope = scope.declared(statement) if statement.kind != "every" else scope
        return scope

    def declared(self, statement: Statement) -> Scope:
        """What names mean once this statement has declared its variables."""
        found: dict[str, Local] = {}
        if statement.kind in {"some", "some_in", "every"}:
            found = {
                term.text: Local()
                for name in statement.names
                for term in subterms(name)
                if term.kind == "var"
            }
            if statement.terms and statement.names[-1].kind == "var":
                member, _ = step(self.shape(statement.terms[0]), None)
                found[statement.names[-1].text] = Local(shape=member)
        elif statement.kind == "expression" and statement.terms[0].text in {":=", "="}:
            found = self._assigned(statement.terms[0])
        return replace(self, locals={**self.locals, **found}) if found else self

    def _assigned(self, term: Term) -> dict[str, Local]:
        if term.kind != "operator":
            return {}
        left, right = term.items
        if left.kind == "var" and (term.text == ":=" or self._named(left.text)[0] == "$" + left.text):
            path = self.path(right)
            constant = path if path and None not in path and path[0] != "$" + left.text else ()
            return {left.text: Local(path=constant, shape=self.shape(right))}
        if term.text == ":=":
            return {item.text: Local() for item in subterms(left) if item.kind == "var"}
        return {}


def terms_in(program: Program, rule: Rule) -> Iterator[tuple[Scope, Term]]:
    """Every term that a rule asks for, with what names mean where it stands.

    A reference comes as a whole, and what stands in its brackets comes besides.
    """
    for body in rule.bodies:
        inside = program.scope(rule).entered(body.query)
        for term in (body.value, rule.key):
            if term is not None:
                yield from _in_term(term, inside)
        yield from _in_query(body.query, inside)


def _reads(program: Program, path: Path) -> set[Path]:
    found: set[Path] = set()
    for rule in program.rules[path]:
        for scope, term in terms_in(program, rule):
            asked = scope.path(term)
            if asked[:1] == ("data",):
                found.update(program.read_by(asked[1:]))
    return found


def _in_query(query: Query, scope: Scope) -> Iterator[tuple[Scope, Term]]:
    for statement in query.statements:
        for term in (*statement.terms, *statement.modifiers):
            yield from _in_term(term, scope)
        if statement.query is not None:
            yield from _in_query(statement.query, scope.declared(statement).entered(statement.query))


def _in_term(term: Term, scope: Scope) -> Iterator[tuple[Scope, Term]]:
    inside = scope
    if term.query is not None:
        inside = scope.entered(term.query)
        yield from _in_query(term.query, inside)
    yield inside, term
    for item in term.items[1:] if term.kind == "ref" and inside.path(term) else term.items:
        yield from _in_term(item, inside)


def _given_by(program: Program, rule: Rule) -> Shape:
    """What is known of the value that one definition of a rule gives."""
    if rule.kind == "object":
        return (ANY,)
    if rule.kind == "set":
        return (_joined([_member(program, rule, body) for body in rule.bodies]),)
    shapes: list[Shape] = []
    for body in rule.bodies:
        if body.value is None:
            shapes.append(BOOLEAN)
        elif body.value.kind in {"var", "ref"}:
            path = program.scope(rule).entered(body.query).path(body.value)
            base = path[:1] == ("data",) and not program.read_by(path[1:])
            shapes.append(OWNED if base else ANY)
        else:
            shapes.append(program.scope(rule).shape(body.value))
    return _joined(shapes)


def _member(program: Program, rule: Rule, body: Body) -> Shape:
    """What is known of what a set rule adds: of an object that is written out, its fields."""
    items = rule.key.items if rule.key is not None and rule.key.kind == "object" else ()
    if not items or any(key.kind != "string" for key in items[::2]):
        return ANY
    inside = program.scope(rule).entered(body.query)
    return {key.text: inside.shape(value) for key, value in zip(items[::2], items[1::2], strict=True)}


def _joined(shapes: Iterable[Shape]) -> Shape:
    """What is known of a value that has one of several shapes."""
    first, *rest = list(shapes) or [ANY]
    for shape in rest:
        if ANY in (shape, first):
            return ANY
        if shape == first or OWNED in (shape, first):
            first = OWNED if shape == OWNED else first
        elif isinstance(shape, tuple) and isinstance(first, tuple):
            first = (_joined((first[0], shape[0])),)
        else:
            return ANY
    return first


def _constant(path: Path) -> Path:
    """A path up to its first step that is not a constant."""
    return path[: path.index(None)] if None in path else path


def _meet(rule: Path, reference: Path) -> bool:
    return all(
        left is None or right is None or left == right for left, right in zip(rule, reference, strict=False)
    )
