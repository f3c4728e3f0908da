"""Commands that install packages: which ones, where their words name them, or that it cannot be told.

A command of a manager installs nothing where its subcommand is on the list of those that do not (`managers`), and
nothing else passes for one: not an unknown subcommand, nor one behind an option that is not read. A file of
requirements, a repository and another index make a command opaque too. What a manager fetches on its way to build,
test or run a project is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from guardrail.facts.extractor import NotUnderstoodError
from guardrail.facts.packages.managers import (
    ASKS_ITSELF,
    FLAGS,
    GROUPS,
    INDEXES,
    MANAGERS,
    OTHERS,
    RUN_FIRST,
    VALUES,
    Manager,
    called,
)
from guardrail.facts.packages.specifiers import read_specifier

Word = str | None
"""A word of a command; None = not literal."""

_OPTION: Final = "which packages it installs cannot be told: an option is not read here"


def installed(
    words: Sequence[Word], *, only_known: bool = False
) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The packages that one command installs, and why that is not all that is to be known of it.

    Args:
        words: the words of the command, the program first.
        only_known: pass over a command of which it is not known that it installs anything. A text for people is full
            of them ("go to the shop").
    """
    name, rest = _program(words)
    if name in OTHERS:
        return (), "" if only_known else f"{name} installs packages in ways that are not read here"
    if name not in MANAGERS or (len(rest) == 1 and rest[0] in ASKS_ITSELF):
        return (), ""
    manager = MANAGERS[name]
    facts: list[Mapping[str, Any]] = []
    try:
        verb, behind = _verb(manager, rest)
        if verb is None:
            return (), "" if only_known else f"{name} may install something: its subcommand is not read here"
        if verb in manager.nothing:
            return (), ""
        if verb in {"init", "create"} and manager.ecosystem == "npm":
            return (), f"{name} {verb} runs a package by another name than it is called by"
        for _, word in _operands(behind, manager, groups=verb == "add"):
            facts.append(read_specifier(manager.ecosystem, word, source="install"))
            if (verb or name) in RUN_FIRST:
                break
    except NotUnderstoodError as error:
        return tuple(facts), str(error)
    return tuple(facts), "" if facts else f"{name} installs what a file lists"


def _program(words: Sequence[Word]) -> tuple[str, tuple[Word, ...]]:
    """The manager that is meant, and the words behind it."""
    name = (words[0] or "").rpartition("/")[2] if words else ""
    rest = tuple(words[1:])
    if name.startswith(("python", "pypy")) and rest[:1] == ("-m",) and len(rest) > 1:
        name, rest = rest[1] or "", rest[2:]
    return called(name), rest


def _verb(manager: Manager, words: tuple[Word, ...]) -> tuple[str | None, tuple[Word, ...]]:
    """The subcommand that is on a list, and the words behind it; None = it is on none."""
    if "" in manager.installs:
        return "", words
    known = manager.installs | manager.nothing
    verb = ""
    for at, word in _operands(words, manager):
        verb = f"{verb} {word}".strip()
        if verb in known:
            return verb, words[at + 1 :]
        if not any(other.startswith(f"{verb} ") for other in known):
            break
    return (verb if verb in known else None), ()


def _operands(
    words: tuple[Word, ...], manager: Manager, *, groups: bool = False
) -> Iterator[tuple[int, str]]:
    """The words that are neither options nor their values, each with its place.

    Raises:
        NotUnderstoodError: behind an option that is not read, nobody knows what is what.
    """
    values = (VALUES | GROUPS if groups else VALUES) if manager.ecosystem == "pypi" else frozenset[str]()
    at = 0
    while at < len(words):
        word = words[at]
        if word is None:
            raise NotUnderstoodError("which packages it installs is not literal")
        option, equals, _ = word.partition("=")
        if not word.startswith("-"):
            yield at, word
        elif option in INDEXES:
            raise NotUnderstoodError("it installs from another index than the usual one")
        elif option in values:
            at += 0 if equals else 1
        elif word not in FLAGS[manager.ecosystem]:
            raise NotUnderstoodError(_OPTION)
        at += 1
