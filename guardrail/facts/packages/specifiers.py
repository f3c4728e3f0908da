"""Packages as their registries name them: PEP 508 for PyPI, npm's own form for npm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from guardrail.facts.extractor import NotUnderstoodError

Source = Literal["install", "requirement", "manifest", "import"]
"""Where a package was named: a command that installs it, a specifier, a manifest, or code that imports it."""

ELSEWHERE: Final = (
    "it names a package by a URL, a repository, a path or a file, not by its name in a registry"
)

_NAME: Final = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*"
_NPM_NAME: Final = re.compile(_NAME)
_NPM: Final = re.compile(rf"({_NAME})(?:@(.*))?", re.DOTALL)
_NPM_ALIAS: Final = re.compile(rf"npm:({_NAME})(?:@(.*))?", re.DOTALL)
_NPM_RANGE: Final = re.compile(r"[A-Za-z0-9.*^~<>=| +-]*")
_FILES_TEXT: Final = (
    "whl zip tar tgz tbz tbz2 txz tlz gz bz2 xz lz lzma zst zstd deb rpm gem apk crate conda rb egg"
)
_FILE: Final = re.compile(rf"\.(?:{_FILES_TEXT.replace(' ', '|')})\Z", re.IGNORECASE)
"""How files end that one installer or another takes for a package, in every case of letters."""
_OTHER: Final = re.compile(r"([A-Za-z0-9@][A-Za-z0-9+._/-]*?)(?:(?:==?|@)([A-Za-z0-9.+~:-]+))?")
_SLASHES: Final = frozenset({"go", "debian"})
"""Registries in which a slash belongs to a name, or stands before a release; in others it leads elsewhere."""

NOT_LOOKED_UP: Final[Mapping[str, Any]] = {
    "known": None, "registry": "", "checked": None, "why": "it was not looked up", "age_days": None, "releases": None,
    "rank": None, "appeared": False, "nearest": "", "distance": None, "conflation": False, "elsewhere": [],
    "snapshot": "",
}  # fmt: skip
"""What a fact says of its package before anybody has looked it up (`guardrail.registry`)."""


def package(ecosystem: str, name: str, version: str, *, source: Source, raw: str) -> Mapping[str, Any]:
    """One fact."""
    asked = {"ecosystem": ecosystem, "name": name, "version": version, "source": source, "raw": raw}
    return {**asked, **NOT_LOOKED_UP}


def read_specifier(ecosystem: str, text: str, *, source: Source) -> Mapping[str, Any]:
    """The package that a specifier means.

    Args:
        ecosystem: the registry: `pypi`, `npm` or another one, whose names are taken as they stand.
        text: the specifier.
        source: where it was found.

    Raises:
        NotUnderstoodError: it is no name in a registry.
    """
    readers = {"pypi": _pypi, "npm": _npm}
    name, version = readers[ecosystem](text) if ecosystem in readers else _other(ecosystem, text)
    return package(ecosystem, name, version, source=source, raw=text)


def _pypi(text: str) -> tuple[str, str]:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  see ADR 6
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise NotUnderstoodError(ELSEWHERE) from error
    if found.url or _FILE.search(found.name):
        raise NotUnderstoodError(ELSEWHERE)
    return canonicalize_name(found.name), str(found.specifier)


def _npm(text: str) -> tuple[str, str]:
    found = _NPM.fullmatch(text)
    if found is None:
        raise NotUnderstoodError(ELSEWHERE)
    return npm_target(found[1], found[2] or "")


def npm_target(name: str, version: str) -> tuple[str, str]:
    """The package behind a name and what npm is told to take for it: `npm:other@1` means another one.

    Raises:
        NotUnderstoodError: it is taken from somewhere else than the registry.
    """
    alias = _NPM_ALIAS.fullmatch(version)
    name, version = (alias[1], alias[2] or "") if alias else (name, version)
    named = _NPM_NAME.fullmatch(name) and _NPM_RANGE.fullmatch(version)
    if not named or version.startswith(".") or any(map(_FILE.search, (name, version))):
        raise NotUnderstoodError(ELSEWHERE)
    return name, version


def _other(ecosystem: str, text: str) -> tuple[str, str]:
    found = _OTHER.fullmatch(text)
    if found is None or text.startswith("@") or _FILE.search(text):
        raise NotUnderstoodError(ELSEWHERE)
    if "/" in found[1] and ecosystem not in _SLASHES:
        raise NotUnderstoodError(ELSEWHERE)
    return found[1], found[2] or ""
