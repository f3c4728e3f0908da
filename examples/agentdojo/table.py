"""The result as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from scores import Scores


def table(results: Mapping[str, Scores], *, title: str) -> Table:
    """One row a suite; the last one, `total`, is set apart and has shares as well."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("suite\n")
    shown.add_column("tasks useful,\nunanswered", justify="right")
    shown.add_column("approvals\n(in tasks)", justify="right")
    for person in ("unanswered", "careful", "stamp"):
        shown.add_column(f"attacks,\n{person}", justify="right")
    for suite, scores in results.items():
        if suite == "total":
            shown.add_section()
        shown.add_row(suite, *_cells(scores, shares=suite == "total"))
    return shown


def _cells(scores: Scores, *, shares: bool) -> list[str]:
    attacks = scores.attacks_unanswered, scores.attacks_oracle, scores.attacks_stamp
    return [
        _of(scores.useful_unanswered, scores.user_tasks, shares=shares),
        f"{scores.approvals_asked} ({scores.tasks_asked})",
        *(_of(succeeded, scores.attacks, shares=shares) for succeeded in attacks),
    ]


def _of(part: int, whole: int, *, shares: bool) -> str:
    share = f"\n{part / whole:.1%}" if shares and whole else ""
    return f"{part}/{whole}{share}"
