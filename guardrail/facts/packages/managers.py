"""Programs that install packages, and which of their subcommands do, in closed lists.

What is on no list may install anything: a new subcommand, an alias or a misspelling that a program corrects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A program that installs packages.

    Attributes:
        ecosystem: the registry of its packages.
        installs: the subcommands that end in packages; "" = it needs none.
        nothing: those that install nothing; "" = without one it does nothing.
    """

    ecosystem: str
    installs: frozenset[str]
    nothing: frozenset[str]


def _manager(ecosystem: str, installs: str, nothing: str = "") -> Manager:
    """Subcommands, apart by blanks; `_` stands between the parts of one, and alone for none at all."""
    verbs = [
        frozenset(verb.replace("_", " ").strip() for verb in text.split()) for text in (installs, nothing)
    ]
    return Manager(ecosystem=ecosystem, installs=verbs[0], nothing=verbs[1])


_CONDA: Final = _manager(
    "conda",
    "install create",
    "_ list info search run activate deactivate clean doctor help env_list env_export",
)
_APT: Final = _manager(
    "debian", "install", "_ list show search depends rdepends update clean autoclean check help"
)
_RPM: Final = _manager(
    "rpm",
    "install",
    "_ list info search repolist check-update provides repoquery clean makecache deplist help",
)
MANAGERS: Final[Mapping[str, Manager]] = {
    "pip": _manager(
        "pypi",
        "install download wheel",
        "_ list show freeze check inspect hash debug search index_versions config_list config_get config_debug "
        "cache_dir cache_info cache_list completion uninstall help",
    ),
    "uv": _manager(
        "pypi",
        "add pip_install tool_install tool_run",
        "_ run init venv help pip_list pip_show pip_freeze pip_check pip_tree pip_uninstall tool_list "
        "tool_dir tool_uninstall cache_dir cache_clean python_list python_find python_dir",
    ),
    "uvx": _manager("pypi", "_"),
    "pipx": _manager("pypi", "install run upgrade", "_ list environment uninstall help"),
    "poetry": _manager(
        "pypi", "add", "_ run show check search version about list help new env_info env_list env_activate"
    ),
    "pdm": _manager("pypi", "add", "_ run list show info search help"),
    "pipenv": _manager("pypi", "install", "_ run graph verify scripts requirements"),
    "conda": _CONDA,
    "mamba": _CONDA,
    "npm": _manager(
        "npm",
        "install i in add ci exec x init create",
        "_ run run-script test t start stop restart ls list ll la view v info show outdated root prefix "
        "config_list config_get get search whoami ping explain why fund doctor help version",
    ),
    "pnpm": _manager(
        "npm",
        "add install i dlx create",
        "_ run test t start list ls ll la why outdated root bin licenses config_list config_get store_path help",
    ),
    "yarn": _manager(
        "npm",
        "add install dlx create global_add",
        "run test list why info outdated bin config_list config_get workspaces_list global_list versions help",
    ),
    "bun": _manager("npm", "add install i x create", "_ run test outdated pm_ls pm_bin pm_hash help"),
    "npx": _manager("npm", "_"),
    "bunx": _manager("npm", "_"),
    "pnpx": _manager("npm", "_"),
    "gem": _manager(
        "rubygems",
        "install",
        "_ list search info environment env which contents specification outdated uninstall help",
    ),
    "cargo": _manager(
        "crates",
        "add install",
        "_ build b check c test t run r bench clean doc fmt clippy fix metadata tree search new init pkgid "
        "locate-project version help",
    ),
    "go": _manager(
        "go", "get install", "_ build test vet fmt fix doc list version clean help mod_graph mod_verify mod_why"
    ),
    "brew": _manager(
        "homebrew",
        "install reinstall upgrade",
        "_ list ls info search outdated deps uses doctor config leaves desc home cat log uninstall remove rm help",
    ),
    "apt": _APT,
    "apt-get": _APT,
    "apk": _manager("alpine", "add", "_ info list search update policy stats audit verify version dot"),
    "dnf": _RPM,
    "yum": _RPM,
}  # fmt: skip
"""Program → what is known of it."""

RUN_FIRST: Final = frozenset({"uvx", "npx", "bunx", "pnpx", "tool run", "run", "exec", "x", "dlx"})
"""Programs and subcommands that install the first of their words, and run it with the others."""

_OTHERS: Final = (
    "bundle bundler easy_install pip-sync pip-compile pip-review micromamba pixi composer pacman yay paru zypper "
    "emerge aptitude dpkg rpm snap flatpak nix-env nix-shell port choco scoop winget opam cabal stack luarocks cpan "
    "cpanm mix bower jspm volta fnm ncu asdf mise"
)
OTHERS: Final = frozenset(_OTHERS.split())
"""Programs that install packages and are not read any further."""

ASKS_ITSELF: Final = frozenset({"--version", "-V", "-v", "--help", "-h"})
"""Options that, alone, have a program tell about itself."""
_SHARED: Final = "-q --quiet -v --verbose -y --yes"
_FLAGS_TEXT: Final[Mapping[str, str]] = {
    "pypi": "-U --upgrade --user --no-deps --pre --no-cache-dir --no-cache --force-reinstall --no-input --isolated "
    "--disable-pip-version-check --break-system-packages -D -d --dev --locked --frozen",
    "npm": "-D -d --dev --save-dev --save -S -E --save-exact --exact -g --global -O --save-optional --no-save "
    "--no-audit --no-fund --ignore-scripts --legacy-peer-deps --silent -s",
    "debian": "--no-install-recommends --assume-yes",
    "alpine": "--no-cache",
    "rpm": "--assumeyes",
    "crates": "--locked --frozen --dev",
}
FLAGS: Final[Mapping[str, frozenset[str]]] = {
    manager.ecosystem: frozenset((_SHARED + " " + _FLAGS_TEXT.get(manager.ecosystem, "")).split())
    for manager in MANAGERS.values()
}
"""Registry → options that stand alone and change nothing about which packages are installed."""

_VALUES_TEXT: Final = "-t --target --prefix --root --timeout --retries --upgrade-strategy"
VALUES: Final = frozenset(_VALUES_TEXT.split())
"""Options for PyPI with a value behind them, likewise."""
GROUPS: Final = frozenset({"--group", "--extra"})
"""The same where a package is added to a project; elsewhere they read a file."""
_INDEXES_TEXT: Final = (
    "-i --index-url --extra-index-url --index --default-index -f --find-links --registry --source --channel -c "
    "--trusted-host --git --repo"
)
INDEXES: Final = frozenset(_INDEXES_TEXT.split())
"""Options that name another place to install from."""

_PIP: Final = re.compile(r"pip[0-9.-]+")


def called(name: str) -> str:
    """The name by which a program stands here: `pip3.11` is `pip`."""
    return "pip" if _PIP.fullmatch(name) else name
