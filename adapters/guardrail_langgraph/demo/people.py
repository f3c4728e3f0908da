"""Who approves in the demo: a person at the terminal, or a script that says that it is one."""

from __future__ import annotations

import getpass
from typing import Final, Protocol

from rich.console import Console

from guardrail.approvals import Answer, Approval, read_answer
from guardrail.canonical import canonical
from guardrail.errors import GuardrailError
from guardrail.ledger import Ledger
from guardrail.testing import ScriptedApprover
from guardrail.visible import visible
from guardrail_langgraph.demo.show import Show

OPERATOR: Final = "scripted-operator"
"""Who halts, lifts and settles in the demo; the records say that it is a script."""


class Approver(Protocol):
    """Who approves."""

    name: str
    about: str

    def answer(self, approval: Approval, ledger: Ledger, show: Show) -> Answer | None:
        """Decide one approval by a vote; None where nobody answered."""
        ...


class AtTheTerminal:
    """The user of this terminal, who types the word."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.name = _user()
        self.about = f"{self.name}, at this terminal"

    def answer(self, approval: Approval, ledger: Ledger, show: Show) -> Answer | None:
        """Show the whole call and ask until one of the two words is typed; None at the end of the input."""
        show_approval(approval, ledger, show)
        while True:
            try:
                typed = self._console.input(f"   You are {visible(self.name)}. Type approve or reject: ")
            except EOFError:
                show.line()
                show.note("nobody answered; silence is not a yes")
                return None
            try:
                answer = read_answer(typed)
            except GuardrailError as error:
                show.note(f"{visible(error.message)}: {error.fix}")
                continue
            ledger.vote(approval.id, self.name, answer, channel="terminal")
            return answer


class AScript:
    """The scripted approver: it says yes to everything, and every record names it."""

    name = "scripted-approver"
    about = "scripted-approver: nobody is asked, and the records say so"

    def answer(self, approval: Approval, ledger: Ledger, show: Show) -> Answer | None:
        """Show the whole call and vote for it."""
        show_approval(approval, ledger, show)
        show.note("nobody is asked here: the scripted approver votes, and the records name it")
        script = ScriptedApprover(ledger, lambda item: "approve" if item.id == approval.id else None)
        return "approve" if script.answer_pending() else None


def show_approval(approval: Approval, ledger: Ledger, show: Show) -> None:
    """The complete call, as the person approves it."""
    arguments = ledger.approval_arguments(approval.id).arguments
    show.line()
    for name, value in (
        ("approval", approval.id),
        ("call", " > ".join((*approval.chain, approval.tool))),
        ("arguments", canonical(arguments).decode()),
        ("acts for", approval.principal),
        ("asked by", "; ".join(f"{ask.message} [{ask.rule}]" for ask in approval.asks)),
        ("expires", approval.expires_at),
        ("digest", approval.digest),
    ):
        show.line((f"{name:<12}", "dim"), visible(value), indent=3)
    show.line()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "person-at-the-terminal"
