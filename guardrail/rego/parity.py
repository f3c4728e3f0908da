"""Where one policy would mean two things: a rule that refuses on one back end and vanishes on another.

OPA takes the operands of a negated expression out of the negation and asks for them first; where one has
no value, neither has the rule. Its rule index skips a rule whose `startswith` meets something that is no
text, and `some … in` what cannot be walked through. The embedded interpreter goes on in the first case and
raises in the others. So what a refusal depends on asks through a rule of its own, and for types first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardrail.rego.definedness import Asked, Known, statements
from guardrail.rego.findings import Finding, Severity
from guardrail.rego.references import Program
from guardrail.rego.shapes import ANY, is_collection
from guardrail.rego.syntax import Rule, Statement, Term, subterms

_INDEXED: Final = {
    "startswith": 0, "endswith": 0, "glob.match": 2, "strings.any_prefix_match": 0,
    "strings.any_suffix_match": 0,
}  # fmt: skip
"""Functions that OPA answers from its rule index, and which of their arguments it looks at."""

_COLLECTION: Final = frozenset({"collection"})
_TEXT: Final = frozenset({"string"})
_WORD: Final = re.compile(r"\W+")


def disagreements(
    program: Program, rule: Rule, asked: Asked, severity: Severity = "error"
) -> Iterator[Finding]:
    """What in a rule means something else on OPA than embedded, with what to write instead.

    Args:
        program: all of the bundle; its rules do not depend on themselves.
        rule: the rule to look at.
        asked: shared between the rules of one program, so that each is worked out once.
        severity: of the findings.
    """
    for known, statement, top in statements(program, rule, asked):
        message = ""
        if statement.kind == "not":
            message = _negation(known, statement)
        elif statement.kind == "some_in":
            message = _walk(known, statement)
        elif statement.kind == "expression" and top:
            message = _index(known, statement)
        if message:
            yield Finding(
                file=rule.module.file, line=statement.line, rule="parity", message=message, severity=severity
            )


def _negation(known: Known, statement: Statement) -> str:
    """A `not` over something that asks for a value which may not be there."""
    term = statement.terms[0]
    doubtful: list[Term] = []
    if term.kind in {"var", "ref"}:
        doubtful += known.uncertain_steps(term)
    elif term.kind != "comprehension":
        for item in term.items[1:] if term.kind == "call" else term.items:
            doubtful += known.uncertain(item)
    for modifier in statement.modifiers:
        doubtful += known.uncertain(modifier)
    if not doubtful:
        return ""
    asked = statement.source.removeprefix("not ")
    if (subject := _indexed(known, term)) is not None:
        asked = f"{{ is_string({written(subject)}); {asked} }}"
    name = _named(known, term, doubtful[0])
    return (
        f"`{statement.source}` does not hold on OPA where {written(doubtful[0])} has no value, "
        f"and holds embedded; write the helper rule `{name} if {asked}` and ask `not {name}`"
    )


def _walk(known: Known, statement: Statement) -> str:
    """A `some … in` over what may be no collection."""
    term = statement.terms[0]
    kinds = known.types.get(known.scope.path(term), frozenset())
    if is_collection(known.shape(term)) or kinds == _COLLECTION:
        return ""
    return (
        f"`{statement.source}` has no value on OPA where {written(term)} is no collection, "
        "and raises embedded; " + _advice(known, term, "array")
    )


def _index(known: Known, statement: Statement) -> str:
    """A function that OPA's rule index answers, over what may be no text."""
    subject = _indexed(known, statement.terms[0])
    if subject is None:
        return ""
    return (
        f"`{statement.source}` has no value on OPA where {written(subject)} is no text, and raises embedded; "
        + _advice(known, subject, "string")
    )


def _indexed(known: Known, call: Term) -> Term | None:
    """What OPA's rule index would look at in a call, where an agent may have made it no text."""
    name = known.scope.function(call) if call.kind == "call" else ""
    if name not in _INDEXED or len(call.items) <= _INDEXED[name] + 1:
        return None
    subject = call.items[_INDEXED[name] + 1]
    path = known.scope.path(subject)
    if path[:1] != ("input",) or known.shape(subject) != ANY or known.types.get(path) == _TEXT:
        return None
    return subject


def _advice(known: Known, term: Term, kind: str) -> str:
    """How to ask for a type first."""
    path = known.scope.path(term)
    if path[:1] != ("input",) or None in path:
        return f"ask `is_{kind}({written(term)})` in the same body, and say in another what holds otherwise"
    text = ".".join(part or "" for part in path)
    name = f"{_WORD.sub('_', path[-1] or '')}_is_{kind}"
    return (
        f"write the helper rule `{name} if is_{kind}({text})`, ask `{name}` in the same body, "
        f"and refuse with `not {name}`"
    )


def _named(known: Known, term: Term, doubtful: Term) -> str:
    """A name for the helper, with the local variables that it has to be given."""
    function = known.scope.function(term) if term.kind == "call" else ""
    name = f"{_last(doubtful)}_{function if function.startswith('is_') else 'is_fine'}"
    names = (
        part.text
        for part in subterms(term)
        if part.kind == "var" and known.scope.path(part)[0] == "$" + part.text
    )
    functions = {
        part.items[0].text or part.items[0].items[0].text for part in subterms(term) if part.kind == "call"
    }
    given = ", ".join(dict.fromkeys(name for name in names if name not in functions))
    return f"{name}({given})" if given else name


def _last(term: Term) -> str:
    """The last word of what a term spells, as the beginning of a name."""
    return _WORD.sub("_", written(term).split("(")[0]).strip("_").split("_")[-1] or "value"


def written(term: Term) -> str:
    """A term as people write it, as far as a message needs it."""
    if term.kind == "ref":
        steps = (
            f".{item.text}" if item.kind == "string" else f"[{written(item)}]" for item in term.items[1:]
        )
        return written(term.items[0]) + "".join(steps)
    if term.kind == "call":
        return f"{written(term.items[0])}({', '.join(map(written, term.items[1:]))})"
    if term.kind == "string":
        return f'"{term.text}"'
    return term.text or ("[…]" if term.kind == "array" else "{…}")
