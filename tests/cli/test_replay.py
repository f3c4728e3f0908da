"""`replay`: what was decided, decided again; exit code 1 where it is not the same."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from typer.testing import Result

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

CONFIG = '[ledger]\npath = "guardrail.db"\nkey = "guardrail.db.key"\n'


@pytest.fixture(name="folder")
def _folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARDRAIL_CONFIG", raising=False)
    (tmp_path / "guardrail.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_what_is_equal_is_said_and_what_cannot_be_said_too(
    folder: Path, guardrail: Guardrail, document: Document
):
    result = guardrail("replay", "--recompute")
    found = document("replay", "--recompute")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Cannot say of 3: about an output that was withheld or changed, which is not kept.",
        "Cannot say of 1: guardrail refused by itself, no policy was asked.",
        f"Recomputed: {found['equal']} recorded decisions are what the stored policies decide from the stored inputs.",
    ]
    assert (found["ok"], found["differences"], found["own"]) == (True, [], 1)


def test_a_difference_is_named_with_both_answers(folder: Path, guardrail: Guardrail, document: Document):
    with sqlite3.connect(folder / "guardrail.db") as database:
        database.execute(
            "UPDATE policies SET bundle = CAST(replace(CAST(bundle AS TEXT), '<= 90', '<= 91') AS BLOB)"
        )
    result = guardrail("replay", "--recompute")
    (difference,) = document("replay", "--recompute")["differences"]
    place = f"log {difference['log']}, record {difference['sequence']}"
    assert result.exit_code == 1
    assert result.stderr.startswith(f"1 recorded decision differs: {place}: what is stored of the policy ")
    assert "To do: run `guardrail verify`" in result.stderr
    assert result.stdout.splitlines()[0].startswith(f"{place}: what is stored of the policy ")
    assert result.stdout.splitlines()[1] == "    recorded: deny: more than 100 [own.much]"
    assert (difference["run"], difference["recomputed"]) == ("stricter", None)


@pytest.mark.parametrize(
    "chosen", [("--all",), ("--run", "halt"), ("--since", "1h"), ("--since", "2020-01-31")]
)
def test_a_part_of_the_history_may_be_chosen(folder: Path, document: Document, chosen: tuple[str, ...]):
    everything = document("replay", "--recompute")
    found = document("replay", "--recompute", *chosen)
    assert found["equal"] == (1 if "--run" in chosen else everything["equal"])


def test_processes_and_a_bar_change_nothing(folder: Path, guardrail: Guardrail):
    result = guardrail("replay", "--recompute", "--progress", "--processes", "2")
    assert result.stdout == guardrail("replay", "--recompute").stdout
    assert "Replaying" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--recompute", "--all", "--run", "calls"), "exclude each other"),
        (("--recompute", "--since", "noon"), "'noon' is neither a moment"),
    ],
)
def test_what_is_used_wrongly_is_said(folder: Path, guardrail: Guardrail, given: tuple[str, ...], said: str):
    result = guardrail("replay", *given)
    assert (result.exit_code, said in " ".join(result.stderr.replace("│", " ").split())) == (2, True)


def test_a_run_that_does_not_exist_is_no_history(folder: Path, guardrail: Guardrail):
    result = guardrail("replay", "--recompute", "--run", "nowhere")
    assert (result.exit_code, result.stderr) == (
        1,
        "there is no run 'nowhere'\nTo do: list them: guardrail runs\n",
    )


def test_without_the_key_nothing_can_be_said(folder: Path, guardrail: Guardrail):
    (folder / "guardrail.db.key").unlink()
    result = guardrail("replay", "--recompute")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("the sealing key ")


# --- what if --------------------------------------------------------------------------------------------

RULE = """package guardrail.rules.small

deny contains {"rule": "small.much", "message": "more than 20"} if {
    input.tool.name == "send"
    not modest
}

modest if {
    is_number(input.arguments.amount)
    input.arguments.amount <= 20
}

allow contains {"rule": "small.fine", "message": "fine"} if true
"""
WHAT_IF = """
[policies]
shipped = false
paths = ["policies"]
[agents.payer]
tools = ["send", "read", "say"]
[agents.boss]
delegate_tools = ["*"]
delegates = ["payer"]
[tools.send]
trust = "trusted"
[tools.say]
trust = "trusted"
"""


@pytest.fixture(name="policies")
def _policies(folder: Path) -> Path:
    """The folder of policies of a configuration that names one."""
    (folder / "guardrail.toml").write_text(CONFIG + WHAT_IF, encoding="utf-8")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "small.rego").write_text(RULE.replace("20", "100"), encoding="utf-8")
    return policies


@pytest.fixture(name="strict")
def _strict(policies: Path) -> Path:
    """Another folder, whose rule is stricter."""
    strict = policies.parent / "strict"
    strict.mkdir()
    (strict / "small.rego").write_text(RULE, encoding="utf-8")
    return strict


def test_other_policies_are_compared_with_what_was_recorded(
    strict: Path, guardrail: Guardrail, document: Document
):
    found = document("replay", "--policy", str(strict), "--run", "budgets")
    assert (found["now"], found["before"], found["runs"]) == (str(strict), "what was recorded", 1)
    assert {verdict: count for verdict, count in found["counts"].items() if count} == {
        "newly denied": 1,
        "unreachable": 4,
    }
    assert (found["by_rule"], found["by_tool"], found["by_agent"]) == (
        {"small.much": {"newly denied": 1}},
        {"local/send": {"newly denied": 1}},
        {"payer": {"newly denied": 1}},
    )
    lines = guardrail("replay", "--policy", str(strict), "--run", "budgets").stdout.splitlines()
    assert lines[0] == f"What if: {strict}, compared with what was recorded."
    assert lines[-2:] == [
        "    before: allowed: within the boundaries of every agent of the chain [boundary.within]; fine [own.fine]",
        "    now: denied: more than 20 [small.much]",
    ]


def test_a_configuration_is_a_candidate_too(policies: Path, document: Document):
    tight = policies.parent / "tight.toml"
    tight.write_text(
        (policies.parent / "guardrail.toml").read_text() + "[agents.payer.budgets]\ncalls_per_run = 0\n"
    )
    assert document("replay", "--run", "budgets")["counts"]["newly denied"] == 0
    found = document("replay", "--run", "budgets", "--config", str(tight))
    assert (found["counts"]["newly denied"], list(found["by_rule"])) == (1, ["guardrail.budget"])


@pytest.mark.parametrize(("unwanted", "code"), [("newly-denied", 1), ("newly-allowed", 0), ("cannot-say", 0)])
def test_what_nobody_wants_fails(strict: Path, guardrail: Guardrail, unwanted: str, code: int):
    result = guardrail("replay", "--policy", str(strict), "--run", "budgets", "--fail-on", unwanted)
    assert (result.exit_code, result.stderr) == (code, "Not wanted: 1 newly denied\n" if code else "")


def test_pages_are_written(strict: Path, guardrail: Guardrail):
    result = guardrail("replay", "--policy", str(strict), "--html", "page.html", "--markdown", "summary.md")
    assert result.exit_code == 0
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert Path("summary.md").read_text(encoding="utf-8").startswith(f"### What if: `{strict}`")
    result = guardrail("replay", "--policy", str(strict), "--html", "nowhere/page.html")
    assert (result.exit_code, "cannot be written: No such file" in result.stderr) == (2, True)


def git(*arguments: str) -> None:
    who = ("-c", "user.name=Anna", "-c", "user.email=anna@example.com", "-c", "commit.gpgsign=false")
    run(["git", *who, *arguments], check=True, capture_output=True)


def test_two_revisions_of_the_policies_are_compared_with_each_other(
    policies: Path, guardrail: Guardrail, document: Document
):
    git("init", "-q")
    git("add", "policies")
    git("commit", "-qm", "lenient")
    git("tag", "lenient")
    (policies / "small.rego").write_text(RULE, encoding="utf-8")
    git("commit", "-qam", "strict")
    (policies / "small.rego").write_text(
        "not even Rego", encoding="utf-8"
    )  # what is there now does not count
    found = document("replay", "--from", "lenient", "--to", "HEAD", "--run", "budgets")
    assert (found["before"], found["now"]) == ("policies of lenient", "policies of HEAD")
    assert found["counts"]["newly denied"] == 1
    assert found["flips"][0]["before"]["reasons"][-1] == {"rule": "small.fine", "message": "fine"}
    assert document("replay", "--from", "HEAD", "--to", "HEAD")["flips"] == []
    for revision in ("nowhere", "--output=/tmp/x"):
        result = guardrail("replay", "--from", "lenient", f"--to={revision}")
        assert (result.exit_code, f"cannot be read as of {revision}: " in result.stderr) == (2, True)


HIDDEN = """package guardrail.rules.hidden

ask contains {"rule": "hidden.never", "message": "let somebody look"} if input.tool.name == "send"
"""


def test_what_a_revision_says_of_its_own_archives_hides_no_policy(
    policies: Path, document: Document, monkeypatch: pytest.MonkeyPatch
):
    git("init", "-q")
    git("add", "policies")
    git("commit", "-qm", "first")
    git("tag", "first")
    (policies / "hidden.rego").write_text(HIDDEN, encoding="utf-8")
    (policies / ".gitattributes").write_text("hidden.rego export-ignore\n", encoding="utf-8")
    git("add", "policies")
    git("commit", "-qm", "second")
    monkeypatch.setenv("GIT_DIR", "nowhere")  # as Git sets it for its hooks
    found = document("replay", "--from", "first", "--to", "HEAD", "--run", "budgets")
    assert (found["counts"]["newly asked"], list(found["by_rule"])) == (1, ["hidden.never"])


def test_a_link_of_a_revision_that_leads_out_of_it_is_not_followed(policies: Path, guardrail: Guardrail):
    (policies / "data.json").symlink_to("/etc/hostname")
    git("init", "-q")
    git("add", "policies")
    git("commit", "-qm", "linked")
    result = guardrail("replay", "--from", "HEAD", "--to", "HEAD")
    assert (result.exit_code, "data.json is a link out of the folder" in result.stderr) == (1, True)


def test_policies_of_a_repository_inside_cannot_be_read(policies: Path, guardrail: Guardrail):
    git("init", "-q", "policies/inner")
    git("-C", "policies/inner", "commit", "-qm", "inner", "--allow-empty")
    git("init", "-q")
    git("add", "policies")
    git("commit", "-qm", "outer")
    result = guardrail("replay", "--from", "HEAD", "--to", "HEAD")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        2,
        "inner cannot be read as of HEAD: it is no file",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--recompute", "--policy", "x"), "it takes no others"),
        (("--processes", "2"), "a what-if is walked by one"),
        (("--engine", "processes"), "a what-if is walked by one"),
        (("--from", "x"), "give either --policy, or both --from and --to"),
        (("--policy", "x", "--from", "x", "--to", "y"), "give either --policy, or both --from and --to"),
    ],
)
def test_what_excludes_each_other_is_said(
    folder: Path, guardrail: Guardrail, given: tuple[str, ...], said: str
):
    result = guardrail("replay", *given)
    assert (result.exit_code, said in " ".join(result.stderr.replace("│", " ").split())) == (2, True)


def test_revisions_need_policies_of_ones_own(folder: Path, guardrail: Guardrail):
    result = guardrail("replay", "--from", "x", "--to", "y")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        2,
        "the configuration names no policies of one's own, so no revision has any",
    )
