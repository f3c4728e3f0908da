"""The tokens of a text, and that they are all of it: what a parser drops, a database may run.

MySQL runs `/*!50000 … */`, takes `--1` for two signs and reads backslashes in strings as it is set up to;
PostgreSQL nests comments. So between two tokens nothing but blanks may stand, and every token has to
be spelt in the one way that all agree on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from guardrail.facts.extractor import NotUnderstoodError

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

Dialect = Literal["mysql", "postgres", "sqlite"]
"""Whose language a text is written in."""

MAX_LENGTH: Final = 8192
"""The longest text, in characters."""
MAX_DEPTH: Final = 12
"""How deep parentheses and cases may stand in each other."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_UNICODE: Final = re.compile(r"u&['\"]", re.IGNORECASE)
_QUOTES: Final = {"mysql": "``", "postgres": '""', "sqlite": '""``[]'}
_BLANKS: Final = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a text.

    Attributes:
        tokens: those of the parser, without the semicolon.
        words: the text of each, in lower case where it is not quoted.
        quoted: for each, whether it is.
    """

    tokens: Sequence[Token]
    words: Sequence[str]
    quoted: Sequence[bool]


def statements(text: str, dialect: Dialect) -> list[Statement]:
    """The statements of a text.

    Raises:
        NotUnderstoodError: something in it is spelt in a way that databases may read differently.
    """
    from sqlglot import tokenize  # noqa: PLC0415  calls without SQL do without
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    _check_text(text, dialect)
    try:
        tokens = tokenize(text, dialect=dialect)
    except SqlglotError as error:
        raise NotUnderstoodError("its quotes have no end") from error
    found: list[Statement] = []
    at, first = 0, 0
    for number, token in enumerate(tokens):
        _check_token(text, token, at, dialect)
        if text[token.start] == "'" and number and tokens[number - 1].text == ".":
            raise NotUnderstoodError("it holds a text where a name belongs, which SQLite takes for one")
        at = token.end + 1
        if text[token.start : at] == ";":
            found.append(_statement(text, tokens[first:number]))
            first = number + 1
    _check_gap(text[at:])
    found.append(_statement(text, tokens[first:]))
    return [statement for statement in found if statement.tokens]


def _check_text(text: str, dialect: Dialect) -> None:
    if len(text) > MAX_LENGTH:
        raise NotUnderstoodError(f"it is longer than {MAX_LENGTH:,} characters")
    if _CONTROL.search(text):
        raise NotUnderstoodError("it holds a control character")
    if dialect != "sqlite" and "\\" in text:
        raise NotUnderstoodError("it holds a backslash, which databases read as they are set up to")
    if dialect == "mysql" and '"' in text:
        raise NotUnderstoodError("it holds a double quote, which MySQL reads as it is set up to: use ' or `")
    if _UNICODE.search(text):
        raise NotUnderstoodError("it holds a text with escapes")


def _check_token(text: str, token: Token, at: int, dialect: Dialect) -> None:
    _check_gap(text[at : token.start])
    raw = text[token.start : token.end + 1]
    if raw[0] == "'":
        spelt = "'" + token.text.replace("'", "''") + "'"
    elif raw[0] in _QUOTES[dialect][::2]:
        spelt = raw[0] + token.text + _QUOTES[dialect][_QUOTES[dialect].index(raw[0]) + 1]
    else:
        spelt = token.text
        if "$" in raw or "'" in raw or '"' in raw or "#" in raw or "@" in raw:
            raise NotUnderstoodError("it holds a text, a variable or a comment of a special form")
    if raw.lower() != spelt.lower():
        raise NotUnderstoodError("it holds something that is not spelt as it is read")


def _check_gap(gap: str) -> None:
    if gap.strip(_BLANKS):
        raise NotUnderstoodError("it holds a comment, which some databases run: leave it out")


def _statement(text: str, tokens: Sequence[Any]) -> Statement:
    raw = [text[token.start : token.end + 1] for token in tokens]
    depth = 0
    for word in raw:
        depth += (word in {"(", "["} or word.lower() == "case") - (
            word in {")", "]"} or word.lower() == "end"
        )
        if depth > MAX_DEPTH:
            raise NotUnderstoodError("it is nested too deep")
    return Statement(
        tokens=tokens,
        words=[token.text.lower() for token in tokens],
        quoted=[word[0] in "'\"`" or (word[0] == "[" and len(word) > 1) for word in raw],
    )
