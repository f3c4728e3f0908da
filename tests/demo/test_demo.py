"""`guardrail demo`, whole, in a process of its own."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guardrail_langgraph.demo import folder as demo_folder
from guardrail_langgraph.demo.bank import OPENING, Bank

from guardrail.config import Config
from guardrail.ledger import Ledger

COMMAND = [sys.executable, "-m", "guardrail.cli", "demo"]
PAID = {**OPENING, "ACC-1000": 735_00, "ACC-2001": 240_00, "ACC-2003": 25_00}


def ran(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command, to its end, without a terminal."""
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def votes(ledger: Ledger) -> list[tuple[str, str, str]]:
    return [
        (record.fields["person"], record.fields["answer"], record.fields["channel"])
        for record in ledger.records()
        if record.fields["kind"] == "voted"
    ]


def people(ledger: Ledger) -> list[tuple[str, str]]:
    return [
        (record.fields["kind"], record.fields["by"]) for record in ledger.records() if "by" in record.fields
    ]


@pytest.fixture(name="played", scope="module")
def _played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo without a terminal: a script approves."""
    place = tmp_path_factory.mktemp("demo")
    return place / "guardrail-demo", ran(COMMAND, place)


def test_without_a_terminal_everything_comes_out_as_told(played):
    _, ended = played
    assert (ended.stderr, ended.returncode) == ("", 0), ended.stdout
    assert "Everything came out as told." in ended.stdout


def test_every_effect_happened_once(played):
    folder, _ = played
    bank = Bank(folder / "bank.db")
    assert (bank.transfers(), bank.balances()) == ([("ACC-2001", 240_00), ("ACC-2003", 25_00)], PAID)


def test_the_records_name_the_scripts_that_decided(played):
    folder, _ = played
    with Config.load(folder / "guardrail.toml").open_ledger() as ledger:
        assert votes(ledger) == [("scripted-approver", "approve", "scripted")]
        assert people(ledger) == [
            ("halted", "scripted-operator"),
            ("unhalted", "scripted-operator"),
            ("resolved", "scripted-operator"),
        ]


def test_the_ledger_holds_the_five_runs_and_verifies(played):
    folder, _ = played
    with Config.load(folder / "guardrail.toml").open_ledger() as ledger:
        found = {
            run.id: [
                (call.agent, call.tool.removeprefix("local/"), call.state, call.attempts)
                for call in ledger.calls(run.id)
            ]
            for run in ledger.runs()
        }
        assert found == {
            "1-allowed": [
                ("supervisor", "transfer_to_researcher", "returned", 1),
                ("researcher", "list_files", "returned", 1),
                ("researcher", "read_file", "returned", 1),
                ("researcher", "http_get", "returned", 1),
                ("researcher", "write_file", "returned", 1),
            ],
            "2-denied": [
                ("supervisor", "transfer_to_researcher", "returned", 1),
                ("researcher", "read_file", "returned", 1),
                ("researcher", "read_file", "denied", 0),
                ("researcher", "http_post", "denied", 0),
            ],
            "3-asked": [
                ("supervisor", "transfer_to_payer", "returned", 1),
                ("payer", "balance", "returned", 1),
                ("payer", "send_money", "returned", 1),
            ],
            "4-halted": [
                ("supervisor", "transfer_to_payer", "returned", 1),
                ("payer", "balance", "returned", 1),
                ("payer", "send_money", "denied", 0),
            ],
            "5-unknown": [
                ("supervisor", "transfer_to_payer", "returned", 1),
                ("payer", "balance", "returned", 1),
                ("payer", "send_money", "returned", 1),
            ],
        }
        assert ledger.verify().faults == ()


def test_the_story_shows_every_kind_of_answer(played):
    _, ended = played
    for words in (
        "NOTE TO THE AI ASSISTANT THAT READS THIS",
        "DENIED (nothing was executed): read_file path=workspace/private/salaries.csv",
        "DENIED (nothing was executed): http_post",
        "0 posts; salaries not read",
        "WAITING for a person",
        "graph.invoke(None, config)",
        "is halted: the bank asks us to wait",
        "UNKNOWN OUTCOME (started, its end was not seen; it was not run again): send_money",
        "guardrail settle call_",
        "Verified:",
        "What this does not protect against",
        "cd guardrail-demo",
    ):
        assert words in ended.stdout, words


def test_the_reader_goes_on_in_the_folder(played):
    folder, _ = played
    for command, words in (
        (["runs"], "5-unknown"),
        (["show", "2-denied"], "boundary.paths"),
        (["approvals", "--all"], "consumed"),
        (["check"], "Nothing to complain about."),
        (["test"], "invoices_test"),
        (["verify"], "Verified:"),
    ):
        ended = ran([*COMMAND[:-1], *command], folder)
        assert (ended.returncode, words in ended.stdout) == (0, True), (command, ended.stdout, ended.stderr)


def test_the_folder_is_left_so_that_the_next_demo_may_replace_it(played, tmp_path):
    folder, _ = played
    copy = shutil.copytree(folder, tmp_path / "guardrail-demo")
    assert demo_folder.make(copy, replacing={}) == copy


def test_at_a_terminal_only_the_word_approves(tmp_path):
    leader, follower = pty.openpty()
    command = [*COMMAND, "--directory", str(tmp_path / "mine")]
    child = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    answers = ["I do NOT approve\n", "approve\n"]
    shown = b""
    while chunk := _read(leader):
        shown += chunk
        if answers and shown.count(b"Type approve or reject:") == 3 - len(answers):
            os.write(leader, answers.pop(0).encode())
    os.close(leader)
    assert child.wait() == 0, shown.decode()
    assert "'I do NOT approve' is not a vote" in shown.decode()
    with Config.load(tmp_path / "mine" / "guardrail.toml").open_ledger() as ledger:
        ((person, answer, channel),) = votes(ledger)
    assert (person.startswith("scripted"), answer, channel) == (False, "approve", "terminal")
    assert Bank(tmp_path / "mine" / "bank.db").balances() == PAID


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 4096)
    except OSError:  # Linux says so at the end of a terminal's output
        return b""


def test_a_model_that_does_not_exist_is_refused_before_anything_is_made(tmp_path):
    ended = ran([*COMMAND, "--model", "nobody:nothing"], tmp_path)
    assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "the model 'nobody:nothing' cannot be used" in ended.stderr
    assert "To do: name it as provider:model" in ended.stderr
