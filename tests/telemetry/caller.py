"""An agent in a process of its own, whose SDK the environment configures as it does for the command line.

    python caller.py FOLDER CALLS      so many calls, every third denied, every sixth asked; then one that is cut
    python caller.py FOLDER --resume   those that were asked, once more

Prints how the ledger says that they ended, and whether nothing was lost: every call that a tool saw is in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from guardrail.calls import Agent, Call, Principal
from guardrail.cli.exporting import begin
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy

CUT = 1_000_000


def decide(given: PolicyInput) -> Any:
    number = given.call.arguments["number"]
    if number == CUT:
        return "allow"
    return "ask" if number % 6 == 0 else "deny" if number % 3 == 0 else "allow"


def main(folder: Path, calls: int | None) -> None:
    end = begin()
    seen: list[int] = []
    with Guardrail(policy=ScriptedPolicy(decide), ledger=folder / "guardrail.db") as guard:
        tool = guard.tool_definition(name="pay", server="bank")

        def attempt(number: int, invoke: Any = None) -> Attempt:
            call = Call.of(
                {"number": number, "note": "secret-argument"}, run="run", id=str(number), tool=tool,
                agent=Agent(id="payer"), principal=Principal(id="user:anna"),
            )  # fmt: skip
            return Attempt(call=call, invoke=invoke or (lambda _: seen.append(number) or "secret-result"))

        def walk(numbers: range) -> None:
            for number in numbers:
                guard.perform(attempt(number), waiting="answer")

        if calls is None:
            asked = [item for item in guard.ledger.calls("run") if item.state == "asked"]
            for item in asked:
                guard.perform(attempt(int(item.id)), waiting="answer")
        else:
            half = calls // 2
            thread = threading.Thread(target=walk, args=(range(1, half + 1),))
            thread.start()
            walk(range(half + 1, calls + 1))
            thread.join()
            asyncio.run(cut(guard, attempt, seen))
        states = Counter(item.state for item in guard.ledger.calls("run"))
        ended = {int(item.id) for item in guard.ledger.calls("run") if item.state in ("returned", "unknown")}
        print(json.dumps({"states": dict(sorted(states.items())), "lost": len(set(seen) - ended)}))
    end()


async def cut(guard: Guardrail, attempt: Any, seen: list[int]) -> None:
    begun = asyncio.Event()

    async def never(_: Any) -> None:
        seen.append(CUT)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(guard.perform_async(attempt(CUT, never)))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), None if sys.argv[2] == "--resume" else int(sys.argv[2]))
