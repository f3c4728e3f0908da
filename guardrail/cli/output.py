"""Output: what every command prints, for people, for pipes and for programs.

People get colours and tables as wide as their terminal. A pipe gets plain lines that are never cut
or wrapped, with colours only where `--color` or `FORCE_COLOR` asks for them. Programs get `--json`: one
document, in ASCII. Whatever agents, tools or people wrote goes through `visible` first.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO, cast

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardrail.errors import (
    AnchorUnavailable,
    BundleUnreachable,
    CallError,
    CollectorUnavailable,
    ConfigError,
    Denied,
    GuardrailError,
    LedgerUnavailable,
    MustBeKept,
    RegistryUnavailable,
)
from guardrail.visible import visible

DONE: Final = 0
NO: Final = 1
"""The answer is no: verification failed, check found faults, the vote came too late."""
WRONG_USE: Final = 2
REFUSED: Final = 3
"""The guard refused: a call, or to delete what has to be kept."""
DEPENDENCY_DOWN: Final = 4

_CODES: Final = (
    (Denied, REFUSED),
    (MustBeKept, REFUSED),
    (LedgerUnavailable, DEPENDENCY_DOWN),
    (RegistryUnavailable, DEPENDENCY_DOWN),
    (AnchorUnavailable, DEPENDENCY_DOWN),
    (CollectorUnavailable, DEPENDENCY_DOWN),
    (BundleUnreachable, DEPENDENCY_DOWN),
    (ConfigError, WRONG_USE),
    (CallError, WRONG_USE),
)
_UNCUT: Final = 1_000_000
"""Width of a pipe, in columns."""
_PAGE: Final = 25
"""Lines of a page: nothing depends on it, but rich takes no width without it where TERM is dumb."""

_COLOURS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("allow", "returned", "approved", "approve", "consumed", "ok", "passed", "enforce"), "green"
    ),
    **dict.fromkeys(
        ("ask", "asked", "pending", "suspended", "started", "running", "warning", "expired", "late"), "yellow"
    ),
    **dict.fromkeys(
        ("deny", "denied", "blocked", "rejected", "reject", "raised", "halted", "error", "failed"), "red"
    ),
    **dict.fromkeys(("unknown", "observe", "down"), "bold magenta"),
    **dict.fromkeys(("cancelled", "unhalted", "note"), "dim"),
}


def exit_code(error: GuardrailError) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), NO)


class Output:
    """Where one command prints.

    Args:
        color: True and False force; None means: as the stream and the environment say.
        stream: standard output where left out.
    """

    def __init__(self, *, color: bool | None = None, stream: TextIO | None = None) -> None:
        file = sys.stdout if stream is None else stream
        self.is_terminal = file.isatty()
        coloured = _coloured(color, is_terminal=self.is_terminal)
        self.console = Console(
            file=file,
            force_terminal=True if coloured else None,
            color_system="standard" if coloured else None,
            no_color=not coloured,
            width=shutil.get_terminal_size().columns if self.is_terminal else _UNCUT,
            height=_PAGE,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def line(self, text: str = "", *, style: str = "", indent: int = 0) -> None:
        """One line, character by character as it is; a terminal breaks it where it ends.

        Words of other people's making go through `visible` before.
        """
        self.console.print(Text(" " * indent + text, style=style), soft_wrap=True)

    def heading(self, text: Text) -> None:
        """One line of words with styles of their own, made by `cell`."""
        self.console.print(text, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, whole: int = 1) -> None:
        """Rows under headings. Cells are made visible, known words are coloured, None is empty.

        Args:
            columns: the headings.
            rows: a value a column.
            whole: how many columns from the left hold ids, which are never broken.
        """
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for index, column in enumerate(columns):
            table.add_column(column, no_wrap=index < whole, overflow="fold")
        for row in rows:
            table.add_row(*map(cell, row))
        self._print(table)

    def grid(self, rows: Iterable[Sequence[object]], *, widths: Sequence[int], indent: int = 0) -> None:
        """Rows without headings; every column but the last is at least so wide."""
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in widths:
            table.add_column(min_width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*map(cell, row))
        self._print(Padding(table, (0, 0, 0, indent), expand=False))

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values, one a line; pairs without a value are left out."""
        named = [(name, value) for name, value in pairs if value not in (None, "", (), [])]
        width = max((len(name) for name, _ in named), default=0)
        self.grid(((Text(name, style="dim"), value) for name, value in named), widths=[width], indent=2)

    def observing(self) -> None:
        """Say loudly that nothing is enforced."""
        self.line(OBSERVING, style="bold reverse magenta")

    def document(self, value: object) -> None:
        """One JSON document, in ASCII: for programs, and harmless on a terminal."""
        self.console.file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

    def _print(self, renderable: Padding | Table) -> None:
        with self.console.capture() as captured:
            self.console.print(renderable)
        # rich fills the last column with blanks up to its widest cell
        self.console.file.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))


OBSERVING: Final = "OBSERVE MODE: decisions are recorded, NOTHING IS ENFORCED (but halts)"


def cell(value: object) -> Text:
    """A value as it stands in a table."""
    if isinstance(value, Text):
        return value
    if isinstance(value, tuple | list):
        return Text(", ").join(map(cell, cast("Sequence[object]", value)))
    text = "" if value is None else visible(str(value))
    return Text(text, style=_COLOURS.get(text, ""))


def complain(error: GuardrailError) -> None:
    """Print a known error on standard error: what is wrong, and what to do about it."""
    output = Output(stream=sys.stderr)
    for number, text in enumerate(error.message.splitlines()):
        output.line(visible(text), style="red" if number == 0 else "")
    if error.fix:
        output.line(f"To do: {visible(error.fix)}")


def _coloured(color: bool | None, *, is_terminal: bool) -> bool:
    """Whether to colour: the option decides, then NO_COLOR, FORCE_COLOR, and the stream."""
    if color is not None:
        return color
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb"
