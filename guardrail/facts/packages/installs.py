"""Commands that install packages: which ones, where their words name them, or that it cannot be told.

A command that installs and whose packages cannot be told is never one that installs nothing: a file of
requirements, a repository, another index or an unknown option makes it opaque.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from guardrail.facts.extractor import NotUnderstoodError
from guardrail.facts.packages.specifiers import read_specifier

Word = str | None
"""A word of a command; None = not literal."""

# Program → registry and what installs: the words behind the program that end in packages.
_MANAGERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "pip": ("pypi", ("install", "download", "wheel")),
    "uv": ("pypi", ("add", "pip install", "tool install", "tool run")),
    "uvx": ("pypi", ("",)),
    "pipx": ("pypi", ("install", "run", "upgrade")),
    "poetry": ("pypi", ("add",)),
    "pdm": ("pypi", ("add",)),
    "pipenv": ("pypi", ("install",)),
    "conda": ("conda", ("install", "create")),
    "mamba": ("conda", ("install", "create")),
    "npm": ("npm", ("install", "i", "in", "add", "ci", "exec", "x", "init", "create")),
    "pnpm": ("npm", ("add", "install", "i", "dlx", "create")),
    "yarn": ("npm", ("add", "install", "dlx", "create", "global add")),
    "bun": ("npm", ("add", "install", "i", "x", "create")),
    "npx": ("npm", ("",)),
    "bunx": ("npm", ("",)),
    "gem": ("rubygems", ("install",)),
    "cargo": ("crates", ("add", "install")),
    "go": ("go", ("get", "install")),
    "brew": ("homebrew", ("install", "reinstall", "upgrade")),
    "apt": ("debian", ("install",)),
    "apt-get": ("debian", ("install",)),
    "apk": ("alpine", ("add",)),
    "dnf": ("rpm", ("install",)),
    "yum": ("rpm", ("install",)),
}
_RUNS_FIRST: Final = frozenset({"uvx", "npx", "bunx", "tool run", "run", "exec", "x", "dlx"})
_FLAGS_TEXT: Final = (
    "-U --upgrade -q --quiet -v --verbose -y --yes --user --no-deps --pre --no-cache-dir --force-reinstall --no-input "
    "--disable-pip-version-check --break-system-packages -D -d --dev --save-dev --save -S --save-exact -E --exact -g "
    "--global -O --save-optional --no-save --no-audit --no-fund --ignore-scripts --legacy-peer-deps --silent -s "
    "--no-install-recommends --no-cache --locked --frozen --assume-yes"
)
_FLAGS: Final = frozenset(_FLAGS_TEXT.split())
_VALUES_TEXT: Final = "-t --target --prefix --root --group --extra --timeout --retries --upgrade-strategy"
_VALUES: Final = frozenset(_VALUES_TEXT.split())
_INDEXES_TEXT: Final = (
    "-i --index-url --extra-index-url --index --default-index -f --find-links --registry --source --channel -c "
    "--trusted-host --git --repo"
)
_INDEXES: Final = frozenset(_INDEXES_TEXT.split())


def installed(words: Sequence[Word]) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The packages that one command installs, and why that is not all that is to be known of it.

    Args:
        words: the words of the command, the program first.
    """
    name = (words[0] or "").rpartition("/")[2] if words else ""
    rest = tuple(words[1:])
    if name.startswith(("python", "pypy")) and rest[:1] == ("-m",) and len(rest) > 1:
        name, rest = rest[1] or "", rest[2:]
    name = "pip" if name == "pip3" or name.startswith("pip3.") else name
    if name not in _MANAGERS:
        return (), ""
    ecosystem, verbs = _MANAGERS[name]
    found = _operands(rest, verbs)
    if found is None:
        return (), ""
    verb, operands = found
    if verb in {"init", "create"} and ecosystem == "npm":
        return (), f"{name} {verb} runs a package by another name than it is called by"
    facts: list[Mapping[str, Any]] = []
    try:
        for word in _packages(operands, ecosystem, only_first=(verb or name) in _RUNS_FIRST):
            facts.append(read_specifier(ecosystem, word, source="install"))  # noqa: PERF401  keep those before a fault
        if not facts:
            return (), f"{name} installs what a file lists"
    except NotUnderstoodError as error:
        return tuple(facts), str(error)
    return tuple(facts), ""


def _operands(words: tuple[Word, ...], verbs: tuple[str, ...]) -> tuple[str, tuple[Word, ...]] | None:
    """The verb that installs and what stands behind it; options may stand before and between its parts."""
    plain = [word for word in words if word is None or not word.startswith("-")]
    for verb in verbs:
        parts = verb.split()
        if plain[: len(parts)] == parts:
            rest = list(words)
            for part in parts:
                rest.remove(part)
            return verb, tuple(rest)
    return None


def _packages(words: tuple[Word, ...], ecosystem: str, *, only_first: bool) -> Iterator[str]:
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word is None:
            raise NotUnderstoodError("which packages it installs is not literal")
        option, equals, _ = word.partition("=")
        if option in _INDEXES:
            raise NotUnderstoodError("it installs from another index than the usual one")
        if option in _VALUES and ecosystem == "pypi":
            at += 0 if equals else 1
        elif word.startswith("-") and word not in _FLAGS:
            raise NotUnderstoodError("which packages it installs cannot be told: an option is not read here")
        elif not word.startswith("-"):
            yield word
            if only_first:
                return
