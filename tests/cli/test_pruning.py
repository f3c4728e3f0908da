"""`guardrail prune`: what is old enough goes, unless something needs it, and every command says so afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config
from guardrail.errors import Waiting
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.sealing import SealingKey
from guardrail.testing import ScriptedPolicy
from tests.servers import server_or_skip, template

Command = Callable[..., Result]
FILE = """
[ledger]
path = "{place}"
retention = "12mo"
[agents.a]
tools = ["local/look_up"]
[tools."local/look_up"]
effect = "read"
[checkpoints]
origin = "example.com/guardrail"
key = "log.key"
public_keys = ["log.pub"]
"""
_ANYTHING = """package guardrail.rules.anything

import rego.v1

allow contains {"rule": "anything", "message": "fine"}
"""
OLD = datetime(2020, 5, 15, 12, tzinfo=UTC)
LATER = datetime(2020, 6, 1, tzinfo=UTC)


@pytest.fixture(name="folder", params=["sqlite", "postgres"])
def _folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guardrail: Command
) -> Iterator[Path]:
    """A project on either database, whose ledger has a key to sign with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    place = "ledger.db"
    if request.param == "postgres":
        with server_or_skip().database(template()) as place:
            yield made(tmp_path, place, guardrail)
    else:
        yield made(tmp_path, place, guardrail)


def made(folder: Path, place: str, guardrail: Command) -> Path:
    (folder / "guardrail.toml").write_text(FILE.format(place=place))
    assert guardrail("keys", "log.key", "--log", "example.com/guardrail").exit_code == 0
    SealingKey.create(folder / "guardrail.key")
    return folder


def look_up(who: str) -> str:
    return f"{who} is here"


def worked(at: datetime, run: str, *who: str, policy: Any = "allow", waiting: Any = "wait") -> None:
    """A run of that time."""
    config = Config.load()
    key = SealingKey.read(config.key_path)
    with (
        Ledger.open(config.ledger_path, key=key, clock=lambda: at) as ledger,
        Guardrail(
            policy=ScriptedPolicy(policy), ledger=ledger, boundaries=config.boundaries(), tools=config.tools
        ) as guard,
        guard.run(run, principal="user:anna", task=f"find {who[0]}"),
    ):
        for name in who:
            guard.tool(look_up, agent="a", waiting=waiting)(name)


@pytest.fixture(name="old")
def _old(folder: Path, guardrail: Command) -> Path:
    """A run of long ago, one that began then and went on, and one of today; all of it signed."""
    worked(OLD, "first", "DE12", "DE13")
    worked(OLD, "both", "DE14")
    worked(LATER, "both", "DE15")
    worked(datetime.now(UTC), "today", "DE16")
    assert guardrail("checkpoint").exit_code == 0
    return folder


def june(now: datetime) -> str:
    """An age that May of that year has, and June has not."""
    return f"{(now - datetime(2020, 6, 10, tzinfo=UTC)).days}d"


def test_what_is_old_enough_goes_and_all_commands_say_so(old: Path, guardrail: Command):
    call = call_of("first")
    # The server of the tests does not wait for its disk, and doctor says so.
    faults = int("postgresql://" in (old / "guardrail.toml").read_text())
    dry = guardrail("prune", "--dry-run")
    assert (dry.exit_code, [line.split() for line in dry.output.splitlines()]) == (
        0, [["MONTH", "LOGS", "RECORDS"], ["2020-05", "1", "10", "may", "go"], ["2020-06", "1", "3", "may", "go"]],
    )  # fmt: skip
    no = guardrail("prune", typed="yes\n")
    assert (no.exit_code, no.output.splitlines()[-1]) == (1, "Nothing was pruned.")
    done = guardrail("prune", "--older-than", june(datetime.now(UTC)), "--as", "olga", typed="prune\n")
    assert (done.exit_code, "Pruned: 10 records of 1 logs, as checkpoint 1 covers them." in done.output) == (
        0,
        True,
    )
    for words, code, said in (
        (("verify",), 0, "10 records of 1 log were pruned, up to roots that it covers"),
        (("checkpoint",), 0, "Checkpoint 2"),
        (("show", "both"), 0, "What was recorded of it at first was pruned, and is not shown."),
        (("show", call), 1, f"what was recorded of {call} was pruned: all that is known is that it is returned"),
        (("replay", "--recompute", "--all"), 0, "Not looked at: 10 records, which were pruned."),
        (("replay", "--policy", "empty", "--all"), 0, "the beginning of its run was pruned"),
        (("prove", "1/0"), 1, "the records of log 1 were pruned at"),
        (("prove", "2/0"), 0, "under checkpoint 2"),
        (("export", "--log", "logs"), 0, "wrote"),
        (("export", "events.jsonl", "--format", "ocsf"), 0, "wrote 4 events"),
        (("doctor",), faults, "3 records up to 2020-06 are older than is set"),
        (("prune", "--older-than", june(datetime.now(UTC))), 0, "No month that was over by"),
        (("erase", "first", "--yes"), 0, "Erased: run first, 0 sealed details."),
        (("verify",), 0, "unchanged and complete"),
    ):  # fmt: skip
        if "empty" in words:
            (old / "empty").mkdir()
            (old / "empty" / "empty.rego").write_text(_ANYTHING)
        result = guardrail(*words)
        assert (result.exit_code, said in result.output) == (code, True), (words, result.output)


def call_of(run: str) -> str:
    with Config.load().open_ledger() as ledger:
        return ledger.calls(run)[0].reference


def test_a_program_is_told_the_same(old: Path, guardrail: Command):
    answer = json.loads(guardrail("prune", "--json", "--as", "olga").stdout)
    assert answer.pop("before").startswith("20")
    assert answer == {
        "by": "olga", "dry_run": False, "below_six_months": False, "without_checkpoint": False,
        "months": [
            {"month": 202005, "logs": [1], "records": 10, "held": []},
            {"month": 202006, "logs": [2], "records": 3, "held": []},
        ],
        "pruned": {"months": [202005, 202006], "logs": 2, "records": 13, "checkpoint": 1, "record": 1},
        "finished": [], "overwritten": answer["overwritten"],
    }  # fmt: skip


def test_what_somebody_waits_for_stays(old: Path, guardrail: Command):
    def asks(given: Any) -> Any:
        return "ask"

    with pytest.raises(Waiting):
        worked(datetime.now(UTC), "both", "DE17", policy=asks, waiting="answer")
    held = guardrail("prune", "--yes", "--as", "olga")
    assert (held.exit_code, "2020-05 stays: request" in held.output, "2020-06 stays: request" in held.output) == (
        1, True, True,
    )  # fmt: skip
    assert "Pruned" not in held.output


def test_what_has_to_be_kept_is_refused(old: Path, guardrail: Command):
    young = guardrail("prune", "--older-than", "2mo", "--yes")
    assert (young.exit_code, "are younger than six months" in young.stderr) == (3, True)
    worked(datetime(2020, 7, 2, tzinfo=UTC), "unsigned", "DE18")
    unsigned = guardrail("prune", "--yes")
    assert (unsigned.exit_code, "no checkpoint that is signed covers how log" in unsigned.stderr) == (3, True)
    loud = guardrail("prune", "--yes", "--without-checkpoint", "--below-six-months", "--older-than", "7mo")
    assert (loud.exit_code, "BELOW SIX MONTHS" in loud.output, "NOT COVERED" in loud.output) == (
        0,
        True,
        True,
    )


@pytest.mark.parametrize(
    "words", [("--older-than", "12m"), ("--older-than", "0d"), ("--ledger", "postgresql://a:secret@b/c")]
)
def test_what_nobody_can_mean_is_refused(old: Path, guardrail: Command, words: tuple[str, ...]):
    assert guardrail("prune", "--yes", *words).exit_code == 2


def test_nothing_goes_by_a_clock_that_is_behind_the_last_record(old: Path, guardrail: Command):
    worked(datetime.now(UTC) + timedelta(hours=2), "ahead", "DE17")
    refused = guardrail("prune", "--older-than", june(datetime.now(UTC)), "--yes")
    assert (refused.exit_code, "how old records are is not known" in refused.output) == (3, True), (
        refused.output
    )
    assert "older than is set" in guardrail("doctor").output
