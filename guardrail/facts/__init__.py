"""The facts: what the arguments of a call mean.

An extractor takes one text and answers with facts that it fully understands, or says why not; then
the argument is `opaque`, and opaque is never allowed unattended (`decisions.attended`). Which
extractor reads which argument is declared with the tool (`Tool.kinds`); one file a kind, all with the
same signature (`extractor.Extractor`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from guardrail.calls import ArgumentKind, Call
from guardrail.facts.contents import read_content
from guardrail.facts.extractor import Extractor, Findings, NotUnderstoodError, Surroundings
from guardrail.facts.guesses import MAX_SQL, guess, may_look_like_any
from guardrail.facts.money import read_money, read_number
from guardrail.facts.packages import read_npm, read_package_json, read_pypi
from guardrail.facts.packages.code import read_python
from guardrail.facts.paths import read_path
from guardrail.facts.recipients import read_recipient
from guardrail.facts.secrets import may_hold_secrets, read_text, secrets_in
from guardrail.facts.shell import read_command
from guardrail.facts.sql import READERS as SQL_READERS
from guardrail.facts.texts import texts_in
from guardrail.facts.urls import guess_url, read_url
from guardrail.pointers import EVERY, Leaf, Place, names, of_argument, places, tokens

MAX_VALUES: Final = 256
"""How many texts of one declared argument are read; with more it is opaque as a whole."""

_EXTRACTORS: Final[Mapping[ArgumentKind, tuple[str, Extractor]]] = {
    "path": ("paths", read_path),
    "url": ("urls", read_url),
    "command": ("commands", read_command),
    "money": ("money", read_money),
    "npm": ("packages", read_npm),
    "package.json": ("packages", read_package_json),
    "pypi": ("packages", read_pypi),
    "python": ("packages", read_python),
    "text": ("secrets", read_text),
    "content": ("contents", read_content),
    "recipient": ("recipients", read_recipient),
    "sql": ("sql", SQL_READERS["sql"]),
    "sql:mysql": ("sql", SQL_READERS["sql:mysql"]),
    "sql:postgres": ("sql", SQL_READERS["sql:postgres"]),
    "sql:sqlite": ("sql", SQL_READERS["sql:sqlite"]),
}


_Lists = dict[str, list[Mapping[str, Any]]]
Guesses = Mapping[str, tuple[Mapping[str, Any], ...]]
"""Field → facts, as in `Facts`, of arguments that nobody declared."""


def _nothing_guessed() -> Guesses:
    return {"paths": (), "urls": (), "commands": (), "sql": (), "packages": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the arguments mean, one list a kind; each fact names the argument it comes from."""

    paths: tuple[Mapping[str, Any], ...] = ()
    urls: tuple[Mapping[str, Any], ...] = ()
    commands: tuple[Mapping[str, Any], ...] = ()
    sql: tuple[Mapping[str, Any], ...] = ()
    packages: tuple[Mapping[str, Any], ...] = ()
    secrets: tuple[Mapping[str, Any], ...] = ()
    money: tuple[Mapping[str, Any], ...] = ()
    recipients: tuple[Mapping[str, Any], ...] = ()
    contents: tuple[Mapping[str, Any], ...] = ()
    opaque: tuple[Mapping[str, Any], ...] = ()
    guessed: Guesses = field(default_factory=_nothing_guessed)

    def as_json(self) -> dict[str, Any]:
        """The form in a policy input."""
        return {
            "paths": self.paths,
            "urls": self.urls,
            "commands": self.commands,
            "sql": self.sql,
            "packages": self.packages,
            "secrets": self.secrets,
            "money": self.money,
            "recipients": self.recipients,
            "contents": self.contents,
            "opaque": self.opaque,
            "guessed": self.guessed,
        }


_NONE: Final = Facts()


def extract(call: Call, *, roots: Mapping[str, Path], folder: Path | None = None) -> Facts:
    """What the arguments of a call mean, as `call.tool.kinds` declares them.

    Answers the same for the same call, as long as the file system does. Never raises for what is in
    the arguments: what is not understood is in `opaque`, as `{"argument", "kind", "why"}`. An absent or
    null argument has no facts; of a list, every item is read. Undeclared arguments are
    looked through for secrets, and `guessed` holds facts of those that look like a kind.

    Args:
        call: what is attempted.
        roots: the path roots of the acting agent: name → absolute folder, links resolved.
        folder: what relative paths are relative to for this tool; None = the working folder of this process.
    """
    secret, guessing = may_hold_secrets(call.body), may_look_like_any(call.body)
    if not (call.tool.kinds or secret or guessing):
        return _NONE
    given = Surroundings(roots=roots, folder=folder or Path())
    facts: _Lists = {"opaque": []}
    arguments = call.arguments
    for argument, kind in call.tool.kinds.items():
        found = list(islice(_texts(arguments, argument), MAX_VALUES + 1))
        if len(found) > MAX_VALUES:
            found = [Place(pointer=of_argument(argument), value=None, reached=False)]
        for place in found:
            caution = _add(facts, place, kind, given)
            if caution:
                facts["opaque"].append({"argument": place.pointer, "kind": kind, "why": caution})
    if secret:
        facts.setdefault("secrets", []).extend(
            {"argument": place.pointer, **fact}
            for place in (*texts_in(arguments), *names(arguments))
            for fact in secrets_in(place.value)
        )
    guesses = _guesses(call, given) if guessing else _NONE.guessed
    return Facts(guessed=guesses, **{field: tuple(items) for field, items in facts.items()})


def _guesses(call: Call, given: Surroundings) -> Guesses:
    """The facts of texts that look like a kind, in places of which nothing is declared."""
    declared = [tokens(of_argument(argument)) for argument in call.tool.kinds]
    facts: _Lists = {}
    left = MAX_SQL
    undeclared = (place for place in texts_in(call.arguments) if not _is_declared(place, declared))
    for text in islice(undeclared, MAX_VALUES):
        place = Place(pointer=text.pointer, value=text.value)
        kind = guess(place.value)
        if kind == "sql":
            left -= len(place.value)
        if kind == "url":
            found = guess_url(place.value.strip()).facts
            facts.setdefault("urls", []).extend({"argument": place.pointer, **fact} for fact in found)
        elif kind and (kind != "sql" or left >= 0):
            _add(facts, place, kind, given)
    return {**_NONE.guessed, **{field: tuple(items) for field, items in facts.items()}}


def _is_declared(place: Leaf, declared: Sequence[Sequence[str]]) -> bool:
    """Whether a place is one that is declared, stands in one, or stands where one was expected in it."""
    return any(
        all(token in {EVERY, name} for name, token in zip(place.path, other, strict=False))
        for other in declared
    )


def _add(facts: _Lists, place: Place, kind: ArgumentKind, given: Surroundings) -> str:
    """Add what a text means, and answer why it is not to be allowed unattended."""
    field, findings = _read(place, kind, given)
    besides = (("packages", findings.packages), ("secrets", findings.secrets), ("urls", findings.urls))
    for name, items in ((field, findings.facts), *besides):
        if items:
            facts.setdefault(name, []).extend({"argument": place.pointer, **fact} for fact in items)
    return findings.caution


def _read(place: Place, kind: ArgumentKind, given: Surroundings) -> tuple[str, Findings]:
    """The list of facts to add to, and what to add; what is not understood is nothing and a caution."""
    if kind not in _EXTRACTORS:
        return "opaque", Findings(caution="nothing reads arguments of this kind")
    field, extractor = _EXTRACTORS[kind]
    try:
        if kind == "money" and isinstance(place.value, int | float) and not isinstance(place.value, bool):
            return field, read_number(place.value)
        if not (place.reached and isinstance(place.value, str)):
            return field, Findings(caution=f"it is neither a text nor a list of at most {MAX_VALUES} texts")
        return field, extractor(place.value, given)
    except NotUnderstoodError as error:
        return field, Findings(caution=str(error))


def _texts(arguments: Mapping[str, Any], argument: str) -> Iterator[Place]:
    """Every place that a declared argument names, the items of a list one by one."""
    for place in places(arguments, of_argument(argument)):
        if place.reached and isinstance(cast("object", place.value), list):
            for item in places(place.value, "/*"):
                yield Place(pointer=place.pointer + item.pointer, value=item.value)
        elif place.value is not None:
            yield place
