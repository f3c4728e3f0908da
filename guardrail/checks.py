"""Checks of what host code hands over in Python: its type hints say what is meant, and hold nobody to it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from guardrail.canonical import check_text
from guardrail.errors import ConfigError, GuardrailError
from guardrail.pointers import tokens


def check_choice(what: str, word: object, choices: Any, error: type[GuardrailError] = ConfigError) -> None:
    """Make sure that a word is one of a closed set.

    Args:
        what: what the word is, for the message.
        word: what was given.
        choices: the set, as a `Literal`.
        error: what to raise.
    """
    known: tuple[str, ...] = get_args(choices)
    if word not in known:
        near = get_close_matches(str(word).lower(), known, n=1)
        raise error(
            f"{what} is {word!r}, which is none of {', '.join(known)}",
            fix=f"did you mean {near[0]!r}?" if near else f"write one of {', '.join(known)}",
        )


def check_name(what: str, name: object, error: type[GuardrailError]) -> None:
    """Make sure that a name is a text that says something, and that every reader takes for the same.

    Raises:
        InvalidArguments: it holds a NUL character or a lone surrogate; else `error`.
    """
    if not isinstance(name, str):
        raise error(f"{what} is a {type(name).__name__}, not a text")
    if not name:
        raise error(f"{what} is empty")
    if not name.isascii() or "\x00" in name:
        check_text(name, what)


def check_pointers(what: str, texts: Iterable[object]) -> tuple[str, ...]:
    """JSON pointers, as they were given.

    Raises:
        ConfigError: one of them is none.
    """
    if isinstance(texts, str):
        raise ConfigError(f"{what} is the text {texts!r}; it is a list of JSON pointers", fix="put it in [ ]")
    given: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(f"{what}: {text!r} is no text")
        try:
            tokens(text)
        except ValueError as error:
            raise ConfigError(f"{what}: {error}") from error
        given.append(text)
    return tuple(given)
