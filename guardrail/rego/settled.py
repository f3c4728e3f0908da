"""What a bundle says whatever it is asked: its settings, evaluated once instead of at every decision.

A module is settled where every rule in it is a plain value or a copy of data, such as the shipped
`settings.rego`, which puts defaults beneath what the owner has configured. For a decision it stands as data:
evaluating it anew each time would cost a third of the shipped policies' time.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from guardrail.bundles import Bundle
from guardrail.errors import PolicyError
from guardrail.rego.interpreter import UNDEFINED, Interpreter
from guardrail.rego.references import Program, terms_in
from guardrail.rego.syntax import Module, Rule, read_module

_REPLACING: Final = re.compile(r"\bwith\s+\S+\s+as\b")
"""What may put something else in the place of data, where a rule asks."""
_PLAIN: Final = frozenset({"string", "number", "bool", "null", "array", "object"})
_COPYING: Final = frozenset({"object.filter"})
"""Built-in functions that give parts of data, and never a set: as data, a set would be an array."""


def settled(bundle: Bundle) -> Bundle:
    """The same bundle for whoever decides: what is settled in it stands in its data, its tests are left out.

    Where anything speaks against that, the bundle comes back as it is. It has to have passed the pre-flight.
    """
    interpreter = Interpreter(bundle.rules, bundle.data_json)
    program = Program(modules=[read_module(tree) for tree in interpreter.syntax_trees()], bundle=bundle)
    modules = [module for module in program.modules if _is_settled(program, module)]
    if not modules or any(_REPLACING.search(source) for source in bundle.rules.values()):
        return bundle
    data, gone = bundle.data, {module.file for module in modules}
    try:
        for module in modules:
            _put(data, module, interpreter)
        return Bundle.of({path: source for path, source in bundle.rules.items() if path not in gone}, data)
    except PolicyError:
        return bundle  # a value has no faithful form as data, or none at all: then every decision says so


def _is_settled(program: Program, module: Module) -> bool:
    """Whether the whole package is this module, and every rule in it gives the same value for every input."""
    package = module.package
    alone = all(other is module or other.package[: len(package)] != package for other in program.modules)
    return alone and bool(module.rules) and all(_is_fixed(program, rule) for rule in module.rules)


def _is_fixed(program: Program, rule: Rule) -> bool:
    if (
        rule.kind not in {"default", "complete"}
        or rule.parameters
        or len(rule.path) != len(rule.module.package) + 1
    ):
        return False
    if any(body.query.statements or body.value is None for body in rule.bodies):
        return False
    for scope, term in terms_in(program, rule):
        path = scope.path(term)
        copies = path[:1] == ("data",) and None not in path and not program.read_by(path[1:])
        calls = term.kind == "call" and scope.function(term) in _COPYING
        named = ".".join(part or "" for part in path).removeprefix("$") in _COPYING
        if not (term.kind in _PLAIN or copies or calls or named):
            return False
    return True


def _put(data: dict[str, Any], module: Module, interpreter: Interpreter) -> None:
    """Write the values of a module's rules where its package stands; one without a value stays absent."""
    place = data
    for step in module.package:
        place = place.setdefault(step, {})
    for rule in module.rules:
        value = interpreter.answer("{}", rule.name)
        if value != UNDEFINED:
            place[str(rule.path[-1])] = orjson.loads(value)
