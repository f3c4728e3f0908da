"""What reading the arguments costs: facts and provenance of a call, and every extractor by the kilobyte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, get_args

from measuring import Benchmark, Goal, Pair, Round, Scale, Stopwatch, in_turns
from raw import Evaluation
from scene import AGENT, ARGUMENTS, RUN_LENGTH, guarded, half_way

from guardrail.calls import Agent, ArgumentKind, Call, Tool
from guardrail.facts import extract
from guardrail.origins import Origins

_AGAINST: Final = "evaluation"
_FACTS: Final = Goal(name="facts and labels of a call, CPU", against=_AGAINST, bound=1.0)
_HEAVY: Final = {"command", "sql", "sql:mysql", "sql:postgres", "sql:sqlite", "python"}
"""Kinds that a grammar reads. Plain `sql` is read in three dialects."""

_LINES: Final[Mapping[ArgumentKind, str]] = {
    "path": "/srv/data/reports/2026/summary.txt",
    "url": "https://api.example.com/v1/orders/4711?expand=lines",
    "command": "git log --oneline -n 20 -- src/app.py\n",
    "sql": "SELECT id, total FROM orders WHERE customer = 4711 AND total > 100;\n",
    "sql:mysql": "SELECT id, total FROM orders WHERE customer = 4711 AND total > 100;\n",
    "sql:postgres": "SELECT id, total FROM orders WHERE customer = 4711 AND total > 100;\n",
    "sql:sqlite": "SELECT id, total FROM orders WHERE customer = 4711 AND total > 100;\n",
    "pypi": "requests[socks]>=2.31",
    "npm": "@types/node@^20.1.0",
    "package.json": '{"dependencies": {"left-pad": "^1.3.0", "express": "4.18.2"}}',
    "python": "import json, requests\nfrom sqlalchemy import select\n",
    "money": "1250.50 EUR",
    "text": "Dear Anna, the invoice of last week is attached. Yours, Bob\n",
    "content": "Dear Anna, the invoice is at https://example.com/i/4711 as agreed.\n",
    "recipient": "anna.miller@example.com",
}
_PILED: Final = {"command", "sql", "sql:mysql", "sql:postgres", "sql:sqlite", "python", "text", "content"}
"""Kinds of which one text may be a kilobyte long; of the others, a list of short ones is."""


def _goal(kind: ArgumentKind) -> Goal:
    bound = 60.0 if kind == "sql" else 20.0 if kind in _HEAVY else 5.0
    return Goal(name=f"1 KB of {kind}, CPU", against=_AGAINST, bound=bound)


_KINDS: Final[Mapping[ArgumentKind, Goal]] = {kind: _goal(kind) for kind in get_args(ArgumentKind)}


@contextmanager
def _of_a_call(folder: Path, scale: Scale) -> Iterator[Round]:
    """The call of the scene, in the middle of a run that has seen what its calls returned."""
    evaluate = Evaluation()
    with (
        guarded(folder / "facts.db") as guard,
        guard.run(principal="user:anna", task="pay the invoice") as run,
    ):
        call = half_way(guard, run)
        given, state = guard.judge.judge(call).given.decode(), guard.ledger.read_run(run.id)
        origins = Origins(guard.ledger)

        def read() -> None:
            extract(call, roots={})
            origins.labels(call, state)

        def ours(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                stopwatch.time(read)

        def raw(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                stopwatch.time(evaluate, given)

        def measure() -> Mapping[str, Pair]:
            watches = in_turns({"ours": ours, "raw": raw}, scale.runs)
            return {_FACTS.name: Pair(ours=watches["ours"].cpu, raw=watches["raw"].cpu)}

        yield measure


@contextmanager
def _by_the_kilobyte(folder: Path, scale: Scale) -> Iterator[Round]:
    evaluate = Evaluation()
    with guarded(folder / "kinds.db") as guard, guard.run() as run:
        tool = guard.tool_definition(name="send_money", server="local")
        call = Call.of(dict(ARGUMENTS), run=run.id, id="call", agent=guard.agent(AGENT, (AGENT,)), tool=tool)
        given = guard.judge.judge(call).given.decode()
    calls = {kind: _call(kind) for kind in _KINDS}
    sizes = {kind: len(call.body) / 1024 for kind, call in calls.items()}

    def reading(call: Call) -> Callable[[Stopwatch], None]:
        def turn(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH // 4):
                stopwatch.time(lambda: extract(call, roots={}))

        return turn

    def raw(stopwatch: Stopwatch) -> None:
        for _ in range(RUN_LENGTH):
            stopwatch.time(evaluate, given)

    cases = {"raw": raw, **{kind: reading(call) for kind, call in calls.items()}}

    def measure() -> Mapping[str, Pair]:
        watches = in_turns(cases, max(1, scale.runs // 4))
        return {
            goal.name: Pair(ours=watches[kind].cpu / sizes[kind], raw=watches["raw"].cpu)
            for kind, goal in _KINDS.items()
        }

    yield measure


def _call(kind: ArgumentKind) -> Call:
    """A call with about a kilobyte of one kind."""
    line = _LINES[kind]
    times = max(1, 1024 // len(line))
    value = line * times if kind in _PILED else [line] * times
    tool = Tool(name="read", kinds={"value": kind})
    return Call.of({"value": value}, run="r", id="1", tool=tool, agent=Agent(id=AGENT))


BENCHMARKS: Final = (
    Benchmark(name="facts", goals=(_FACTS,), prepare=_of_a_call),
    Benchmark(name="kinds", goals=tuple(_KINDS.values()), prepare=_by_the_kilobyte),
)
