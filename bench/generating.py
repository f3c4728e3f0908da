"""Histories to measure replays on: many runs of many kinds of calls, made by the real guard in a real ledger.

    python bench/generating.py history.db --records 1000000

Three agents, one above the others, read files and pages, query a database, run commands and send money: allowed, denied
by boundaries, rules and budgets, asked about and left waiting, returned and raised, in runs that strangers have
written to. A million records take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from guardrail.boundaries import Boundaries, Boundary, Money
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outputs import default_checks
from guardrail.rego import RegoPolicy
from guardrail.runs import Run
from guardrail.settings import ToolSettings

_AT_ONCE: Final = 32
"""Runs that go on at once."""
_CALLS: Final = 20
"""Calls of one run."""
_TOOLS: Final = {
    "local/read_file": ToolSettings(effect="read", trust="trusted", kinds={"path": "path"}),
    "web/fetch": ToolSettings(effect="read", kinds={"url": "url"}),
    "local/query": ToolSettings(effect="read", trust="trusted", kinds={"sql": "sql:sqlite"}),
    "local/run": ToolSettings(effect="write", kinds={"command": "command"}),
    "bank/send_money": ToolSettings(effect="write", trust="trusted"),
}
_MONEY: Final = Money(
    name="payments", tool="bank/send_money", argument="amount", limit=5_000, per="run", unit="EUR"
)


def _boundaries(folder: Path) -> Boundaries:
    tools = tuple(_TOOLS)
    root = {"work": folder}
    return Boundaries(
        {
            "lead": Boundary(
                delegate_tools=tools, delegates=("reader", "payer"), paths=root, hosts=("*.example.com",)
            ),
            "reader": Boundary(tools=tools[:4], paths=root, hosts=("*.example.com",), calls_per_run=15),
            "payer": Boundary(tools=tools, paths=root, hosts=("*.example.com",), money=(_MONEY,)),
        }
    )


def _call(random: Random, folder: Path) -> tuple[str, dict[str, Any], Any]:
    """A tool, arguments for it, and what it returns."""
    number = random.randrange(10_000)
    match random.choices(("read", "fetch", "query", "run", "send"), (5, 2, 3, 1, 4))[0]:
        case "read":
            name = random.choice(("notes", "invoices", ".env", "../outside"))
            return (
                "local/read_file",
                {"path": f"{folder}/{name}/{number}.txt"},
                f"invoice {number}: EUR {number / 100}",
            )
        case "fetch":
            host = random.choice(("api.example.com", "docs.example.com", "elsewhere.example.org"))
            return "web/fetch", {"url": f"https://{host}/orders/{number}"}, {"order": number, "state": "paid"}
        case "query":
            verb = random.choice(
                ("SELECT id, total FROM orders", "SELECT * FROM orders", "DELETE FROM orders")
            )
            return "local/query", {"sql": f"{verb} WHERE customer = {number}"}, [{"id": number, "total": 12}]
        case "run":
            words = random.choice(("git log --oneline -n 5", "ls -l notes", "rm -rf notes"))
            return "local/run", {"command": words}, "done"
        case _:
            amount = random.choice((10, 25, 120, 800, 2_000))
            return (
                "bank/send_money",
                {"to": f"DE{number:020}", "amount": amount, "reference": f"{number}"},
                "sent",
            )


def generate(
    file: Path, records: int, *, seed: int = 7, progress: Callable[[int], None] | None = None
) -> None:
    """Make a history of at least so many records.

    Args:
        file: the ledger to make.
        records: how many, at least.
        seed: the same one gives the same calls.
        progress: told how many records there are.
    """
    folder = file.parent.absolute()
    with closing(RegoPolicy(Bundle.shipped())) as rego, Ledger.open(file) as ledger:
        guard = Guardrail(
            policy=rego,
            boundaries=_boundaries(folder),
            tools=_TOOLS,
            ledger=ledger,
            outcome="buffered",
            checks=default_checks(),
        )
        asyncio.run(_Agents(guard, folder, seed).act(records, progress))


class _Agents:
    """Agents whose runs go on at once."""

    def __init__(self, guard: Guardrail, folder: Path, seed: int) -> None:
        self._guard = guard
        self._folder = folder
        self._seed = seed
        self._numbers = count()

    async def act(self, records: int, progress: Callable[[int], None] | None) -> None:
        """Act until there are so many records."""

        made = 0

        async def go_on() -> None:
            nonlocal made
            while made < records:
                number = next(self._numbers)
                await self._run(number)
                if number % _AT_ONCE == 0:  # counting them reads an index of all
                    made = self._guard.ledger.status().records
                    if progress is not None:
                        progress(made)

        await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)))

    async def _run(self, number: int) -> None:
        """One run, call by call."""
        random, run = Random(f"{self._seed}/{number}"), Run(id=f"run_{self._seed}_{number:08}")
        self._guard.start(run)
        for at in range(_CALLS):
            title, arguments, result = _call(random, self._folder)
            server, name = title.split("/")
            acting = random.choice((("reader",), ("payer",), ("lead", "payer"), ("lead", "reader")))

            async def act(_: Call, result: Any = result, fails: bool = random.random() < 0.03) -> Any:
                if fails:
                    raise TimeoutError("the server did not answer")
                return result

            call = Call.of(
                arguments, run=run.id, id=f"call_{at}", agent=Agent(id=acting[-1], chain=acting),
                tool=self._guard.tool_definition(name=name, server=server),
            )  # fmt: skip
            await self._guard.perform_async(Attempt(call=call, invoke=act), waiting="answer")


def main() -> int:
    """Make the history that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python bench/generating.py", description="A history to replay.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=7, metavar="N")
    given = parser.parse_args()
    generate(
        given.file,
        given.records,
        seed=given.seed,
        progress=lambda made: print(f"\r{made:,} records", end="", file=sys.stderr, flush=True),
    )
    print(file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
