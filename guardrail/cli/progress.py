"""The progress bar: on standard error, so that what a command prints stays what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

import typer

Progress = Annotated[
    bool | None,
    typer.Option("--progress/--no-progress", help="A bar on standard error. Left out: on a terminal."),
]


@contextmanager
def bar(
    title: str, *, shown: bool | None, of: str = "records"
) -> Generator[Callable[[int, int | None], None] | None]:
    """A bar over records, and what moves it: told how many are done, of how many where that is known.

    Args:
        title: what is being done.
        shown: whether there is one; None = where standard error is a terminal.
        of: what is counted.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  only where it is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(of),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, force_terminal=True)) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
