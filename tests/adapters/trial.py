"""One step of a trial: open everything from files, start or go on, let people answer some, close.

`python -m tests.adapters.trial FOLDER SEED` does it in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy
from tests.adapters.graphs import KINDS, START_MESSAGES, thread, tool_messages

VERDICTS = ("allow", "ask", "deny")


class Trial:
    """What one seed means: how tools are run, which calls are made, and what people will say of each."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.kind = list(KINDS)[seed % 2]
        self.asynchronous = seed // 2 % 2 == 1
        chance = random.Random(seed)
        self.calls = [(chance.choice(VERDICTS), value) for value in range(chance.randint(2, 5))]
        if not any(verdict == "ask" for verdict, _ in self.calls):
            self.calls.append(("ask", len(self.calls)))
        self.answers = {value: chance.choice(("approve", "reject")) for _, value in self.calls}
        self.ids = [""] * len(self.calls) if seed % 5 == 0 else [f"call_{value}" for _, value in self.calls]

    @property
    def effects(self) -> list[int]:
        """What tools did, in order."""
        path = self.folder / "effects"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def expected_effects(self) -> list[int]:
        """What has to have been done, each once."""
        return [
            value
            for verdict, value in self.calls
            if verdict == "allow" or (verdict == "ask" and self.answers[value] == "approve")
        ]

    def expected_answers(self) -> list[str]:
        """What the model has to read, call by call."""
        said = {"deny": "DENIED", "allow": "did"}
        return [
            f"{said.get(verdict) or ('did' if self.answers[value] == 'approve' else 'REJECTED')} {value}"
            for verdict, value in self.calls
        ]

    def step(self) -> list[str] | None:
        """Go one step; the answers of all calls once the graph is done, None before."""
        guard = Guardrail(policy=ScriptedPolicy(self._policy), ledger=self.folder / "guardrail.db")
        with guard:
            result = asyncio.run(self._go_async(guard)) if self.asynchronous else self._go(guard)
            pending = list(guard.ledger.approvals(state="pending"))
            if not pending:
                return [_told(message.text) for message in tool_messages(result)]
            chance = random.Random(f"{self.folder.name}{len(self.effects)}{len(pending)}")
            for approval in chance.sample(pending, chance.randint(1, len(pending))):
                value = guard.ledger.approval_arguments(approval.id).arguments["value"]
                guard.ledger.vote(approval.id, "anna", self.answers[value], channel="test")
            return None

    def _go(self, guard: Guardrail) -> Any:
        with SqliteSaver.from_conn_string(str(self.folder / "graph.db")) as saver:
            graph = self._graph(guard, saver)
            return graph.invoke(self._given(), thread())

    async def _go_async(self, guard: Guardrail) -> Any:
        async with AsyncSqliteSaver.from_conn_string(str(self.folder / "graph.db")) as saver:
            graph = self._graph(guard, saver)
            return await graph.ainvoke(self._given(), thread())

    def _given(self) -> Any:
        begun = self.folder / "begun"
        if begun.exists():
            return None
        begun.touch()
        return START_MESSAGES

    def _graph(self, guard: Guardrail, saver: Any) -> Any:
        def act(value: int) -> str:
            with (self.folder / "effects").open("a") as file:
                file.write(f"{value}\n")
            return f"did {value}"

        async def act_async(value: int) -> str:
            await asyncio.sleep(random.random() / 50)
            return act(value)

        tool = StructuredTool.from_function(act, act_async, name="act", description="Act.")
        script = [calling(*[("act", {"value": value}) for _, value in self.calls], ids=self.ids)]
        return wrap(KINDS[self.kind]([tool], script, checkpointer=saver), guard)

    def _policy(self, given: PolicyInput) -> str:
        return {value: verdict for verdict, value in self.calls}[given.call.arguments["value"]]


def _told(text: str) -> str:
    """First word and value of an answer: `did 3`, or `REJECTED … act value=3`."""
    first, *rest = text.splitlines()[0].split()
    return f"{first} {rest[-1].removeprefix('value=')}"


if __name__ == "__main__":
    json.dump(Trial(Path(sys.argv[1]), int(sys.argv[2])).step(), sys.stdout)
