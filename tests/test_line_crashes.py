"""Killed at any step of the whole line: effects have their intents, none happened twice, the rest reads `unknown`.

`make test` runs a sample; `GUARDRAIL_SOAK=1` (`make soak`) runs 500 rounds.
"""

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from tests import line_victim
from tests.servers import place_in, server_or_skip, template

SOAK = bool(os.environ.get("GUARDRAIL_SOAK"))
ROUNDS = 500 if SOAK else 40
WAYS = ("blocking", "threads", "tasks")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.line_victim"])


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """On which database; `place_in` finds it."""
    monkeypatch.chdir(tmp_path)
    if request.param == "sqlite":
        yield "sqlite"
        return
    with server_or_skip().database(template()) as address:
        (tmp_path / "address").write_text(address)
        yield "postgres"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_process_killed_at_every_step_of_the_line_loses_nothing_and_repeats_nothing(
    tmp_path: Path, database: str
):
    dice = random.Random(20260202)
    rounds = ROUNDS if SOAK or database == "sqlite" else ROUNDS // 4 // 4 * 4
    states: Counter[str] = Counter()
    for turn in range(rounds):
        run = f"run-{turn // 4}"  # each run is taken up by four processes, one after the other
        steps = dice.randrange(1, 15_000 if database == "sqlite" else 60_000)
        process = _context.Process(target=line_victim.work, args=(tmp_path, run, steps, WAYS[turn % 3]))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        if turn % 4 == 3:
            states += check(tmp_path, run)
    assert states["returned"] > rounds
    assert states["unknown"] > rounds / 40


def check(folder: Path, run: str) -> Counter[str]:
    """The promises, after the crashes of one run."""
    effects = Counter((folder / "effects").read_text().split())
    with Ledger.open(place_in(folder)) as ledger:
        admitted = {call.key: call for call in ledger.calls(run)}
        everything = {call.key for listed in ledger.runs() for call in ledger.calls(listed.id)}
        verification = ledger.verify()
    assert verification.ok, verification
    assert [key for key, count in effects.items() if count > 1] == []
    assert set(effects) - everything == set()
    assert {call.state for call in admitted.values()} <= {"returned", "unknown"}
    assert {key for key, call in admitted.items() if call.state == "returned"} <= set(effects)
    return Counter(call.state for call in admitted.values())


def test_a_call_that_was_cut_is_answered_as_unknown_and_not_run_again(tmp_path: Path, database: str):
    process = _context.Process(target=line_victim.work, args=(tmp_path, "run", 3000, "blocking"))
    process.start()
    process.join(120)
    with line_victim.guard_over(tmp_path) as guard:
        answers = [guard.perform(line_victim.attempt(tmp_path, "run", number)) for number in range(60)]
    effects = Counter((tmp_path / "effects").read_text().split())
    assert set(effects.values()) == {1}
    repeated = [answer for answer in answers if answer.repeated]
    cut = [answer for answer in repeated if answer.status == "unknown"]
    assert cut in ([], [Outcome(status="unknown", heading="UNKNOWN OUTCOME", repeated=True)])
    assert [answer.value for answer in answers if answer.status == "returned"] == [
        number for number in range(60) if answers[number].status == "returned"
    ]
