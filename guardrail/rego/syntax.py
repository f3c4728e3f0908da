"""Rego modules as values that checks can walk: modules, rules, queries, statements and terms.

Read from the syntax tree that regorus writes (`Engine.get_ast_as_json`), whose places are byte offsets
into the source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

TermKind = Literal[
    "var", "string", "number", "bool", "null",
    "array", "set", "object", "comprehension", "ref", "call", "operator",
]  # fmt: skip
StatementKind = Literal["expression", "not", "some", "some_in", "every"]
RuleKind = Literal["complete", "set", "object", "function", "default"]

Path = tuple[str | None, ...]
"""Where a rule or a reference leads, from `data` or `input` on; None for what is not a constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term.

    Attributes:
        kind: what it is.
        line: where it begins.
        text: name of a variable, content of a string, sign of an operator (`==`, `in`, `:=`, …).
        items: its parts, in order: of a reference its head and steps, of a call its function and
            arguments, of an object key, value, key, value, …, of a comprehension its result.
        query: the body of a comprehension.
    """

    kind: TermKind
    line: int
    text: str = ""
    items: tuple[Term, ...] = ()
    query: Query | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a body.

    Attributes:
        kind: what it is.
        line: where it begins.
        source: its text, in one line.
        terms: the expression; of `some_in` and `every` what is walked through.
        names: the variables that it declares (terms, since `some` may take patterns).
        query: the body of an `every`.
        modifiers: the terms that stand behind `with … as`.
    """

    kind: StatementKind
    line: int
    source: str
    terms: tuple[Term, ...] = ()
    names: tuple[Term, ...] = ()
    query: Query | None = None
    modifiers: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Statements that all have to hold."""

    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body of a rule and the value that it gives (None = true, or the key of a set)."""

    query: Query
    value: Term | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """One definition of a rule; several may stand at one path.

    Attributes:
        module: where it is written.
        path: where it leads, from `data` on.
        line: where it begins.
        kind: what it gives.
        parameters: of a function.
        key: what a set rule adds.
        bodies: its bodies, those behind `else` too; a rule without a body has one that is empty.
    """

    module: Module
    path: Path
    line: int
    kind: RuleKind
    parameters: tuple[Term, ...] = ()
    key: Term | None = None
    bodies: tuple[Body, ...] = ()

    @property
    def name(self) -> str:
        """Its path as people write it."""
        return "data." + ".".join(part or "[…]" for part in self.path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """One module.

    Attributes:
        file: its path in the bundle.
        package: its path, without `data`.
        imports: name → what it stands for, from `data` or `input` on.
        rules: its rules, in order.
        lines: its source.
    """

    file: str
    package: tuple[str, ...]
    imports: Mapping[str, tuple[str, ...]]
    lines: tuple[str, ...]
    rules: list[Rule] = field(default_factory=list[Rule])


def read_module(tree: Mapping[str, Any]) -> Module:
    """The module that a syntax tree is of."""
    reader = _Reader(tree["source"]["contents"].encode())
    ast = tree["ast"]
    package = reader.steps(reader.term(ast["package"]["refr"]))
    imports: dict[str, tuple[str, ...]] = {}
    for item in ast["imports"]:
        path = reader.steps(reader.term(item["refr"]))
        imports[reader.slice(item["as"]) if item.get("as") else path[-1]] = path
    module = Module(
        file=tree["source"]["file"],
        package=package,
        imports=imports,
        lines=tuple(tree["source"]["contents"].split("\n")),
    )
    for rule in ast["rules"]:
        module.rules.append(reader.rule(module, rule))
    return module


def subterms(term: Term) -> Iterator[Term]:
    """The term and all terms in it, but none of the bodies of its comprehensions."""
    yield term
    for item in term.items if term.kind != "comprehension" else ():
        yield from subterms(item)


def all_terms(query: Query) -> Iterator[Term]:
    """Every term of a query, of its comprehensions and of its `every` bodies."""
    for statement in query.statements:
        for term in (*statement.terms, *statement.names, *statement.modifiers):
            yield from deep_terms(term)
        if statement.query is not None:
            yield from all_terms(statement.query)


def deep_terms(term: Term) -> Iterator[Term]:
    """The term and all terms in it, bodies of comprehensions too."""
    yield term
    for item in term.items:
        yield from deep_terms(item)
    if term.query is not None:
        yield from all_terms(term.query)


_SIGNS: Final[Mapping[str, str]] = {
    "Eq": "==", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">=", "ColEq": ":=",
    "Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%", "Union": "|", "Intersection": "&",
}  # fmt: skip
_SCALARS: Final[Mapping[str, TermKind]] = {
    "Var": "var", "String": "string", "RawString": "string",
    "Number": "number", "Bool": "bool", "Null": "null",
}  # fmt: skip
_PARTS: Final[Mapping[str, tuple[TermKind, Callable[[Any], list[Any]]]]] = {
    "Array": ("array", lambda body: body["items"]),
    "Set": ("set", lambda body: body["items"]),
    "Object": ("object", lambda body: [part for item in body["fields"] for part in item[1:]]),
    "Call": ("call", lambda body: [body["fcn"], *body["params"]]),
}
_RULES: Final[Mapping[str, RuleKind]] = {"Set": "set", "Func": "function"}
_SPACE: Final = re.compile(r"\s+")


class _Reader:
    """Reads the tree of one module."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def slice(self, span: Mapping[str, int]) -> str:
        """The source text of a span, in one line. A span that ends in a string lacks the closing quote."""
        text = _SPACE.sub(" ", self._source[span["start"] : span["end"]].decode(errors="replace"))
        return text + '"' if text.count('"') % 2 else text + "`" if text.count("`") % 2 else text

    def steps(self, term: Term) -> tuple[str, ...]:
        """The constant path that a reference spells."""
        return tuple(item.text for item in term.items) if term.kind == "ref" else (term.text,)

    def term(self, node: Mapping[str, Any]) -> Term:
        (kind, body), *_ = node.items()
        line = body["span"]["line"]
        if kind in _SCALARS:
            text = body["value"] if isinstance(body["value"], str) else self.slice(body["span"])
            return Term(kind=_SCALARS[kind], line=line, text=text)
        if kind in {"RefDot", "RefBrack"}:
            return self._reference(kind, body, line)
        if "query" in body:
            result = tuple(self.term(body[name]) for name in ("term", "key", "value") if name in body)
            return Term(kind="comprehension", line=line, items=result, query=self.query(body["query"]))
        if kind not in _PARTS:
            return self._operator(kind, body, line)
        known, parts = _PARTS[kind]
        return Term(kind=known, line=line, items=tuple(map(self.term, parts(body))))

    def _reference(self, kind: str, body: Mapping[str, Any], line: int) -> Term:
        head = self.term(body["refr"])
        step = (
            Term(kind="string", line=line, text=body["field"][1])
            if kind == "RefDot"
            else self.term(body["index"])
        )
        before = head.items if head.kind == "ref" else (head,)
        return Term(kind="ref", line=before[0].line, items=(*before, step))

    def _operator(self, kind: str, body: Mapping[str, Any], line: int) -> Term:
        names: tuple[str, ...]
        names, sign = ("lhs", "rhs"), _SIGNS.get(body.get("op", ""), "-")
        if kind == "Membership":
            names, sign = ("key", "value", "collection"), "in"
        elif kind == "UnaryExpr":
            names = ("expr",)
        elif kind == "AssignExpr" and sign == "==":
            sign = "="
        items = tuple(self.term(body[name]) for name in names if body[name] is not None)
        return Term(kind="operator", line=line, text=sign, items=items)

    def query(self, node: Mapping[str, Any]) -> Query:
        return Query(statements=tuple(map(self._statement, node["stmts"])))

    def _statement(self, node: Mapping[str, Any]) -> Statement:
        (kind, body), *_ = node["literal"].items()
        line, source = body["span"]["line"], self.slice(body["span"])
        modifiers = tuple(self.term(item["as"]) for item in node.get("with_mods", ()))
        if kind == "SomeVars":
            return Statement(
                kind="some", line=line, source=source, names=tuple(map(self._name, body["vars"]))
            )
        if kind == "SomeIn":
            (_, walked), *_ = body["collection"].items()
            source = self.slice({"start": body["span"]["start"], "end": walked["span"]["end"]})
            return Statement(
                kind="some_in", line=line, source=source, modifiers=modifiers,
                names=tuple(self.term(body[part]) for part in ("key", "value") if body[part] is not None),
                terms=(self.term(body["collection"]),),
            )  # fmt: skip
        if kind == "Every":
            return Statement(
                kind="every", line=line, source=source, modifiers=modifiers,
                names=tuple(self._name(body[part]) for part in ("key", "value") if body[part] is not None),
                terms=(self.term(body["domain"]),), query=self.query(body["query"]),
            )  # fmt: skip
        return Statement(
            kind="not" if kind == "NotExpr" else "expression", line=line, source=source, modifiers=modifiers,
            terms=(self.term(body["expr"]),),
        )  # fmt: skip

    def _name(self, span: Mapping[str, int]) -> Term:
        return Term(kind="var", line=span["line"], text=self.slice(span))

    def rule(self, module: Module, node: Mapping[str, Any]) -> Rule:
        (form, body), *_ = node.items()
        line = body["span"]["line"]
        if form == "Default":
            only = Body(query=Query(), value=self.term(body["value"]))
            return Rule(
                module=module, path=self._path(module, body["refr"]), line=line, kind="default",
                parameters=tuple(map(self.term, body["args"])), bodies=(only,),
            )  # fmt: skip
        (shape, head), *_ = body["head"].items()
        reference = self.term(head["refr"])
        assigned = head.get("assign")
        value = self.term(assigned["value"]) if assigned else None
        bodies: list[Body] = []
        for item in body["bodies"]:
            own = self.term(item["assign"]["value"]) if item["assign"] else None
            bodies.append(
                Body(query=self.query(item["query"]), value=own or (None if item["is_else"] else value))
            )
        kind: RuleKind = _RULES.get(shape, "complete")
        if kind == "complete" and any(step.kind != "string" for step in reference.items[1:]):
            kind = "object"
        return Rule(
            module=module, path=self._path(module, head["refr"]), line=line,
            kind=kind,
            parameters=tuple(map(self.term, head.get("args", ()))),
            key=self.term(head["key"]) if head.get("key") else None,
            bodies=tuple(bodies) or (Body(query=Query(), value=value),),
        )  # fmt: skip

    def _path(self, module: Module, node: Mapping[str, Any]) -> Path:
        reference = self.term(node)
        steps = reference.items if reference.kind == "ref" else (reference,)
        own = (step.text if step.kind == "string" or index == 0 else None for index, step in enumerate(steps))
        return (*module.package, *own)
