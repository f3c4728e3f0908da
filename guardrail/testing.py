"""Public fakes for the edge of the world, for your tests and ours: nothing here is for production.

`ScriptedPolicy` decides as it is told; `ScriptedApprover` is a person who answers at once, through the
same votes as everybody else, and says in every record that it is a script.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

from guardrail.approvals import Answer, Approval
from guardrail.canonical import digest
from guardrail.channels import Delivered, Notice, Retry
from guardrail.decisions import Ask, Decision, Reason, Verdict
from guardrail.errors import Conflict, LedgerError
from guardrail.ledger import Ledger
from guardrail.policy import PolicyInput
from guardrail.showing import Shown


def decision(effect: Verdict, *, rule: str = "scripted", message: str = "", **ask: Any) -> Decision:
    """A decision with one reason; further arguments (`approvers`, `quorum`, `expires_in`) make up its ask."""
    message = message or f"the script says {effect}"
    asks = (Ask(rule=rule, message=message, **ask),) if effect == "ask" else ()
    return Decision(
        effect=effect, reasons=(Reason(rule=rule, message=message),), asks=asks, revision="scripted"
    )


class ScriptedPolicy:
    """A policy that answers what a function (or one fixed effect) says.

    Args:
        script: an effect for every call, or a function from the policy input to an effect or a decision.
    """

    def __init__(self, script: Verdict | Callable[[PolicyInput], Verdict | Decision]) -> None:
        self._script = script
        self.revision = digest(b"scripted", repr(script).encode())

    @property
    def bundle(self) -> Mapping[str, Any]:
        """Says that this was a script."""
        return {"scripted": True}

    def decide(self, given: PolicyInput) -> Decision:
        """What the script says."""
        said = self._script(given) if callable(self._script) else self._script
        made = said if isinstance(said, Decision) else decision(cast("Verdict", said))
        return Decision(
            effect=made.effect,
            reasons=made.reasons,
            asks=made.asks,
            obligations=made.obligations,
            mask=made.mask,
            observed=made.observed,
            revision=self.revision,
        )


class ScriptedApprover:
    """Answers every pending approval of a ledger from a thread, until closed.

    Args:
        ledger: where to look and to vote.
        answer: what to say: one answer for all, or a function from the approval to an answer or None
            (None leaves it to others).
        person: who votes; the channel reads `scripted` in every record.
        every: seconds between two looks.
    """

    def __init__(
        self,
        ledger: Ledger,
        answer: Answer | Callable[[Approval], Answer | None] = "approve",
        *,
        person: str = "scripted-approver",
        every: float = 0.05,
    ) -> None:
        self._ledger = ledger
        self._answer = answer
        self._person = person
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="scripted approver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def answer_pending(self) -> int:
        """Vote on what is pending now; returns how many votes were cast."""
        votes = 0
        for approval in self._ledger.approvals(state="pending"):
            said = self._answer(approval) if callable(self._answer) else cast("Answer", self._answer)
            if said is None or any(vote.person == self._person for vote in approval.votes):
                continue
            try:
                self._ledger.vote(approval.id, self._person, said, channel="scripted")
            except Conflict:
                continue  # somebody else was faster, or this person may not vote here
            votes += 1
        return votes

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.answer_pending()
            except LedgerError:
                return


class RecordingChannel:
    """A channel that keeps what it is told, and answers what it is to answer.

    Args:
        name: under which notices stand in the outbox.
        answer: for every notice; a function from the notice may raise, as channels do. None = delivered.
    """

    def __init__(
        self,
        name: str = "recording",
        answer: Delivered | Retry | Callable[[Notice], Delivered | Retry] | None = None,
    ) -> None:
        self.name = name
        self.told: list[tuple[Notice, Shown]] = []
        self._answer = Delivered() if answer is None else answer

    def deliver(self, notice: Notice, shown: Shown) -> Delivered | Retry:
        """Keep it."""
        self.told.append((notice, shown))
        return self._answer(notice) if callable(self._answer) else self._answer
