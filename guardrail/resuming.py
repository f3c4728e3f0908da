"""Resuming: what was suspended while people decided goes on once they have.

How a suspended run goes on is the host's to say: one function that is given the decided request, such as

    def resume(approval):
        graph.invoke(None, {"configurable": {"thread_id": approval.run}})

It may be called again for a run that has gone on already, after a crash or where two requests of one run were decided:
the guard sees to it that no call runs twice, and a graph that is at its end stays there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from guardrail.approvals import Approval
from guardrail.channels import RESUME, Delivered, Notice, Retry
from guardrail.errors import ConfigError, Conflict
from guardrail.ledger import Ledger
from guardrail.showing import Shown

Resume = Callable[[Approval], object]
"""Lets the run of a decided request go on, and returns once it has ended or waits again."""


def load(name: str, folder: Path) -> Resume:
    """The function that a configuration names.

    Args:
        name: `module:function`; further names after dots.
        folder: searched for the module before anything else.

    Raises:
        ConfigError: there is no such function. What the module itself raises is raised.
    """
    module, _, path = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"resume.callable: there is no module {module!r}", fix=f"put it into {folder}, or install it"
        ) from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"resume.callable: {name} is no function", fix="name one as 'module:function'")
    resume: Resume = found
    return resume


def waits(ledger: Ledger, approval: Approval) -> bool:
    """Whether a request is decided, and its call, or what a person made of it, has not gone on since.

    Raises:
        LedgerUnavailable: the ledger cannot be read.
    """
    if approval.state in ("pending", "cancelled", "consumed"):
        return False
    try:
        asked = ledger.call(approval.key)
    except Conflict:
        return False
    if approval.changed_by is None or asked.state != "asked":
        return asked.state == "asked"
    calls = ledger.calls(asked.run)
    later = calls[[call.key for call in calls].index(asked.key) + 1 :]
    same = asked.id, asked.scope, asked.agent, asked.tool
    return all((call.id, call.scope, call.agent, call.tool) != same for call in later)


class Resuming:
    """The channel that tells nobody, and lets the run go on.

    Args:
        ledger: where it is seen whether a run waits still.
        resume: how one goes on.
    """

    name: Final = RESUME

    def __init__(self, ledger: Ledger, resume: Resume) -> None:
        self._ledger = ledger
        self._resume = resume

    def deliver(self, notice: Notice, shown: Shown) -> Delivered | Retry:
        """Resume the run of a decided request, unless it has gone on already."""
        if notice.kind == "decided" and waits(self._ledger, shown.approval):
            self._resume(shown.approval)
        return Delivered()


def resume_all(ledger: Ledger, resume: Resume, only: str | None = None) -> tuple[Approval, ...]:
    """Resume every run that waits though people have decided, once each; answers the requests that it went on for.

    Args:
        ledger: where it is seen which ones wait.
        resume: how one goes on; what it raises is raised.
        only: a run, or the id of a request; None = all.
    """
    ledger.expire_due()
    done: dict[str, Approval] = {}
    for approval in ledger.approvals():
        wanted = only in (None, approval.run, approval.id)
        if wanted and approval.run not in done and waits(ledger, approval):
            resume(approval)
            done[approval.run] = approval
    return tuple(done.values())
