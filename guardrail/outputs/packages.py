"""Packages in outputs: what a text tells its reader to install, require or import.

An agent that is told to install a package installs it, and so does a user. Commands are looked for anywhere, imports in
blocks of Python, requirements and manifests where they are a whole text. This reads more freely than `facts` does: a
command in a sentence ends nowhere in particular, so there only its first package counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from guardrail.facts.extractor import Extractor, Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages import read_package_json, read_pypi
from guardrail.facts.packages.code import read_python
from guardrail.facts.packages.installs import installed
from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output, Text

MAX_PASSAGES: Final = 100
"""How many commands, blocks and lists of one output are read; one with more fails."""
MAX_MANAGERS: Final = 10_000
"""How often the name of a package manager may stand in one output; one in which it does more often fails."""
MOST_NAMED: Final = 64
"""How many packages of one output `named_in` tells."""

_MANAGERS: Final = (
    r"pip[0-9.]{0,8}|uvx?|pipx|poetry|pdm|pipenv|conda|mamba|npm|pnpm|yarn|bunx?|npx|gem|cargo|go|brew|apt|apt-get|apk|"
    r"dnf|yum"
)
# What one of must stand in a content for it to name a package.
_WORDS: Final[tuple[bytes, ...]] = (
    b"pip", b"uv ", b"uvx ", b"poetry ", b"pdm ", b"conda ", b"mamba ", b"npm ", b"yarn ", b"bun ", b"bunx ", b"npx ",
    b"gem ", b"cargo ", b"go ", b"brew ", b"apt ", b"apt-get ", b"apk ", b"dnf ", b"yum ", b"```", b"ependencies", b"=",
    b"\\t",
)  # fmt: skip
_MANAGER: Final = re.compile(rf"(?<![\w./-])(?:{_MANAGERS})(?=[ \t])")
_BEFORE_COMMAND: Final = re.compile(
    r"(?:[\w.@~:/ -]{0,40}[$#>%] |sudo )?[ \t]*(?:\S{0,40}python[0-9.]* -m )?"
)
_ALWAYS_INSTALLS: Final = frozenset({"npx", "uvx", "bunx"})
_FENCE: Final = re.compile(
    r"^[ \t]{0,8}```[ \t]?([A-Za-z0-9_+-]{0,20})[^\n]{0,200}\n(.*?)(?:^[ \t]{0,8}```|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON: Final = frozenset({"python", "python3", "py"})
_REQUIREMENT: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}(?:\[[\w., -]{0,100}\])?[ \t]{0,4}(?:[=~!<>]=|<|>|===)[^\n]{0,200}"
)
_ENDS: Final = re.compile(r"&&|\|\||[;|#\n`]|\s>\s")
_JOINS: Final = re.compile(r"(&&|\|\||[;|])")
_IN_SENTENCE: Final = 300
"""Characters behind the name of a manager in a sentence in which its first package is looked for."""
_NOWHERE: Final = Surroundings(roots={}, folder=Path())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    """A part of a text that names packages, and what it says."""

    text: Text
    start: int
    raw: str
    said: Findings

    def findings(self) -> Iterator[Finding]:
        """One finding a package, and one for the whole where not everything can be told."""
        for fact in self.said.packages:
            at = max(self.raw.find(fact["raw"]), 0)
            start = self.start + at
            length = len(fact["raw"]) if self.raw.startswith(fact["raw"], at) else len(self.raw)
            yield Finding.within(
                f"{fact['ecosystem']}:{fact['name']}"[:200], self.text, start, start + length
            )
        if self.said.caution:
            yield Finding.within("unnamed", self.text, self.start, self.start + len(self.raw))


class Packages:
    """Finds the packages that an output names; fails where it installs something that cannot be told by its name.

    Kinds are `ECOSYSTEM:NAME`, as `pypi:flask`, and `unnamed`. Its score is how many packages are named.
    """

    version = "1"

    def look(self, output: Output) -> Answer:
        """Every package, wherever it is named."""
        passages = _all_passages(output)
        if passages is None:
            whole = (Finding(kind="unnamed", at=""),)
            return Answer(verdict="fail", message="it names too many packages to be read", findings=whole)
        findings = tuple(dict.fromkeys(finding for passage in passages for finding in passage.findings()))
        named = {finding.kind for finding in findings} - {"unnamed"}
        whys = dict.fromkeys(passage.said.caution for passage in passages if passage.said.caution)
        return Answer(
            verdict="fail" if whys else "pass", message="; ".join(whys), score=len(named), findings=findings
        )  # fmt: skip


def named_in(output: Output) -> tuple[tuple[Mapping[str, Any], ...], bool]:
    """The packages that an output tells its reader to install, as facts, and whether these are all of them.

    What is imported only is not among them: the name of a module is not that of its package.
    """
    passages = _all_passages(output)
    if passages is None:
        return (), False
    named: dict[tuple[str, str], Mapping[str, Any]] = {}
    for passage in passages:
        for fact in passage.said.packages:
            if fact["source"] != "import":
                named.setdefault(
                    (fact["ecosystem"], fact["name"]), {"argument": passage.text.pointer, **fact}
                )
    found = tuple(named.values())
    return found[:MOST_NAMED], len(found) <= MOST_NAMED


def _all_passages(output: Output) -> list[_Passage] | None:
    """Every passage, wherever it stands; None where there are too many."""
    body = output.body
    if not any(word in body for word in _WORDS):
        return []
    if sum(1 for text in output.texts for _ in _MANAGER.finditer(text.text)) > MAX_MANAGERS:
        return None
    found = (passage for text in output.texts for passage in _passages(text))
    passages = list(islice(found, MAX_PASSAGES + 1))
    return passages if len(passages) <= MAX_PASSAGES else None


def _passages(text: Text) -> Iterator[_Passage]:
    if text.key:
        return
    yield from _commands(text)
    if "```" in text.text:
        for found in _FENCE.finditer(text.text):
            if found[1].lower() in _PYTHON and (said := _read(found[2], read_python)) is not None:
                yield _Passage(text=text, start=found.start(2), raw=found[2], said=said)
    if (reader := _list_reader(text.text)) is not None and (said := _read(text.text, reader)) is not None:
        yield _Passage(text=text, start=0, raw=text.text, said=said)


def _list_reader(text: str) -> Extractor | None:
    """What reads the whole text as a list of packages, where it looks like one."""
    if text.lstrip()[:1] == "{" and 'ependencies"' in text:
        return read_package_json
    lines = [line for line in text.split("\n", 1000) if line.strip() and not line.lstrip().startswith("#")]
    return read_pypi if lines and all(map(_REQUIREMENT.fullmatch, lines)) else None


def _read(text: str, reader: Extractor) -> Findings | None:
    """What a reader says of a block, as packages only; None where it is nothing of the kind."""
    try:
        said = reader(text, _NOWHERE)
    except NotUnderstoodError:
        return None
    return Findings(packages=said.facts, caution="" if reader is read_python else said.caution)


def _commands(text: Text) -> Iterator[_Passage]:
    """Every command that installs; in a sentence, up to its first package. What it names is no command itself."""
    done = 0
    for found in _MANAGER.finditer(text.text):
        if found.start() < done:
            continue
        alone = _stands_alone(text.text, found.start())
        passage = _command(text, found.start(), alone=alone)
        if passage is not None:
            first = "" if alone else passage.said.packages[0]["raw"] if passage.said.packages else passage.raw
            done = found.start() + (len(passage.raw) if alone else passage.raw.find(first) + len(first))
            yield passage


def _stands_alone(text: str, start: int) -> bool:
    """Whether a command begins here that goes on to the end of its line or of its backticks: this is no sentence."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - 200) : start]
    if line.endswith("`") or _BEFORE_COMMAND.fullmatch(line) is not None:
        return True
    *before, join, last = _JOINS.split(line) if _JOINS.search(line) else ("", "", line)
    if not join or _BEFORE_COMMAND.fullmatch(last.strip(" \t")) is None:
        return False
    first = before[0].lstrip(" \t$")  # after a semicolon, a sentence may go on
    return join != ";" or line.count("`") % 2 == 1 or _MANAGER.match(first) is not None


def _command(text: Text, start: int, *, alone: bool) -> _Passage | None:
    """The command that begins here, if it installs something."""
    limit = min(start + (4096 if alone else _IN_SENTENCE), len(text.text))
    end = _ENDS.search(text.text, start, limit)
    raw = text.text[start : limit if end is None else end.start()]
    words = [word.strip("'\"") for word in raw.split()]
    packages: tuple[Mapping[str, Any], ...] = ()
    caution = ""
    if alone:
        packages, caution = installed(words, only_known=True)
    elif words[0] not in _ALWAYS_INSTALLS:
        for count in range(2, min(len(words), 8) + 1):
            part = [*words[: count - 1], words[count - 1].rstrip(".,:)!?")]
            packages, caution = installed(part, only_known=True)
            if packages or (caution and count == len(words)):
                break
        caution = "" if packages else caution
    if not (packages or caution):
        return None
    return _Passage(text=text, start=start, raw=raw, said=Findings(packages=packages, caution=caution))
