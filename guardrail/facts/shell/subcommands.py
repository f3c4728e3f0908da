"""Subcommands: what a program of many does, where it stands as its first operand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.facts.extractor import NotUnderstoodError

_OTHERS: Final = (
    "uv poetry pdm pipenv conda mamba pnpm yarn bun cargo go gem brew apt apt-get apk dnf yum helm terraform "
    "gcloud az svn hg pipx npx"
)
# Options that may stand before the subcommand: those alone, and those with a value behind them.
_BEFORE: Final[Mapping[str, tuple[str, str]]] = {
    "git": ("--no-pager -p --paginate -P --bare --no-optional-locks", "-C --git-dir --work-tree --namespace"),
    "pip": ("-q --quiet -v --verbose --no-input --isolated --disable-pip-version-check", ""),
    "npm": ("-s --silent", ""),
    "gh": ("", ""),
    "aws": ("", "--profile --region --output"),
    "systemctl": ("--user --system --no-pager -q --quiet", ""),
} | dict.fromkeys(
    _OTHERS.split(),
    ("-q --quiet -v --verbose -y --yes", ""),
)  # fmt: skip


def subcommand(name: str, words: Sequence[str | None]) -> str:
    """The subcommand, "" where the program has none or none is given.

    Args:
        name: the last part of the program.
        words: what stands behind it; None = not literal.

    Raises:
        NotUnderstoodError: it cannot be told which of the words it is.
    """
    name = "pip" if name == "pip3" else name
    if name not in _BEFORE:
        return ""
    flags, values = (set(options.split()) for options in _BEFORE[name])
    at = 0
    while at < len(words):
        word = words[at]
        if word is None:
            break
        if not word.startswith("-"):
            return word
        option, equals, _ = word.partition("=")
        if word in {"--version", "--help", "-h"}:
            return ""
        if word in flags or (equals and option in values and option.startswith("--")):
            at += 1
        elif option in values:
            at += 2
        else:
            break
    if at >= len(words):
        return ""
    raise NotUnderstoodError(f"which subcommand of {name} it is cannot be told")
