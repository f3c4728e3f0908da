"""`halt`, `unhalt` and `settle`."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

SCOPES = [
    (("--all",), "all"),
    (("--agent", "payer"), "agent:payer"),
    (("--tool", "bank/send_money"), "tool:bank/send_money"),
    (("--run", "run-1"), "run:run-1"),
]


@pytest.mark.parametrize(("options", "scope"), SCOPES)
def test_a_halt_refuses_calls_until_it_is_lifted(
    options: tuple[str, ...], scope: str, project: Any, guardrail: Guardrail
):
    project.send("bob", 1)
    halted = guardrail("halt", *options, "--reason", "odd payments", "--as", "root")
    assert (halted.exit_code, halted.stdout) == (
        0,
        f"Halted: {scope} (odd payments)\nBy root (as named by --as). Lift it with `guardrail unhalt`.\n",
    )
    assert f"Reason: {scope} is halted: odd payments [guardrail.halted]" in project.send("bob")
    lifted = guardrail("unhalt", *options, "--as", "root")
    assert (lifted.exit_code, lifted.stdout) == (
        0,
        f"No longer halted: {scope}\nBy root (as named by --as).\n",
    )
    assert project.send("bob", 2) == "sent 2 to bob"
    assert project.sent == [("bob", 1), ("bob", 2)]


@pytest.mark.parametrize(
    ("options", "doubt"),
    [
        (("--agent", "pyer"), "no agent 'pyer' is known here; did you mean 'payer'?"),
        (
            ("--tool", "bank/send_mony"),
            "no tool 'bank/send_mony' is known here; did you mean 'bank/send_money'?",
        ),
        (("--run", "run-1"), "no run 'run-1' is known here."),
    ],
)
def test_a_misspelt_halt_holds_and_says_that_it_may_stop_nobody(
    options: tuple[str, ...], doubt: str, project: Any, guardrail: Guardrail, document: Document
):
    assert f"But {doubt}\n" in guardrail("halt", *options).stdout
    again = document("halt", *options)
    assert (again["doubt"], document("halt", "--list")["halts"][0]["scope"]) == (doubt, again["halted"])


def test_a_tool_without_a_server_is_one_of_this_process(project: Any, document: Document):
    document("halt", "--tool", "balance", "--as", "root")
    assert [halt["scope"] for halt in document("halt", "--list")["halts"]] == ["tool:local/balance"]


def test_halts_are_listed_with_who_and_why(project: Any, guardrail: Guardrail, document: Document):
    assert guardrail("halt", "--list").stdout == "Nothing is halted.\n"
    guardrail("halt", "--all", "--reason", "fire \u202e", "--as", "root")
    (halt,) = document("halt", "--list")["halts"]
    assert guardrail("halt", "--list").stdout.splitlines() == [
        "HALTED  BY    SINCE                     REASON",
        f"all     root  {halt['at']}  fire \\u{{202e}}",
    ]


def test_a_halt_needs_no_words(project: Any, guardrail: Guardrail):
    assert guardrail("halt", "--all").stdout.startswith("Halted: all (no reason given)\n")


def test_what_is_still_halted_is_said(project: Any, guardrail: Guardrail, document: Document):
    guardrail("halt", "--all")
    guardrail("halt", "--agent", "payer")
    assert document("unhalt", "--agent", "payer", "--as", "root") == {
        "unhalted": "agent:payer",
        "by": "root",
        "still_halted": ["all"],
    }


@pytest.mark.parametrize("options", [(), ("--all", "--agent", "payer"), ("--run", "a", "--tool", "b/c")])
@pytest.mark.parametrize("command", ["halt", "unhalt"])
def test_exactly_one_scope_is_named(
    command: str, options: tuple[str, ...], project: Any, guardrail: Guardrail
):
    result = guardrail(command, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name exactly one of" in result.stderr


def test_what_is_not_halted_cannot_be_lifted(project: Any, guardrail: Guardrail):
    result = guardrail("unhalt", "--all")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("all is not halted\nTo do: ")


@pytest.mark.parametrize(
    ("option", "state", "meaning"),
    [
        ("--ran", "returned", "it ran, without a result"),
        ("--did-not-run", "blocked", "it did not run; the same call may be tried again"),
    ],
)
def test_a_person_says_how_an_unknown_call_ended(
    option: str, state: str, meaning: str, project: Any, guardrail: Guardrail, document: Document
):
    call = project.crash()
    result = guardrail("settle", call, option, "--as", "anna")
    assert (result.exit_code, result.stdout) == (
        0,
        f"Settled: {call} is now {state}: {meaning}.\nBy anna (as named by --as).\n",
    )
    found = document("show", call)["call"]
    assert (found["state"], found["steps"][-1]["event"], found["steps"][-1]["why"]) == (
        state,
        "resolved",
        [f"anna says that it {'ran' if option == '--ran' else 'did not run'}"],
    )
    again = guardrail("settle", call, option)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "not unknown" in again.stderr


def test_neither_answer_is_the_default(project: Any, guardrail: Guardrail):
    result = guardrail("settle", "call_0123456789abcdef")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--did-not-run" in result.stderr
    both = guardrail("settle", "call_1", "--ran", "--did-not-run")
    assert (both.exit_code, both.stdout) == (2, "")
