"""Scripted agents whose calls run at once: played under one policy, and really played again under another one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from guardrail import Guardrail
from guardrail.boundaries import Boundaries, Boundary, Money
from guardrail.boundary import Period
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Principal
from guardrail.execution import Attempt
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.outputs import default_checks
from guardrail.policy import AllOf
from guardrail.rego import RegoPolicy
from guardrail.replay.candidate import Candidate
from guardrail.runs import Run
from guardrail.settings import ToolSettings

RULES: Final = """package guardrail.rules.played

deny contains {"rule": "played.much", "message": "too much"} if {
    input.point == "action"
    input.arguments.amount > data.knobs.much
}

ask contains {"rule": "played.half", "message": "rather much"} if {
    input.point == "action"
    input.arguments.amount > data.knobs.half
}

deny contains {"rule": "played.label", "message": "it has read what strangers wrote"} if {
    input.point == "action"
    data.knobs.label
    input.tool.name == "send"
    "untrusted" in input.labels.run
}

deny contains {"rule": "played.often", "message": "too often"} if {
    input.point == "action"
    input.usage.calls >= data.knobs.calls
}

deny contains {"rule": "played.spent", "message": "too much in all"} if {
    input.point == "action"
    some name
    input.usage.spent[name] > data.knobs.spent
}

deny contains {"rule": "played.history", "message": "it was denied before"} if {
    input.point == "action"
    data.knobs.history
    some past in input.history
    past.outcome == "denied"
}

deny contains {"rule": "played.bad", "message": "it is bad"} if {
    input.point == "output"
    input.output.content in data.knobs.bad
}

ask contains {"rule": "played.held", "message": "let somebody look"} if {
    input.point == "output"
    input.output.content in data.knobs.held
}

allow contains {"rule": "played.fine", "message": "fine"} if true
"""
UNREVIEWED: Final = "\n\n".join(
    rule.replace('    input.point == "action"\n', "")
    for rule in RULES.split("\n\n")
    if "input.output" not in rule
)
"""The same without a word about outputs."""
TOOLS: Final = {
    "local/send": ToolSettings(effect="write", trust="trusted"),
    "local/read": ToolSettings(effect="read", labels=("seen",)),
}
NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A policy with boundaries."""

    knobs: Mapping[str, Any]
    reviews: bool = True
    limit: int = 1_000
    per: Period = "day"
    calls_per_run: int | None = None
    tools: tuple[str, ...] = ("send", "read")

    @property
    def boundaries(self) -> Boundaries:
        """What the agents may do."""
        money = Money(
            name="pocket", tool="send", argument="amount", limit=self.limit, per=self.per, unit="EUR"
        )
        payer = Boundary(tools=self.tools, calls_per_run=self.calls_per_run, money=(money,))
        return Boundaries(
            {"payer": payer, "boss": Boundary(delegate_tools=("*",), delegates=("payer",), money=(money,))}
        )

    def rego(self) -> RegoPolicy:
        """The policy of it that is written in Rego."""
        rules = RULES if self.reviews else UNREVIEWED
        words = {
            name: [said for word in self.knobs[name] for said in (word, f"RuntimeError: {word}")]
            for name in ("bad", "held")
        }  # returned or raised
        return RegoPolicy(Bundle.of({"played/played.rego": rules}, {"knobs": {**self.knobs, **words}}))

    def candidate(self, rego: RegoPolicy) -> Candidate:
        """The same for a what-if."""
        return Candidate(
            policy=AllOf([self.boundaries, rego]),
            boundaries=self.boundaries,
            tools=TOOLS,
            checks=default_checks(),
        )


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A call of a script."""

    run: str
    tool: str
    amount: int
    returns: str
    chain: tuple[str, ...] = ("payer",)
    raises: bool = False


Op = tuple[Literal["start", "finish", "approve", "reject"], int] | tuple[Literal["together"], tuple[int, ...]]
"""Start a call or some at once, let one end, answer for one."""


@dataclass(kw_only=True)
class Played:
    """What became of the calls: each time that one was started, and each time that one ended."""

    started: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    ended: dict[int, str] = field(default_factory=dict[int, str])

    def recorded(self, number: int) -> list[int]:
        """Which starts of a call have left a record: one that waits for the same request leaves none."""
        said = self.started.get(number, [])
        return [at for at, answer in enumerate(said) if said[max(at - 1, 0) : at + 1] != ["asked", "asked"]]


class Player:
    """Plays a script under rules, through the real runtime."""

    def __init__(self, calls: Sequence[Planned], guard: Guardrail) -> None:
        self._calls = calls
        self._guard = guard
        self._tasks: dict[int, asyncio.Task[Outcome]] = {}
        self._begun: dict[int, asyncio.Event] = {}
        self._go: dict[int, asyncio.Event] = {}
        self._asked: set[int] = set()
        self.played = Played()

    async def play(self, ops: Sequence[Op]) -> Played:
        """Play it, and let all that still runs end."""
        for op in ops:
            match op:
                case ("start", int(number)):
                    await self._start(number)
                case ("together", tuple(numbers)):
                    await asyncio.gather(*(self._start(number) for number in dict.fromkeys(numbers)))
                case ("finish", int(number)):
                    await self._finish(number)
                case (answer, int(number)):
                    self._vote(number, answer)
                case _:
                    raise AssertionError(op)
        for number in list(self._tasks):
            await self._finish(number)
        return self.played

    async def _start(self, number: int) -> None:
        known = self.played.started.get(number)
        if number in self._tasks or (known and number not in self._asked):
            return
        planned = self._calls[number]
        run = Run(id=planned.run, principal=Principal())
        call = Call.of(
            {"amount": planned.amount},
            run=planned.run,
            id=f"c{number}",
            agent=Agent(id="payer", chain=planned.chain),
            tool=self._guard.tool_definition(name=planned.tool, server="local"),
        )
        self._guard.start(run)
        begun, go = asyncio.Event(), asyncio.Event()

        async def act(_: Call) -> str:
            begun.set()
            await go.wait()
            if planned.raises:
                raise RuntimeError(planned.returns)
            return planned.returns

        task = asyncio.create_task(
            self._guard.perform_async(Attempt(call=call, invoke=act), waiting="answer")
        )
        waits = asyncio.create_task(begun.wait())
        await asyncio.wait({task, waits}, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        said = "allowed"
        if task.done():
            outcome = task.result()
            assert outcome.status == "blocked", outcome
            said = "asked" if outcome.heading == "WAITING" else "denied"
        else:
            self._tasks[number], self._go[number] = task, go
        (self._asked.add if said == "asked" else self._asked.discard)(number)
        self.played.started.setdefault(number, []).append(said)

    async def _finish(self, number: int) -> None:
        task = self._tasks.pop(number, None)
        if task is None:
            return
        self._go[number].set()
        outcome = await task
        assert outcome.status == ("raised" if self._calls[number].raises else "returned"), outcome
        ends = {"WITHHELD": "denied", "HELD": "asked", None: "allowed"}
        self.played.ended[number] = ends[outcome.heading]

    def _vote(self, number: int, answer: Any) -> None:
        for approval in self._guard.ledger.approvals(state="pending"):
            if number in self._asked and approval.tool == f"local/{self._calls[number].tool}":
                shown = self._guard.ledger.approval_arguments(approval.id)
                planned = self._calls[number]
                if (approval.run, shown.arguments) == (planned.run, {"amount": planned.amount}):
                    self._guard.ledger.vote(approval.id, "bob", answer, channel="test")


def play(
    folder: Path, rules: Rules, calls: Sequence[Planned], ops: Sequence[Op], *, at: datetime = NOON
) -> Played:
    """Play a script into the ledger of a folder, which is made where there is none.

    Args:
        folder: of the ledger.
        rules: what is decided by.
        calls: the script.
        ops: what happens to them, in turn.
        at: when all of it happens.
    """
    folder.mkdir(exist_ok=True)
    with closing(rules.rego()) as rego, Ledger.open(folder / "guardrail.db", clock=lambda: at) as ledger:
        guard = Guardrail(
            policy=rego, boundaries=rules.boundaries, tools=TOOLS, ledger=ledger, clock=lambda: at
        )
        return asyncio.run(Player(calls, guard).play(ops))
