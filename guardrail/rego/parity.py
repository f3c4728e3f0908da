"""Where one policy would mean two things: a rule that refuses on one back end and vanishes on another.

OPA takes the operands of a negated expression out of the negation and asks for them first; where one has
no value, neither has the rule. Its rule index skips a rule whose `startswith` meets something that is no
text, and `some … in` what cannot be walked through. The embedded interpreter goes on in the first case and
raises in the others. So what a verdict depends on asks through a rule of its own, and for types first. Texts are
counted in other units, formats that do not fit their values give text on OPA and raise embedded, some patterns say
other things, and JSON is written otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardrail.rego.definedness import Asked, Known, bodies, statements
from guardrail.rego.findings import Finding, Severity
from guardrail.rego.references import Program
from guardrail.rego.shapes import ANY, TEXT, is_collection
from guardrail.rego.syntax import Rule, Statement, Term, subterms

_INDEXED: Final = {
    "startswith": 0, "endswith": 0, "glob.match": 2, "strings.any_prefix_match": 0,
    "strings.any_suffix_match": 0,
}  # fmt: skip
"""Functions that OPA answers from its rule index, and which of their arguments it looks at."""

_VERB: Final = re.compile(r"%(?:%|[-+# 0]*[\d.*]*\w|.?)")
_FITTING: Final = {"%v", "%s", "%d", "%q"}
"""Verbs of `sprintf` that both engines know; the last two raise embedded where a value does not fit."""
_COLLECTION: Final = frozenset({"collection"})
_TEXT: Final = frozenset({"string"})
_WORD: Final = re.compile(r"\W+")
_PATTERNS: Final = {
    "regex.match": 0, "regex.split": 0, "regex.find_n": 0, "regex.find_all_string_submatch_n": 0, "regex.replace": 1,
    "regex.is_valid": 0,
}  # fmt: skip
"""Functions that read a regular expression, and which of their arguments it is."""
_PART: Final = re.compile(r"\\[<>uQ]|\\.|\[\^?\]?|\]|&&|--|~~|\(\?[a-wyzA-Z]*x", re.DOTALL)
_ESCAPES: Final = frozenset({r"\<", r"\>", r"\u", r"\Q"})
_OF_SETS: Final = frozenset({"&&", "--", "~~"})


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
    said = {id(part) for part in subterms(rule.key)} if rule.key and rule.key.kind == "object" else set[int]()
    for known, call in _calls(program, rule, asked):
        name = known.scope.function(call)
        message = ""
        if name == "count" and len(call.items) == 2:
            message = _count(known, call.items[1])
        elif name == "sprintf" and len(call.items) == 3:
            message = _format(known, *call.items[1:])
        elif id(call) not in said:  # a reason in other words is the same reason
            message = _written_otherwise(name, call)
        if message:
            yield Finding(
                file=rule.module.file, line=call.line, rule="parity", message=message, severity=severity
            )


def _calls(program: Program, rule: Rule, asked: Asked) -> Iterator[tuple[Known, Term]]:
    """Every call of a function in a rule, with what holds where it stands."""
    terms = [(known, term) for known, body in bodies(program, rule, asked) for term in (rule.key, body.value)]
    for known, statement, _ in statements(program, rule, asked):
        terms += [(known, term) for term in (*statement.terms, *statement.modifiers)]
    for known, term in terms:
        for part in subterms(term) if term is not None else ():
            if part.kind == "call":
                yield known, part


def _count(known: Known, term: Term) -> str:
    """A text that is counted: OPA counts characters, and embedded those beyond U+FFFF count twice."""
    path, shape = known.scope.path(term), known.shape(term)
    doubtful = path[:1] == ("input",) and shape == ANY and known.types.get(path) != _COLLECTION
    if not (doubtful or shape == TEXT):
        return ""
    text = written(term)
    advice = "" if shape == TEXT else f"; ask `is_array({text})` or `is_object({text})` in the same body"
    return (
        f"`count({text})` counts 😀 once on OPA and twice embedded; of a text, "
        f'write `count(split({text}, ""))`{advice}'
    )


def _written_otherwise(name: str, call: Term) -> str:
    """A pattern that the engines read differently, or a value that they write differently."""
    if name == "json.marshal":
        return (
            "`json.marshal` writes `<`, `>` and `&` as \\u003c, … on OPA and as they are embedded, so what is looked "
            "for in it may not be found; look at the value itself, at any depth by `walk`"
        )
    at = 0 if name == "glob.match" else _PATTERNS.get(name)
    if at is None or len(call.items) <= at + 1 or (pattern := call.items[at + 1]).kind != "string":
        return ""
    if name == "glob.match":
        found = "[^" if "[^" in pattern.text else ""
        advice = "write `[!…]`"
    else:
        found = _of_one_engine(pattern.text)
        advice = "write it without"
    return f"`{found}` in a pattern means something else on OPA than embedded; {advice}" if found else ""


def _of_one_engine(pattern: str) -> str:
    """The first part of a regular expression that one engine reads as something else than the other, or not at all."""
    within = False
    for part in (match[0] for match in _PART.finditer(pattern)):
        if part in _ESCAPES or (part in _OF_SETS and within) or (part.startswith("(?") and not within):
            return part
        within = part.startswith("[") or (within and part != "]")
    return ""


def _format(known: Known, form: Term, values: Term) -> str:
    """A format that does not fit: OPA writes that into the text, and embedded it raises."""
    if form.kind != "string":
        return ""
    verbs = [verb for verb in _VERB.findall(form.text) if verb != "%%"]
    if other := [verb for verb in verbs if verb not in _FITTING]:
        return f"`{other[0]}` in a format is written otherwise on OPA than embedded; write `%v`"
    if values.kind != "array":
        return ""
    if len(verbs) != len(values.items):
        return (
            f"the format has {len(verbs)} verbs for {len(values.items)} values: "
            "OPA says so in the text, and embedded it raises"
        )
    for verb, value in zip(verbs, values.items, strict=True):
        path = known.scope.path(value)
        if verb in {"%d", "%q"} and path[:1] == ("input",) and known.shape(value) == ANY:
            return f"`{verb}` of {written(value)} raises embedded where that does not fit; write `%v`"
    return ""


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
