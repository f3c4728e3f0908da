"""The embedded back end gives what rules stand for, however they ask one another: no deny may get lost on the way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.rego.interpreter import Interpreter

LISTS = ("s0", "s1", "s2")


@dataclass(frozen=True)
class Line:
    """One definition of a rule: what is in `source`, and not in `without`.

    Both name an input list, or an earlier rule by its number. `short` says by its short name, where it may.
    """

    rule: int
    source: str | int
    without: str | int | None
    short: bool


@dataclass(frozen=True)
class Graph:
    """Rules, each in a package; the lines in the order in which they are written."""

    packages: tuple[int, ...]
    lines: tuple[Line, ...]
    order: tuple[int, ...]

    def modules(self) -> dict[str, str]:
        """One file a package, and one that asks for the last rule."""
        last = len(self.packages) - 1
        sources = {f"p{package}": f"package p{package}\n" for package in self.packages}
        for line in self.lines:
            package = self.packages[line.rule]
            without = (
                "" if line.without is None else f"; not x in {self._name(line.without, package, line.short)}"
            )
            body = f"some x in {self._name(line.source, package, line.short)}{without}"
            sources[f"p{package}"] += f"r{line.rule} contains x if {{ {body} }}\n"
        sources["main"] = f"package main\nsaid := [x | some x in {self._name(last, -1, short=False)}]\n"
        names = sorted(sources)
        return {f"{place}_{names[index]}.rego": sources[names[index]]
                for place, index in enumerate(self.order) if index < len(names)}  # fmt: skip

    def _name(self, what: str | int, package: int, short: bool) -> str:
        if isinstance(what, str):
            return f"input.{what}"
        own = self.packages[what] == package
        return f"r{what}" if own and short else f"data.p{self.packages[what]}.r{what}"

    def value(self, lists: Mapping[str, Sequence[str]]) -> set[str]:
        """What the last rule stands for."""
        values: list[set[str]] = []
        for number in range(len(self.packages)):
            found: set[str] = set()
            for line in self.lines:
                if line.rule == number:
                    found |= self._of(line.source, lists, values) - self._of(line.without, lists, values)
            values.append(found)
        return values[-1]

    def _of(
        self, what: str | int | None, lists: Mapping[str, Sequence[str]], values: list[set[str]]
    ) -> set[str]:
        if what is None:
            return set()
        return set(lists[what]) if isinstance(what, str) else values[what]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Rules that ask for earlier ones only, in packages that ask for earlier ones, or themselves, only."""
    count = draw(st.integers(2, 9))
    packages = tuple(sorted(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))))
    lines: list[Line] = []
    for rule in range(count):
        asked: st.SearchStrategy[str | int] = st.sampled_from(LISTS)
        if rule:
            asked = st.one_of(asked, st.integers(0, rule - 1), st.integers(0, rule - 1))
        line = st.builds(Line, st.just(rule), asked, st.none() | asked, st.booleans())
        lines += draw(st.lists(line, min_size=1, max_size=2))
    order = tuple(draw(st.permutations(range(5))))
    return Graph(packages, tuple(draw(st.permutations(lines))), order)


@settings(max_examples=400, deadline=None)
@given(
    graphs(), st.fixed_dictionaries({name: st.lists(st.sampled_from("abcdef"), max_size=4) for name in LISTS})
)
def test_rules_give_what_they_stand_for(graph: Graph, lists: dict[str, list[str]]):
    interpreter = Interpreter(graph.modules(), b"{}")
    said: Any = json.loads(interpreter.answer(json.dumps(lists), "data.main.said"))
    assert set(said) == graph.value(lists)
