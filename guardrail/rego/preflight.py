"""The pre-flight: what is refused of a bundle before anything is decided by it.

The interpreter is lazy: an unknown function, a rule that depends on itself or one that reads the clock shows
when a call reaches it, as an error, another answer at every replay, or the end of the process. Here it shows
at load, by file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Final

from guardrail.bundles import TEST_SUFFIX, Bundle
from guardrail.errors import PreflightError
from guardrail.rego.definedness import Asked
from guardrail.rego.findings import Finding, did_you_mean
from guardrail.rego.interpreter import ENTRYPOINT, Interpreter, RegoError, builtin_functions
from guardrail.rego.missing import unanswered
from guardrail.rego.parity import disagreements
from guardrail.rego.quotes import unproven
from guardrail.rego.references import Program, Scope, terms_in
from guardrail.rego.syntax import Module, Path, Rule, Term, all_terms, deep_terms, read_module

MAX_BRACKETS: Final = 12
"""Brackets inside brackets: the parser takes exponential time."""
MAX_OPERATORS: Final = 64
"""Operators in one expression: the interpreter works through them by recursion."""
MAX_CHAIN: Final = 100
"""Rules that ask rules that ask rules: a stack overflow ends the process."""

BANNED: Final[Mapping[str, str]] = {
    "http.send": "a decision may not depend on the network",
    "net.lookup_ip_addr": "a decision may not depend on the network",
    "opa.runtime": "it shows the environment of the process, and no replay sees the same",
    "rand.*": "a replay would decide otherwise",
    "uuid.*": "a replay would decide otherwise",
    "time.now_ns": "a replay would decide otherwise; read input.now",
    "rego.*": "it is not there on every back end",
}
"""Built-in functions that no policy may call, and why."""
VERDICTS: Final = frozenset({"deny", "ask", "allow"})

_ENTRY: Final[Path] = tuple(ENTRYPOINT.split(".")[1:])
_RULES: Final = ("guardrail", "rules")
_MASK: Final = ("guardrail", "mask")
_HIDE: Final = (*_MASK, "hide")
_TOKEN: Final = re.compile(
    r'"(?:\\.|[^"\\])*"|`[^`]*`|#[^\n]*|:=|[-+*/%|&]|[\[\](){}]|[;,=]|\b(?:if|not|some|in|with)\b'
)


def preflight(bundle: Bundle) -> Program:
    """Check a bundle, and return it as read.

    Raises:
        PreflightError: it may not decide anything; the findings say why, by file and line.
    """
    program, findings = inspect(bundle)
    if program is None or findings:
        raise PreflightError(
            tuple(map(str, findings)),
            fix="repair the lines named above; docs/policies.md explains each kind of finding",
        )
    return program


def inspect(bundle: Bundle) -> tuple[Program | None, list[Finding]]:
    """What the pre-flight finds, in order of place, and the bundle as read (None where it does not parse)."""
    findings = [finding for path, source in bundle.modules.items() for finding in _spelling(path, source)]
    if findings:
        return None, sorted(findings)
    modules: list[Module] = []
    for path, source in bundle.modules.items():
        try:
            modules += map(read_module, Interpreter({path: source}).syntax_trees())
        except RegoError as error:
            findings.append(Finding(file=path, line=error.line or 1, rule="syntax", message=error.text))
    if findings:
        return None, sorted(findings)
    program = Program(modules=modules, bundle=bundle)
    findings = [*_deciding(program.deciding), *_tests(program)]
    return program, sorted(set(findings or _compile(bundle)))


def _deciding(program: Program) -> Iterator[Finding]:
    """What is wrong with the rules that decide. They are judged without the tests, as they run without them."""
    yield from _structure(program)
    for rule in _definitions(program):
        yield from _functions(program, rule)
    circles = list(_chains(program))
    yield from circles or (
        *_uncollected(program), *_unread(program), *unanswered(program), *_verdicts(program),
    )  # fmt: skip


def _tests(program: Program) -> Iterator[Finding]:
    """What is wrong with the tests, which run beside everything else, and what stands there by mistake."""
    for rule in _definitions(program):
        if rule.module.file.endswith(TEST_SUFFIX):
            yield from _functions(program, rule)
            yield from _mislaid(rule)
    yield from _conflicts(program)
    if not list(_chains(program.deciding)):
        yield from _chains(program)


def _mislaid(rule: Rule) -> Iterator[Finding]:
    """A verdict, a mask or a decision that stands in a test file is in no decision."""
    path = tuple(str(part).lower() for part in rule.path)
    if (path[:2] == _RULES and path[-1] in VERDICTS) or path[:3] == _HIDE or path == _ENTRY:
        message = f"{rule.name} stands in a test file, which never decides; rename the file"
        yield Finding(file=rule.module.file, line=rule.line, rule="contract", message=message)


def _spelling(path: str, source: str) -> Iterator[Finding]:
    """What would hang or overflow the parser."""
    depth = operators = 0
    for token in _TOKEN.finditer(source):
        sign = token[0]
        if sign[0] in '"`#':
            continue
        depth += sign in "[({"
        depth -= sign in "])}"
        operators = operators + 1 if sign in "-+*/%|&" else 0
        if depth > MAX_BRACKETS or operators > MAX_OPERATORS:
            line = source.count("\n", 0, token.start()) + 1
            message = (
                f"brackets are nested deeper than {MAX_BRACKETS}; name the inner value by a rule or variable"
                if depth > MAX_BRACKETS
                else f"more than {MAX_OPERATORS} operators stand in one expression; name a part of it"
            )
            yield Finding(file=path, line=line, rule="nesting", message=message)
            return


def _structure(program: Program) -> Iterator[Finding]:
    """Whether the rules stand where they are collected from, in the form in which they are collected."""
    if _ENTRY not in program.rules:
        owners = (module for module in program.modules if module.package == _ENTRY[:-1])
        place = next(owners, program.modules[0])
        message = f"the package guardrail has no rule `{_ENTRY[-1]}`; leave that package to guardrail"
        yield Finding(file=place.file, line=1, rule="entry-point", message=message)
    for rule in _definitions(program):
        yield from _placed(rule)
    yield from torn(program)
    yield from _conflicts(program)
    if "guardrail" in program.data:
        message = "data may not stand under `guardrail`, where rules stand; put it under `settings`"
        yield Finding(file="data.json", line=1, rule="conflict", message=message)


def torn(program: Program) -> Iterator[Finding]:
    """A package in several files. The embedded back end may lose what rules of the file that it reads last give."""
    first: dict[Path, Module] = {}
    for module in program.modules:
        other = first.setdefault(module.package, module)
        if other is not module:
            title = ".".join(module.package)
            message = (
                f"the package {title} stands in {other.file} too: what a rule gives could be lost, a deny too; "
                "write it in one file, or give this one a package of its own"
            )
            yield Finding(file=module.file, line=1, rule="package", message=message)


def _conflicts(program: Program) -> Iterator[Finding]:
    packages = {module.package for module in program.modules}
    for rule in _definitions(program):
        if rule.path in packages:
            message = f"the rule {rule.name} stands where a package stands; rename one of them"
            yield Finding(file=rule.module.file, line=rule.line, rule="conflict", message=message)


def _placed(rule: Rule) -> Iterator[Finding]:
    """A deny, ask or allow is collected from packages guardrail.rules.NAME only, and only as a set."""
    if rule.path[:2] != _RULES or not VERDICTS & set(rule.path[3:] or rule.path[2:]):
        return
    verdict, message = rule.path[-1], ""
    if len(rule.path) != 4:
        message = f"{rule.name} is not collected: only rules of a package guardrail.rules.NAME are"
    elif rule.kind != "set":
        message = f'`{verdict}` has to be a set: write `{verdict} contains {{"rule": …, "message": …}} if …`'
    if message:
        yield Finding(file=rule.module.file, line=rule.line, rule="contract", message=message)


def _functions(program: Program, rule: Rule) -> Iterator[Finding]:
    """Functions that do not exist, and functions that no policy may call."""
    scope = program.scope(rule)
    for term in terms_of(rule):
        if term.kind == "operator" and len(term.items) == 1 and term.items[0].kind != "number":
            message = "a minus sign may stand before a number only; subtract from 0"
            yield Finding(file=rule.module.file, line=term.line, rule="function", message=message)
        if term.kind != "call":
            continue
        name = scope.function(term)
        banned = next((why for pattern, why in BANNED.items() if fnmatchcase(name, pattern)), None)
        message = ""
        if banned:
            message = f"`{name}` may not be called: {banned}"
        elif not _exists(program, scope, term, name):
            message = f"there is no function `{name}` in the bundle, nor one of the embedded back end"
        if message:
            yield Finding(file=rule.module.file, line=term.line, rule="function", message=message)


def _exists(program: Program, scope: Scope, call: Term, name: str) -> bool:
    if not name.startswith("data."):
        return name in _builtins()
    rules = program.rules.get(scope.path(call.items[0])[1:], [])
    return any(
        rule.kind == "function" and len(rule.parameters) in {len(call.items) - 1, len(call.items) - 2}
        for rule in rules
    )


def _chains(program: Program) -> Iterator[Finding]:
    """Rules that depend on themselves, and chains of rules that are too long."""
    graph = program.graph
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle: list[Path] = error.args[1]
        rule = program.rules[circle[0]][0]
        message = "the rule depends on itself: " + " ← ".join(program.rules[path][0].name for path in circle)
        yield Finding(file=rule.module.file, line=rule.line, rule="recursion", message=message)
        return
    length: dict[Path, int] = {}
    for path in order:
        length[path] = 1 + max((length[asked] for asked in graph[path]), default=0)
        if length[path] == MAX_CHAIN + 1:
            rule = program.rules[path][0]
            message = f"more than {MAX_CHAIN} rules stand on one another here; ask fewer rules in a row"
            yield Finding(file=rule.module.file, line=rule.line, rule="recursion", message=message)


def _uncollected(program: Program) -> Iterator[Finding]:
    """A deny that nobody reads denies nothing."""
    seen = depended_on(program, [_ENTRY] if _ENTRY in program.rules else [], collected=True)
    if not any(path[-1] in VERDICTS for path in seen):
        message = (
            "no rule says deny, ask or allow in a package guardrail.rules.NAME: every call would be denied"
        )
        yield Finding(file=program.modules[0].file, line=1, rule="entry-point", message=message)
    for rule in _definitions(program):
        name = str(rule.path[-1]).lower()
        if rule.kind == "set" and rule.path not in seen and name in {*VERDICTS, "hide"}:
            package = "guardrail.mask" if name == "hide" else "guardrail.rules.NAME"
            message = f"{rule.name} is not collected: put it in a package {package}"
            if name != rule.path[-1]:
                message += f", and call it {name}"
            yield Finding(file=rule.module.file, line=rule.line, rule="contract", message=message)


def _unread(program: Program) -> Iterator[Finding]:
    """A set in a pack that is no verdict and that nobody reads: most likely a verdict that is misspelt."""
    seen = {read for path in program.rules for read in _reads(program, path)}
    collected = _collected(program)
    for rule in _definitions(program):
        in_pack, name = rule.path[:2] == _RULES, str(rule.path[-1])
        if not in_pack and rule.path[:2] != _MASK:
            continue
        known = collected if in_pack else frozenset({"hide"})
        misspelt = name.lower() in {*VERDICTS, "hide"}
        if rule.path in seen or name in known or not (rule.kind == "set" or misspelt):
            continue
        near = did_you_mean(name, known)
        advice = near or f"; read it in a rule, or call it {' or '.join(sorted(known))}"
        message = f"nobody reads {rule.name}{advice}"
        yield Finding(file=rule.module.file, line=rule.line, rule="contract", message=message)


def _collected(program: Program) -> frozenset[str]:
    """The names that are collected from packs: what the package guardrail mentions, beside the mask."""
    names = set(VERDICTS)
    for path, rules in program.rules.items():
        for rule in rules if path[:-1] == _ENTRY[:-1] else ():
            for scope, term in terms_in(program, rule):
                read = scope.path(term)
                if term.kind == "ref" and read[1:3] != _MASK:
                    names.update(part for part in read[3 if read[0] == "data" else 1 :] if part)
    return frozenset(names)


def _verdicts(program: Program) -> Iterator[Finding]:
    """What a verdict depends on has to mean the same on every back end; a refusal has to hold whatever is left out."""
    asked: Asked = {}
    for path in depended_on(program, filter(decides, program.rules)):
        for rule in program.rules[path]:
            yield from disagreements(program, rule, asked)
    for path in depended_on(program, filter(_refuses, program.rules)):
        for rule in program.rules[path]:
            yield from unproven(program, rule, asked)


def depended_on(program: Program, paths: Iterable[Path], *, collected: bool = False) -> set[Path]:
    """The rules at some paths, and all that they ask for.

    Args:
        program: all of the bundle.
        paths: where to begin.
        collected: count what the collecting rules of the package guardrail ask for: every pack there is.
    """
    waiting, seen = list(paths), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += program.graph[path] if collected else _reads(program, path)
    return seen


def _reads(program: Program, path: Path) -> Iterator[Path]:
    """What a rule asks for, but what the package guardrail collects."""
    collects = path[:1] == _RULES[:1] and path[:2] != _RULES
    return (read for read in program.graph[path] if not (collects and read[:2] == _RULES))


def decides(path: Path) -> bool:
    """Whether a rule is a verdict, hides, or says who may approve."""
    if path[:2] == _RULES:
        return path[-1] in VERDICTS
    return path[:1] == _RULES[:1]


def _refuses(path: Path) -> bool:
    """Whether more is allowed where a rule vanishes."""
    return decides(path) and not (path[:2] == _RULES and path[-1] == "allow")


def terms_of(rule: Rule) -> Iterator[Term]:
    """Every term of a rule, wherever it stands."""
    for term in (rule.key, *rule.parameters, *(body.value for body in rule.bodies)):
        if term is not None:
            yield from deep_terms(term)
    for body in rule.bodies:
        yield from all_terms(body.query)


def _definitions(program: Program) -> Iterator[Rule]:
    for rules in program.rules.values():
        yield from rules


def _compile(bundle: Bundle) -> Iterator[Finding]:
    """What only the interpreter itself can say: variables that are not safe, and the like."""
    try:
        Interpreter(bundle.rules, bundle.data_json).prepare()
        Interpreter(bundle.modules, bundle.data_json).prepare()
    except RegoError as error:
        file = error.file or next(iter(bundle.modules))
        yield Finding(file=file, line=error.line or 1, rule="compile", message=error.text)


@cache
def _builtins() -> frozenset[str]:
    return builtin_functions()
