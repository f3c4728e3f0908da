"""What a bundle is asked to compare two engines: what its tests ask, and the same with every argument otherwise.

The tests of a bundle know best which inputs matter. They are run once with a `print` in each verdict, which shows the
input that it saw, through whatever helper it was given. Then every argument in turn is missing, of each other type,
empty and huge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, get_args

import orjson

from guardrail.bundles import TEST_SUFFIX, Bundle
from guardrail.calls import Agent, Call, Effect, Tool
from guardrail.facts import Facts
from guardrail.pointers import escape, put, tokens
from guardrail.policy import PolicyInput, RunState
from guardrail.rego.interpreter import Interpreter
from guardrail.rego.preflight import VERDICTS
from guardrail.rego.references import Program, terms_in
from guardrail.rego.syntax import Rule, Term, read_module
from guardrail.rego.testing import run_rego_tests

HUGE: Final[Mapping[str, Any]] = {
    "a huge text": "x" * 10_000,
    "a huge number": 9_007_199_254_740_991,
    "a huge list": ["x"] * 1_000,
    "a huge object": {f"key{number}": number for number in range(500)},
}
OTHERWISE: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "-1": -1,
    "0.5": 0.5,
    "a text": "x",
    "a text of digits": "5",
    "an empty text": "",
    "a text beyond ASCII": "٣ érm\u00a0<b>&😀 İ",
    "a list": ["x", 1, None],
    "an empty list": [],
    "an object": {"x": 1},
    "an empty object": {},
    **HUGE,
}
"""What an argument is instead, in words → the value. It may be missing, too."""
_MARK: Final = "compare:"
_TELL: Final = f'print("{_MARK}", json.marshal([input, data.settings])); '.encode()
_QUOTES: Final = frozenset({b'"', b"`"})
MISSING: Final = "missing"
_NOW: Final = "2026-01-31T12:00:00Z"
_WHOLE: Final = PolicyInput(
    call=Call.of({}, run="run", id="call", agent=Agent(id="agent"), tool=Tool(name="tool", effect="write")),
    facts=Facts(),
    run=RunState(
        id="run", started=_NOW, usage={"calls": 0, "denied": 0, "asked": 0, "tools": {}, "spent": {}}
    ),
    now=_NOW,
)
"""An input with everything that every input has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One input.

    Attributes:
        given: the input.
        settings: what stands under `settings` in the data; None = what the bundle has.
        asked_by: who asks it: a test, by `package.name`.
        argument: which argument is otherwise, as a pointer; empty = none.
        otherwise: what it is instead, in words.
    """

    given: Mapping[str, Any]
    settings: Any = None
    asked_by: str = ""
    argument: str = ""
    otherwise: str = ""


def asked_by_tests(bundle: Bundle) -> list[Question]:
    """What the tests of a bundle ask of its verdicts, each input once.

    Tests leave out what they do not care about; no policy is ever shown an input that lacks it. So it is filled in.
    """
    modules = {
        path: source if path.endswith(TEST_SUFFIX) else _telling(path, source)
        for path, source in bundle.modules.items()
    }
    data: dict[str, Any] = {"settings": {}, **bundle.data}
    found: dict[bytes, Question] = {}
    for result in run_rego_tests(Bundle.of(modules, data)):
        for line in result.output:
            _, marked, text = line.partition(_MARK)
            if marked:
                key = text.encode()
                given, settings = orjson.loads(key)
                whole = _beneath(given, orjson.loads(_WHOLE.json))
                found.setdefault(key, Question(given=whole, settings=settings, asked_by=result.title))
    return list(found.values())


def asked_of_arguments(bundle: Bundle) -> list[Question]:
    """An input with every argument that a rule of the bundle reads, once as texts and once as numbers.

    Args:
        bundle: one that has passed the pre-flight.
    """
    interpreter = Interpreter(bundle.rules, bundle.data_json)
    program = Program(modules=[read_module(tree) for tree in interpreter.syntax_trees()], bundle=bundle)
    read = sorted(
        {path for rules in program.rules.values() for rule in rules for path in _read(program, rule)}
    )
    found: list[Question] = []
    for plain in ("x", 5):
        arguments: dict[str, Any] = {}
        for path in read:
            _plant(arguments, path, plain)
        for effect in get_args(Effect):
            given = orjson.loads(_WHOLE.json)
            given["arguments"], given["tool"]["effect"] = arguments, effect
            found.append(Question(given=given, asked_by="the arguments that rules read"))
    return found


def _read(program: Program, rule: Rule) -> Iterator[tuple[str, ...]]:
    """The arguments that a rule reads, as far as their names are constant."""
    for scope, term in terms_in(program, rule):
        path = scope.path(term)
        if term.kind == "call" and len(term.items) > 2 and scope.function(term) == "object.get":
            path = scope.path(term.items[1])
            path = (*path, *(item.text for item in _keys(term.items[2]))) if path else ()
        if path[:2] == ("input", "arguments"):
            names = path[2 : path.index(None)] if None in path else path[2:]
            yield tuple(name for name in names if name)


def _keys(term: Term) -> Sequence[Term]:
    """The keys that `object.get` goes down by."""
    items = term.items if term.kind == "array" else (term,)
    return items if all(item.kind == "string" for item in items) else ()


def _plant(arguments: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path; what is read both whole and in parts has parts."""
    for name in path[:-1]:
        inner: Any = arguments.get(name)
        below = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
        arguments[name] = below
        arguments = below
    if path:
        arguments.setdefault(path[-1], value)


def varied(questions: Sequence[Question]) -> Iterator[Question]:
    """Questions, each followed by the same with every argument in turn missing, of each other type, empty and huge.

    The same input is asked once, whoever asks it.
    """
    seen: set[bytes] = set()
    for question in questions:
        for other in (question, *_otherwise(question)):
            key = orjson.dumps((other.given, other.settings), option=orjson.OPT_SORT_KEYS)
            if key not in seen:
                seen.add(key)
                yield other


def _otherwise(question: Question) -> Iterator[Question]:
    arguments = question.given.get("arguments")
    for pointer, value in _members(arguments, "/arguments"):
        for words, instead in OTHERWISE.items():
            if type(instead) is not type(value) or instead != value:
                given = put(_copied(question.given), pointer, instead)
                yield replace(question, given=given, argument=pointer, otherwise=words)
        given = _without(_copied(question.given), pointer)
        yield replace(question, given=given, argument=pointer, otherwise=MISSING)


def _beneath(given: Any, whole: Any) -> Any:
    """What a test gives, on top of a whole input."""
    if not (isinstance(given, dict) and isinstance(whole, dict)):
        return cast("Any", given)
    over, under = cast("dict[str, Any]", given), cast("dict[str, Any]", whole)
    return under | {name: _beneath(value, under.get(name)) for name, value in over.items()}


def _members(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Everything inside of the arguments, by pointer; of a long list its first members."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        items = enumerate(cast("list[Any]", value)[:3])
    for key, inner in items:
        pointer = f"{at}/{escape(str(key))}"
        yield pointer, inner
        yield from _members(inner, pointer)


def _copied(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))


def _without(document: Any, pointer: str) -> Any:
    """The document, changed as it stands, without the member that a pointer names."""
    *above, last = tokens(pointer)
    holder = document
    for token in above:
        holder = holder[int(token) if isinstance(holder, list) else token]
    del holder[int(last) if isinstance(holder, list) else last]
    return document


def _telling(path: str, source: str) -> str:
    """A module whose verdicts print what they see."""
    text = source.encode()
    (tree,) = Interpreter({path: source}).syntax_trees()
    statements: list[list[dict[str, Any]]] = [
        body["query"]["stmts"]
        for rule in tree["ast"]["rules"]
        if (spec := rule.get("Spec")) and _is_verdict(spec["head"], text)
        for body in spec["bodies"]
    ]
    spans: list[tuple[int, int]] = [
        (first["span"]["start"], first["span"]["end"])
        for first in (found[0] for found in statements if found)
    ]
    for start, end in sorted(spans, reverse=True):
        # Where a span begins or ends in a text, it lacks the quote.
        begins = start - (text[start - 1 : start] in _QUOTES)
        ends = end + (text[end : end + 1] in _QUOTES)
        telling = _TELL + text[begins:ends]
        if not text[:begins].rstrip().endswith(b"{"):
            telling = b"{ " + telling + b" }"
        text = text[:begins] + telling + text[ends:]
    return text.decode()


def _is_verdict(head: Mapping[str, Any], text: bytes) -> bool:
    for reference in head.get("Set", {}).get("refr", {}).values():
        span: dict[str, int] = reference["span"]
        return text[span["start"] : span["end"]].decode() in {*VERDICTS, "hide"}
    return False
