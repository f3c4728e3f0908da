"""The plain part of the shell's language, in which a text means what it says, to every POSIX shell.

Words of harmless characters and quoted texts without anything to expand, joined by `;`, `&`, `&&`,
`||`, `|`, parentheses and redirections (POSIX.1-2024, volume 3, chapter 2). Everything that a shell
would expand, look up or remember is outside of it. This reader knows nothing of the grammar behind
that; where it and the whole grammar (`tree`) see different words, nothing is understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from guardrail.facts.extractor import NotUnderstoodError

_TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t]+)
    | (?P<newline>\n)
    | (?P<wide>(?<![^\s;|&()])[0-9]{2,}(?=[<>]))
    | (?P<redirect>(?:(?<![^\s;|&()])[0-9])?(?:>>|>\||[<>]&(?=[0-9-])|>(?!&)|<(?![<(>&])))
    | (?P<control>&&|\|\||&(?!>)|\|(?!&)|[;()])
    | (?P<quoted>'[^']*'|"[^"$`\\]*")
    | (?P<word>[A-Za-z0-9_./:=@%+,^~-]+)
    """,
    re.VERBOSE,
)
_HOME: Final = re.compile(r"(?:\A|[:=])~")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_RESERVED_WORDS: Final = "if then elif else fi for while until do done case esac in select function coproc"
_RESERVED: Final = frozenset(_RESERVED_WORDS.split())
_DUPLICATES: Final = re.compile(r"[0-9]+|-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Where a command reads from or writes to.

    Attributes:
        operator: as written, without the number of a descriptor.
        target: the file or the descriptor; None = not literal.
    """

    operator: str
    target: str | None

    @property
    def writes(self) -> bool:
        """Whether a file is made, emptied or written."""
        copies = self.operator == ">&" and self.target is not None and _DUPLICATES.fullmatch(self.target)
        return ">" in self.operator and not copies


@dataclass(slots=True, kw_only=True)
class Simple:
    """One simple command; a word that is not literal is None."""

    words: list[str | None] = field(default_factory=list[str | None])
    redirects: list[Redirect] = field(default_factory=list[Redirect])


def read_plain(text: str) -> list[Simple]:
    """The commands in the order in which they stand.

    Raises:
        NotUnderstoodError: the text is not of the plain part.
    """
    reader = _Reader()
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise NotUnderstoodError(_why(text, at))
        at = token.end()
        getattr(reader, token.lastgroup)(token[token.lastgroup])
    reader.end()
    return reader.commands


_EXPANDED: Final = {
    "$": "it holds a variable or the output of another command",
    "`": "it holds the output of another command",
    "\\": "it holds a backslash: put such words in single quotes",
    "<": "it holds a here-document, the output of another command, or '<>'",
    "#": "it holds a comment",
    "!": "it holds a '!', which is not read here",
    "&": "it holds '&>', which shells do not agree on: write '> file 2>&1'",
    "|": "it holds '|&', which shells do not agree on: write '2>&1 |'",
    ">": "it holds '>&' without the number of a descriptor, which shells do not agree on",
} | dict.fromkeys("*?[]", "it holds a pattern that the shell matches with files") | dict.fromkeys(
    "{}", "it holds braces, which the shell expands or groups by"
)  # fmt: skip


def _why(text: str, at: int) -> str:
    found = text[at]
    if found in "\"'":
        inside = text[at + 1 :].partition(found)
        special = next((mark for mark in inside[0] if mark in "$`\\"), None)
        return _EXPANDED[special] if special else "it holds a quote without its end"
    return _EXPANDED.get(found, "it holds a character that is not read outside of quotes")


class _Reader:
    """Takes tokens one by one. A word is whole once something else than a part of it follows."""

    def __init__(self) -> None:
        self.commands: list[Simple] = []
        self._command = Simple()
        self._parts: list[str] = []
        self._unquoted = True  # the word so far began without a quote
        self._operator = ""  # of a redirection that still needs its target
        self._open = 0
        self._closed = False  # a parenthesis was closed: no word may follow
        self._due = False  # an operator was read that needs a command behind it

    def word(self, text: str) -> None:
        if _HOME.search(text):
            raise NotUnderstoodError("it holds a '~', which the shell expands")
        self._unquoted = self._unquoted if self._parts else True
        self._parts.append(text)

    def quoted(self, text: str) -> None:
        self._unquoted = self._unquoted if self._parts else False
        self._parts.append(text[1:-1])

    def space(self, _: str) -> None:
        if not self._parts:
            return
        word = "".join(self._parts)
        self._parts = []
        if self._operator:
            self._command.redirects.append(Redirect(operator=self._operator, target=word))
            self._operator = ""
            return
        if self._closed:
            raise NotUnderstoodError("it has a word behind a parenthesis")
        if not self._command.words and self._unquoted:
            if _ASSIGNMENT.match(word):
                raise NotUnderstoodError("it sets a variable")
            if word in _RESERVED:
                raise NotUnderstoodError(f"it holds {word!r}: only plain commands are read")
        self._command.words.append(word)

    def wide(self, _: str) -> None:
        raise NotUnderstoodError("it has a redirection of a descriptor above 9, which not every shell has")

    def redirect(self, text: str) -> None:
        self.space("")
        self._need_target()
        self._operator = text.lstrip("0123456789")

    def newline(self, _: str) -> None:
        self._end_command(needed=False)

    def control(self, text: str) -> None:
        if text == "(":
            self.space("")
            if self._operator or self._closed or self._command.words or self._command.redirects:
                raise NotUnderstoodError("it has a parenthesis where no command can begin")
            self._open += 1
            self._due = True
        elif text == ")":
            self._end_command(needed=self._due)
            self._open -= 1
            if self._open < 0:
                raise NotUnderstoodError("it has a parenthesis too many")
            self._closed = True
        else:
            self._end_command(needed=True)
            self._due = text not in {";", "&"}

    def end(self) -> None:
        self._end_command(needed=self._due)
        if self._open:
            raise NotUnderstoodError("it has a parenthesis without its end")

    def _end_command(self, *, needed: bool) -> None:
        self.space("")
        self._need_target()
        if self._command.words or self._command.redirects:
            self.commands.append(self._command)
            self._due = False
        elif needed and not self._closed:
            raise NotUnderstoodError("it has an operator without a command")
        self._due = self._due and not self._closed
        self._command, self._closed = Simple(), False

    def _need_target(self) -> None:
        if self._operator:
            raise NotUnderstoodError("it has a redirection without a target")
