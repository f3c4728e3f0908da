"""Shell commands: which programs a text runs, with which words, as two readers agree on it.

Shells make words from variables, patterns, files and the output of other commands; nobody can say
beforehand which. So a text is understood where it is plain (`plain`) and the whole grammar of bash
(`tree`) sees the same commands and words in it. Of any other text the commands that can be seen are
facts too, so that a rule against one of them can say no, and the text is opaque.

What a program does with its words is its own affair, except where it runs others (`carriers`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages.installs import installed
from guardrail.facts.shell.carriers import inner
from guardrail.facts.shell.plain import Redirect, Simple, read_plain
from guardrail.facts.shell.subcommands import subcommand
from guardrail.facts.shell.tree import read_tree

MAX_LENGTH: Final = 8192
"""The longest command, in characters."""
MAX_SEARCHED: Final = 2048
"""The longest text, in characters, that is searched for commands where it is not plain: errors make parsing slow."""
MAX_COMMANDS: Final = 256
"""How many commands of one text are told; with more it is opaque."""
MAX_DEPTH: Final = 8
"""How deep commands may stand in each other (`sudo sh -c …` is two deep)."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NETWORK: Final = ("/dev/tcp/", "/dev/udp/")


def read_command(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Every command that the text runs, in the order of the text, an inner one behind the one that runs it.

    A fact is `program` as written ("" = not literal), `name` (its last part), `subcommand` (of programs that
    have them, else ""), `words` (the literal ones, the program first), `complete` (all words are
    literal), `via` (the programs through which it is run, outermost first) and `redirects`, each with
    `operator`, `target` ("" = not literal) and `writes`. Packages that it installs are told too.

    Raises:
        NotUnderstoodError: nothing can be seen in it.
    """
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    if _CONTROL.search(text):
        raise NotUnderstoodError("it holds a control character")
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NotUnderstoodError("it holds a lone surrogate")
    found = _Commands()
    found.read(text, ())
    if not found.facts and not found.whys:
        raise NotUnderstoodError("it holds no command")
    return Findings(
        facts=tuple(found.facts),
        packages=tuple(found.packages),
        caution="; ".join(dict.fromkeys(found.whys)),
    )


class _Commands:
    """What is seen of a text and of what its commands run."""

    def __init__(self) -> None:
        self.facts: list[Mapping[str, Any]] = []
        self.packages: list[Mapping[str, Any]] = []
        self.whys: list[str] = []

    def read(self, text: str, via: tuple[str, ...]) -> None:
        for command in self._agreed(text):
            self._add(command, via)

    def _agreed(self, text: str) -> list[Simple]:
        """The commands of a text; where the readers do not agree, those of the grammar, and why."""
        try:
            plain = read_plain(text)
        except NotUnderstoodError as error:
            self.whys.append(str(error))
            return read_tree(text).commands if len(text) <= MAX_SEARCHED else []
        tree = read_tree(text)
        if tree.whys or _seen(plain) != _seen(tree.commands, tree.redirects):
            self.whys += tree.whys or ["two readers see different commands in it"]
            return [*plain, *tree.commands]
        return plain

    def _add(self, command: Simple, via: tuple[str, ...]) -> None:
        if len(self.facts) >= MAX_COMMANDS:
            self.whys.append(f"it holds more than {MAX_COMMANDS} commands")
            return
        if any((redirect.target or "/dev/tcp/").startswith(_NETWORK) for redirect in command.redirects):
            self.whys.append("it may open a connection by a redirection")
        program = (command.words[0] or "") if command.words else ""
        name = program.rpartition("/")[2]
        kind = ""
        if command.words and not program:
            self.whys.append("which program it runs is not literal")
        try:
            kind = subcommand(name, command.words[1:])
        except NotUnderstoodError as error:
            self.whys.append(str(error))
        self.facts.append(_fact(command, program, kind, via))
        packages, why = installed(command.words)
        self.packages += packages
        self.whys += [why] if why else []
        if program:
            self._follow(command.words, (*via, program))

    def _follow(self, words: Sequence[str | None], via: tuple[str, ...]) -> None:
        """Read what a command runs besides its own program."""
        try:
            runs = inner(words)
        except NotUnderstoodError as error:
            self.whys.append(str(error))
            return
        if runs is None:
            return
        if runs.why:
            self.whys.append(runs.why)
        if len(via) >= MAX_DEPTH:
            self.whys.append("it holds commands too deep in each other")
        elif runs.text is not None:
            self.read(runs.text, via)
        else:
            self._add(Simple(words=list(runs.words)), via)


def _seen(
    commands: Sequence[Simple], redirects: Sequence[Redirect] | None = None
) -> tuple[list[list[str | None]], list[Redirect]]:
    """What two readers have to agree on: the words of every command, and all redirections in their order."""
    if redirects is None:
        redirects = [redirect for command in commands for redirect in command.redirects]
    return [command.words for command in commands if command.words], list(redirects)


def _fact(command: Simple, program: str, kind: str, via: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "program": program,
        "name": program.rpartition("/")[2],
        "subcommand": kind,
        "words": [word for word in command.words if word is not None],
        "complete": None not in command.words,
        "via": list(via),
        "redirects": [
            {"operator": redirect.operator, "target": redirect.target or "", "writes": redirect.writes}
            for redirect in command.redirects
        ],
    }
