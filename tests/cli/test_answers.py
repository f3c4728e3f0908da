"""`edit`, `forget`, and the further lists of `approvals`."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

PEOPLE = """
[people.anna]
roles = ["finance"]

[people.bob]
"""


def test_an_edit_shows_what_changes_and_supersedes_the_request(project: Any, guardrail: Guardrail):
    approval = project.ask(500)
    result = guardrail("edit", approval, "--set", "amount=50", "--as", "bob", "--reason", "half")
    assert result.stdout.splitlines() == [
        "Changed by bob (as named by --as).",
        '  - "amount": 500',
        '  + "amount": 50',
        f"Approval {approval} is superseded: the call with these arguments is judged anew.",
    ]
    with Config.load().open_ledger() as ledger:
        assert ledger.approval(approval).state == "superseded"
    shown = guardrail("show", "run-1").stdout
    assert "edited" in shown
    assert "by bob (cli); half" in shown


@pytest.mark.parametrize("change", ["amount", "amount=", "amount=lots"])
def test_an_edit_gives_json_values(project: Any, guardrail: Guardrail, change: str):
    result = guardrail("edit", project.ask(), "--set", change, "--as", "bob")
    assert (result.exit_code, "expected a JSON value" in result.stderr) == (2, True)


def test_a_yes_is_remembered_listed_and_forgotten(project: Any, guardrail: Guardrail, document: Document):
    approval = project.ask(500)
    done = guardrail(
        "approve", approval, "--as", "bob", "--yes", "--remember", "8h", "--matching", "amount=..500"
    )
    assert done.exit_code == 0
    (scope,) = document("approvals", "--remembered")["remembered"]
    assert (scope["person"], scope["tool"], scope["varying"], scope["forgotten_by"]) == (
        "bob", "bank/send_money", {"amount": {"at_most": 500.0}}, None
    )  # fmt: skip
    assert project.send("bob", 400) == "sent 400 to bob"
    assert (
        f"a yes that was given beforehand covers it [scope {scope['id']}]"
        in guardrail("show", "run-1").stdout
    )
    assert guardrail("forget", scope["id"][:8], "--as", "anna").stdout == (
        "Forgotten by anna (as named by --as): bank/send_money is asked about again.\n"
    )
    assert project.send("bob", 400).startswith("WAITING")


@pytest.mark.parametrize(
    "options",
    [
        ["--remember", "long"],
        ["--remember", "0h"],
        ["--remember", "30d"],
        ["--remember", "8h", "--matching", "amount=..inf"],
        ["--remember", "8h", "--matching", "amount=nan.."],
        ["--remember", "8h", "--matching", "amount=..1e400"],
        ["--remember", "8h", "--matching", "amuont=..5"],
    ],
)
def test_what_cannot_be_remembered_is_not_approved_either(
    project: Any, guardrail: Guardrail, options: list[str]
):
    approval = project.ask()
    result = guardrail("approve", approval, "--as", "bob", "--yes", *options)
    with Config.load().open_ledger() as ledger:
        state = ledger.approval(approval).state
    assert (result.exit_code in (1, 2), state) == (True, "pending")


def test_people_and_their_roles_are_those_of_the_configuration(project: Any, guardrail: Guardrail):
    approval = project.ask(500, approvers=["role:finance"])
    project.configure(project.configured + PEOPLE)
    refused = guardrail("approve", approval, "--as", "bob", "--yes")
    assert refused.exit_code == 1
    assert "bob is not an approver of this request" in refused.stderr
    principal = guardrail("approve", approval, "--as", "anna", "--yes")
    assert (principal.exit_code, "the agents act for anna" in principal.stderr) == (1, True)
    stranger = guardrail("reject", approval, "--as", "mallory")
    assert (stranger.exit_code, "not one of the people" in stranger.stderr) == (1, True)


def test_figures_say_how_people_answer(project: Any, guardrail: Guardrail, document: Document):
    first, second = project.ask(500), project.ask(600)
    project.ask(700, expires_in=0.001)
    guardrail("approve", first, "--as", "bob", "--yes")
    guardrail("reject", second, "--as", "eve")
    found = document("approvals", "--figures")
    assert found["states"] == {"approved": 1, "expired": 1, "rejected": 1}
    assert (found["decided"], found["timeouts"], found["unopened"], found["approvals"]) == (2, 1, 0, 1)
    assert [person["person"] for person in found["people"]] == ["bob", "eve"]
    assert "0 of 1 approvals" in guardrail("approvals", "--figures").stdout


def test_watching_tells_what_comes_and_what_is_decided(project: Any, guardrail: Guardrail):
    approval = project.ask()
    command = [sys.executable, "-m", "guardrail.cli", "approvals", "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        guardrail("reject", approval, "--as", "bob")
        second = json.loads(watching.stdout.readline())
        watching.terminate()
    assert [(item["id"], item["state"]) for item in (first, second)] == [
        (approval, "pending"),
        (approval, "rejected"),
    ]
