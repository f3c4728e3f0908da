"""Packages: which ones are asked for, by their names in a registry. Nothing is looked up.

From commands that install (`installs`, through the reader of commands), from specifiers, from a `package.json`
and from imports. What is taken from somewhere else than a registry by its name is opaque.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages.specifiers import npm_target, package, read_specifier

MAX_LENGTH: Final = 65_536
"""The longest list or manifest, in characters."""

_MORE: Final = "it holds an option, a reference to another file, or a line that goes on"
_SECTIONS: Final = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_OTHERWISE: Final = frozenset(
    {"overrides", "resolutions", "pnpm", "workspaces", "bundledDependencies", "bundleDependencies"}
)
_HOOKS: Final = frozenset(
    {"preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare", "prepublish"}
)


def read_pypi(text: str, given: Surroundings) -> Findings:  # noqa: ARG001  the signature of every extractor
    """Requirement specifiers (PEP 508), one a line as in `requirements.txt`: one fact each.

    A fact is `ecosystem`, `name` (as the registry has it), `version` (the specifier's range), `source` and `raw`.
    """
    lines = [line.partition(" #")[0].strip() for line in _checked(text).splitlines()]
    return _specifiers("pypi", [line for line in lines if line and not line.startswith("#")])


def read_npm(text: str, given: Surroundings) -> Findings:  # noqa: ARG001
    """Packages of npm as its command line takes them, apart by blanks: one fact each, as `read_pypi`."""
    return _specifiers("npm", _checked(text).split())


def read_package_json(text: str, given: Surroundings) -> Findings:  # noqa: ARG001
    """The packages that a `package.json` asks for, as `read_pypi`.

    Raises:
        NotUnderstoodError: it is no such file.
    """
    manifest = _manifest(_checked(text))
    facts: list[Mapping[str, Any]] = []
    cautions: list[str] = []
    for section in _SECTIONS:
        asked = _object(manifest.get(section, {}))
        for name, version in asked.items():
            if not isinstance(version, str):
                raise NotUnderstoodError("it asks for a package in a form that is not read here")
            try:
                found, found_version = npm_target(name, version)
                fact = package("npm", found, found_version, source="manifest", raw=f"{name}@{version}")
                facts.append(fact)
            except NotUnderstoodError as error:
                cautions.append(str(error))
    if _OTHERWISE & manifest.keys():
        cautions.append("it changes which packages others ask for")
    if _HOOKS & _object(manifest.get("scripts", {})).keys():
        cautions.append("it runs a script when it is installed")
    return Findings(facts=tuple(facts), caution="; ".join(dict.fromkeys(cautions)))


def _checked(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    if not text.strip():
        raise NotUnderstoodError("it is empty")
    return text


def _specifiers(ecosystem: str, texts: list[str]) -> Findings:
    facts: list[Mapping[str, Any]] = []
    cautions: list[str] = []
    for text in texts:
        try:
            facts.append(read_specifier(ecosystem, text, source="requirement"))
        except NotUnderstoodError as error:
            elsewhere = text.startswith("-") or text.endswith("\\")
            cautions.append(_MORE if elsewhere else str(error))
    return Findings(facts=tuple(facts), caution="; ".join(dict.fromkeys(cautions)))


def _manifest(text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        return _object(json.loads(text, object_pairs_hook=once))
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError("it is no JSON, or has a key twice") from error


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotUnderstoodError("it has another form than a package.json")
    return cast("dict[str, Any]", value)
