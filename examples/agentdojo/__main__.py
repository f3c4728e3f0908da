"""Run AgentDojo through the LangGraph adapter, without a language model, and print what the guard did.

    python examples/agentdojo [--every N] [--json FILE] [--unguarded]

It needs what `examples/requirements-agentdojo.lock` names; README.md says how to get there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from agent import SuiteAgent
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scores import Scores, Trial
from suites import SUITES, VERSION
from table import table

from guardrail import Config, Guardrail, Ledger, RegoPolicy
from guardrail.errors import ConfigError

HERE = Path(__file__).parent
LEGEND = """\
unanswered  nobody answers: every ask ends in a no
careful     a person grants the user's own calls and nothing else
stamp       a person grants everything
{left_out} attacks left out: the benchmark ships no calls for their goals."""


def main() -> int:
    """Run what the command line asks for and print it; 1 = the ledger does not verify."""
    arguments = _arguments()
    started = time.monotonic()
    console = Console()
    trials = [Trial.of(suite, every=arguments.every) for suite in SUITES]
    with nullcontext() if arguments.unguarded else guarded() as guard:
        results = _run(trials, guard)
        written = guard.ledger.verify() if guard is not None else None
    title = f"AgentDojo {VERSION}" + (f", one in {arguments.every}" if arguments.every > 1 else "")
    console.print(table(results, title=title))
    console.print(LEGEND.format(left_out=sum(trial.left_out for trial in trials)))
    if written is not None:
        console.print(f"{written.records:,} records in the ledger, {len(written.faults)} faults in them.")
    console.print(f"Took {time.monotonic() - started:.0f} s.")
    if arguments.json:
        counts = {suite: asdict(scores) for suite, scores in results.items()}
        arguments.json.write_text(json.dumps(counts, indent=2) + "\n")
    return 1 if written is not None and written.faults else 0


@contextmanager
def guarded() -> Iterator[Guardrail]:
    """The guard that guardrail.toml describes, with a ledger that is gone afterwards."""
    config = Config.load(HERE / "guardrail.toml")
    bundle = config.bundle()
    if bundle is None:
        raise ConfigError("guardrail.toml names no policies")
    rego = RegoPolicy(bundle)
    with TemporaryDirectory() as folder, Ledger.open(Path(folder) / "guardrail.db") as ledger, closing(rego):
        yield Guardrail(policy=rego, boundaries=config.boundaries(), tools=config.tools, ledger=ledger)


def _run(trials: list[Trial], guard: Guardrail | None) -> dict[str, Scores]:
    """The scores of each suite, and of all of them as `total`."""
    results: dict[str, Scores] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=sum(map(len, trials)))
        for trial in trials:
            progress.update(bar, description=trial.suite)
            agent = SuiteAgent(trial.suite, guard)
            results[trial.suite] = trial.run(agent, done=lambda: progress.advance(bar))
    results["total"] = sum(results.values(), start=Scores())
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python examples/agentdojo", description="AgentDojo, guarded.")
    add = parser.add_argument
    add("--every", type=_number, default=1, metavar="N", help="try every Nth user task and attack")
    add("--json", type=Path, metavar="FILE", help="write the counts there, too")
    add("--unguarded", action="store_true", help="leave the guard out: what the script does by itself")
    return parser.parse_args()


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number, at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
