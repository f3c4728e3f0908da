"""What a fault is: a part of the world that is well, then is not, and mostly is well again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from guardrail.guard import Guardrail
from guardrail.ledger.connection import Place

Part = Literal["OPA", "SQLite", "PostgreSQL", "collector", "bundle server", "clock"]


def nothing() -> None:
    """Where nothing can be done about a fault."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A project with everything that it needs, all of it well.

    Attributes:
        guard: of the project, as a host has it.
        place: where its ledger is.
        strike: brings the fault about.
        mend: ends it.
    """

    guard: Guardrail
    place: Place
    strike: Callable[[], object]
    mend: Callable[[], object] = nothing


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the matrix.

    Attributes:
        name: what happens, in the words of the page.
        part: which part of the world it happens to.
        scene: sets the stage in a folder.
        answers: what callers get while it lasts: reason codes of denials, or `returned` where calls go on.
        about: the sign of `guardrail doctor` that names the culprit, and
        state: how that sign is, and
        says: words of it.
        exit_code: of `guardrail doctor` meanwhile.
        alone: it needs a process of its own.
        is_slow: every answer takes seconds meanwhile: one for each caller is enough.
    """

    name: str
    part: Part
    scene: Callable[[Path], AbstractContextManager[Scene]] = field(repr=False)
    answers: frozenset[str]
    about: str
    state: str
    says: str
    exit_code: int
    alone: bool = False
    is_slow: bool = False


GOES_ON = frozenset({"returned"})
NO_LEDGER = frozenset({"ledger"})
