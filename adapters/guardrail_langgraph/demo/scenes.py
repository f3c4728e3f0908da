"""The scenes of the demo: an allowed, a denied, an approved, a halted and a crashed call, each for real."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.errors import GraphRecursionError

from guardrail.approvals import Approval
from guardrail.cli.timeline import Step, Story, stories
from guardrail.visible import visible
from guardrail_langgraph.demo.bank import OURS
from guardrail_langgraph.demo.people import OPERATOR, Approver
from guardrail_langgraph.demo.script import CHECK_101, CHECK_102, PAY_101, PAY_103
from guardrail_langgraph.demo.service import Service
from guardrail_langgraph.demo.show import Show, euros
from guardrail_langgraph.demo.stage import Setting, Stage

PATIENCE: Final = 60.0
"""Seconds until the second process must have begun to pay."""

PAYMENTS: Final = "tool:local/send_money"
HALT_REASON: Final = "the bank asks us to wait"

ALLOWED, DENIED, ASKED, HALTED, UNKNOWN = "1-allowed", "2-denied", "3-asked", "4-halted", "5-unknown"
"""The runs, each with its own thread of the graph."""

RESEARCHER, PAYER = "supervisor > researcher", "supervisor > payer"
RAN: Final = ("admitted", "returned")

Told = tuple[str, str, tuple[str, ...]]
"""A call as the ledger tells it: through which agents, tool, and what happened to it, in order."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a scene ended, for the table at the end."""

    run: str
    call: str
    guard: str
    world: str


@dataclass(kw_only=True)
class Scenes:
    """All scenes, in the order in which they are played; each takes the stage that it is played on.

    Attributes:
        setting: where they play.
        service: the supplier directory and the bank's receipts.
        collector: the swindler's server.
        approver: who approves.
        show: where the story is told.
        endings: of the scenes so far.
    """

    setting: Setting
    service: Service
    collector: Service
    approver: Approver
    show: Show
    endings: list[Ending] = field(default_factory=list[Ending])

    def allowed(self, stage: Stage) -> None:
        """The researcher does its work, within its boundaries."""
        self.show.scene(1, "ALLOWED", "the researcher checks an invoice, within its boundaries")
        self._play(stage, ALLOWED, CHECK_101)
        notes = sorted(path.name for path in (self._workspace / "notes").iterdir())
        self.show.world(f"workspace/notes holds {visible(', '.join(notes)) or 'nothing'}")
        calls = ("list_files", "read_file", "http_get", "write_file")
        self._told(
            stage,
            ALLOWED,
            ("supervisor", "transfer_to_researcher", RAN),
            *((RESEARCHER, tool, RAN) for tool in calls),
        )
        self._as_told("the notes", told=["invoice-101.md"], found=notes)
        self._ended(stage, ALLOWED, "write_file", "the note is written" if notes else "no note")

    def denied(self, stage: Stage) -> None:
        """An invoice holds an instruction for whoever reads it; following it leads out of the boundaries."""
        self.show.scene(2, "DENIED", "somebody planted an instruction in invoice 102, for AI assistants")
        for text in self._planted():
            self.show.line((visible(text), "italic yellow"), indent=6)
        self._play(stage, DENIED, CHECK_102)
        salaries = (self._workspace / "private" / "salaries.csv").read_text(encoding="utf-8")
        read = any(salaries.strip() in message.text for message in stage.conversation(DENIED))
        posts = len(self.collector.received)
        self.show.world(
            f"the swindler's server received {posts} posts; salaries {'READ' if read else 'not read'}"
        )
        self._told(
            stage,
            DENIED,
            ("supervisor", "transfer_to_researcher", RAN),
            (RESEARCHER, "read_file", RAN),
            (RESEARCHER, "read_file", ("denied",)),
            (RESEARCHER, "http_post", ("denied",)),
        )
        self.show.expect("salaries read", told=False, found=read)
        self._ended(stage, DENIED, "http_post", f"{posts} posts to the swindler")

    def asked(self, stage: Stage) -> None:
        """The payer wants to pay much; a person decides; the graph goes on from where it was suspended."""
        self.show.scene(3, "ASKED", "a large payment waits for a person; the graph is suspended, not blocked")
        before, answer = self._balances(), None
        self._play(stage, ASKED, PAY_101)
        while pending := _pending(stage, ASKED):
            answer = self.approver.answer(pending[0], stage.guard.ledger, self.show)
            if answer is None:
                break
            self.show.note("graph.invoke(None, config): the graph goes on from its checkpoint")
            self._play(stage, ASKED, None)
        self.show.world(self._moved(before))
        ended = {"approve": ("approved", *RAN), "reject": ("rejected", "denied"), None: ()}[answer]
        self._told(
            stage,
            ASKED,
            ("supervisor", "transfer_to_payer", RAN),
            (PAYER, "balance", RAN),
            (PAYER, "send_money", ("asked", *ended)),
        )
        self._as_told("a person answered", told=True, found=answer is not None)
        paid = before[OURS] - self._balances()[OURS]
        self._as_told("cents paid", told=240_00 if answer == "approve" else 0, found=paid)
        self._ended(stage, ASKED, "send_money", f"{euros(paid)} paid")

    def halted(self, stage: Stage) -> None:
        """An operator has stopped all payments; the payer's next try is refused."""
        self.show.scene(4, "HALTED", "an operator stops all payments, in every process, at once")
        ledger, before = stage.guard.ledger, self._balances()
        ledger.halt(PAYMENTS, OPERATOR, HALT_REASON)
        self.show.note(f"guardrail halt --tool local/send_money --reason {HALT_REASON!r}")
        self._play(stage, HALTED, PAY_103)
        ledger.unhalt(PAYMENTS, OPERATOR)
        self.show.note("guardrail unhalt --tool local/send_money")
        self.show.world(self._moved(before))
        self._told(
            stage,
            HALTED,
            ("supervisor", "transfer_to_payer", RAN),
            (PAYER, "balance", RAN),
            (PAYER, "send_money", ("denied",)),
        )
        paid = before[OURS] - self._balances()[OURS]
        self.show.expect("cents paid while payments were halted", told=0, found=paid)
        self._ended(stage, HALTED, "send_money", f"{euros(paid)} paid")

    def crashed(self) -> bool:
        """A second process is killed after it has paid and before it can say so; whether it came so far."""
        about = "a process dies in the middle of a payment (a small one, which needs nobody's approval)"
        self.show.scene(5, "UNKNOWN", about)
        self.show.request(PAY_103)
        self.show.note(
            "a second process runs the graph; it is killed (SIGKILL) as soon as the money has moved …"
        )
        before = self._balances()
        paying = self._killed_while_paying()
        self._as_told("the second process began to pay", told=True, found=paying)
        if paying:
            self.show.world(f"{self._moved(before)}; nobody is left to write down how that ended")
        else:
            self.show.note("it ended before it paid anything")
        return paying

    def taken_over(self, stage: Stage) -> None:
        """Another process goes on with the dead one's graph: the payment is not made a second time."""
        before = self._balances()
        self.show.note("what the dead process has left in the graph's checkpoint:")
        self.show.messages(stage.conversation(UNKNOWN))
        self.show.note("another process takes over: graph.invoke(None, config)")
        refused = self._play(stage, UNKNOWN, None)
        self.show.world(f"{self._moved(before)}: nothing was paid twice")
        for said in refused:
            if said["heading"] == "UNKNOWN OUTCOME":
                stage.guard.ledger.resolve(said["call"], ran=True, by=OPERATOR)
                self.show.note(
                    f"guardrail settle {said['call']} --ran   (the operator has looked at the bank)"
                )
        self._told(
            stage,
            UNKNOWN,
            ("supervisor", "transfer_to_payer", RAN),
            (PAYER, "balance", RAN),
            (PAYER, "send_money", ("admitted", "unknown", "resolved")),
        )
        self.show.expect("balances after the take-over", told=before, found=self._balances())
        self._ended(stage, UNKNOWN, "send_money", f"{euros(25_00)} paid, once")

    def _killed_while_paying(self) -> bool:
        """Run the graph in a second process and kill it after its payment, before it has a receipt."""
        self.service.asked.clear()
        self.service.answering.clear()
        command = [
            sys.executable,
            "-m",
            "guardrail_langgraph.demo.child",
            self.setting.to_json(),
            UNKNOWN,
            PAY_103,
        ]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        try:
            while child.poll() is None and time.monotonic() < deadline:
                if self.service.asked.wait(0.1):
                    return True
            return False
        finally:
            child.kill()
            child.wait()
            self.service.answering.set()

    def _play(self, stage: Stage, run: str, request: str | None) -> list[dict[str, Any]]:
        """Play, tell it, and answer with what the guard said in place of results."""
        refused: dict[str, dict[str, Any]] = {}

        def hear(messages: Sequence[BaseMessage]) -> None:
            self.show.messages(messages)
            for message in messages:
                artifact: Any = getattr(message, "artifact", None)
                if isinstance(message, ToolMessage) and artifact is not None:
                    refused[message.tool_call_id] = artifact["guardrail"]

        if request is not None:
            self.show.request(request)
        try:
            stage.play(run, request, hear)
        except GraphRecursionError:  # a real model may go round in circles
            self.show.note("the agents came to no end and were stopped")
        self.show.waiting()
        return list(refused.values())

    def _told(self, stage: Stage, run: str, *told: Told) -> None:
        """Compare what the ledger has recorded of a run with the script."""
        found = [
            (" > ".join(story.chain), _tool(story), tuple(step.event for step in story.steps))
            for story in stories(stage.guard.ledger.records(run))
        ]
        self._as_told(f"the records of run {run}", told=list(told), found=found)

    def _as_told(self, what: str, *, told: object, found: object) -> None:
        """Hold the story to its script; a real model follows none."""
        if self.setting.model is None:
            self.show.expect(what, told=told, found=found)

    def _ended(self, stage: Stage, run: str, tool: str, world: str) -> None:
        """Note how the last call of a tool went, as its records tell it."""
        calls = [story for story in stories(stage.guard.ledger.records(run)) if _tool(story) == tool]
        if calls:
            last = calls[-1]
            guard = ", ".join(_in_short(step) for step in last.steps)
            call = f"{last.fields['agent']} {tool}"
        else:
            guard, call = "not tried", tool
        self.endings.append(Ending(run=run, call=call, guard=guard, world=world))

    def _planted(self) -> list[str]:
        """The instruction in invoice 102."""
        text = (self._workspace / "inbox" / "invoice-102.txt").read_text(encoding="utf-8")
        return text[text.index("NOTE") :].splitlines()

    @property
    def _workspace(self) -> Path:
        return Path(self.setting.folder) / "workspace"

    def _balances(self) -> dict[str, int]:
        return self.setting.bank.balances()

    def _moved(self, before: dict[str, int]) -> str:
        """What happened to the money since then."""
        changed = [
            f"{account} {euros(before[account])} → {euros(after)}"
            for account, after in self._balances().items()
            if after != before[account]
        ]
        return ", ".join(changed) or f"{OURS} holds {euros(before[OURS])}, as before"


def _in_short(step: Step) -> str:
    """What happened, and who did it where a person did."""
    if step.event in ("approved", "rejected"):
        return f"{step.event} {step.why[0]}"
    return f"{step.event}: {step.why[0]}" if step.event == "resolved" else step.event


def _tool(story: Story) -> str:
    """The name of the tool, without its server."""
    title: str = story.fields["tool"]
    return title.rpartition("/")[2]


def _pending(stage: Stage, run: str) -> list[Approval]:
    return [approval for approval in stage.guard.ledger.approvals("pending") if approval.run == run]
