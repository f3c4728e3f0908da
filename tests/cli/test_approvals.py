"""`approvals`, `approve` and `reject`: exactly one call, shown whole, by people only."""

import getpass
import threading
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config
from guardrail.errors import Rejected

Guardrail = Callable[..., Result]
Document = Callable[..., Any]


def state_of(approval: str) -> tuple[str, list[tuple[str, str, str]]]:
    with Config.load().open_ledger() as ledger:
        found = ledger.approval(approval)
    return found.state, [(vote.person, vote.answer, vote.channel) for vote in found.votes]


def test_what_waits_is_listed_whole(project: Any, guardrail: Guardrail, document: Document):
    approval = project.ask()
    (found,) = document("approvals")["approvals"]
    assert guardrail("approvals").stdout.splitlines() == [
        "APPROVAL                          STATE    EXPIRES                   AGENT  TOOL             ASKED",
        f"{approval}  pending  {found['expires_at']}  payer  bank/send_money  more than 100 [payments.large]",
    ]


def test_decided_requests_are_listed_where_all_are_asked_for(
    project: Any, guardrail: Guardrail, document: Document
):
    first, second = project.ask(), project.ask(600)
    guardrail("reject", first)
    assert [found["id"] for found in document("approvals")["approvals"]] == [second]
    assert [(found["id"], found["state"]) for found in document("approvals", "--all")["approvals"]] == [
        (first, "rejected"),
        (second, "pending"),
    ]


def test_nothing_to_approve_is_an_answer(project: Any, guardrail: Guardrail):
    assert guardrail("approvals").stdout == "Nothing waits for a person.\n"
    assert guardrail("approvals", "--all").stdout == "No approvals.\n"


def test_silence_reads_expired(project: Any, guardrail: Guardrail, document: Document):
    approval = project.ask(expires_in=0.001)
    assert document("approvals")["approvals"] == []
    result = guardrail("approve", approval, "--yes")
    assert (result.exit_code, state_of(approval)) == (1, ("expired", []))


def test_the_word_approves_exactly_what_was_shown(project: Any, guardrail: Guardrail):
    approval = project.ask(to="p\u0430ypal")
    result = guardrail("approve", approval, "--as", "anna", typed="approve\n")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"Approval {approval}"
    start = next(number for number, line in enumerate(lines) if line.startswith("Arguments"))
    assert lines[start + 1 : start + 5] == [
        '  "amount": 500',
        '  "ask": {}',
        '  "login": {}',
        r'  "to": "p\u{430}ypal"',
    ]
    assert lines[start].endswith("complete):")
    assert lines[-2:] == [
        "Approved by anna (as named by --as).",
        f"Approval {approval} is approved: bank/send_money runs once, when its agent goes on.",
    ]
    assert state_of(approval) == ("approved", [("anna", "approve", "cli")])


@pytest.mark.parametrize("typed", ["I do NOT approve", "y", "yes", "", None, "approve it", "reject"])
def test_any_other_word_casts_no_vote(typed: str | None, project: Any, guardrail: Guardrail):
    approval = project.ask()
    result = guardrail("approve", approval, typed=typed)
    assert (result.exit_code, state_of(approval)) == (1, ("pending", []))
    assert "no vote was cast" in result.stderr


def test_who_is_not_named_is_the_user_of_this_computer_and_that_is_said(project: Any, guardrail: Guardrail):
    approval = project.ask()
    result = guardrail("approve", approval, typed="approve\n")
    assert f"You are {getpass.getuser()} (the user of this computer)." in result.stdout
    assert state_of(approval) == ("approved", [(getpass.getuser(), "approve", "cli")])


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ("payer", "payer is an agent of this call"),
        ("mallory", "mallory is not an approver"),
        (" ", "no plain name"),
    ],
)
def test_who_may_not_vote_is_told_before_the_word_is_asked_for(
    person: str, said: str, project: Any, guardrail: Guardrail
):
    approval = project.ask(approvers=["anna"])
    result = guardrail("approve", approval, "--as", person, typed="approve\n")
    assert (result.exit_code, result.stdout, state_of(approval)) == (1, "", ("pending", []))
    assert said in result.stderr


def test_a_quorum_needs_its_number_of_people(project: Any, guardrail: Guardrail):
    approval = project.ask(quorum=2)
    first = guardrail("approve", approval, "--as", "anna", "--yes")
    again = guardrail("approve", approval, "--as", "anna", "--yes")
    assert first.stdout.endswith(f"Approval {approval} is pending: 1 said yes, more people have to.\n")
    assert (again.exit_code, state_of(approval)[0]) == (1, "pending")
    assert guardrail("approve", approval, "--as", "bob", "--yes").exit_code == 0
    assert state_of(approval)[0] == "approved"


def test_masked_arguments_are_not_approved_unseen(project: Any, guardrail: Guardrail):
    approval = project.ask(password="hunter2")
    unseen = guardrail("approve", approval, "--yes")
    assert (unseen.exit_code, state_of(approval)) == (1, ("pending", []))
    assert "MASKED HERE: /login/password" in unseen.stdout
    assert "hunter2" not in unseen.output
    assert "add --reveal" in unseen.stderr
    seen = guardrail("approve", approval, "--as", "anna", "--reveal", "--yes")
    assert '"login": {"password":"hunter2"}' in seen.stdout
    assert state_of(approval) == ("approved", [("anna", "approve", "cli")])


def test_a_late_vote_reads_who_decided(project: Any, guardrail: Guardrail):
    approval = project.ask()
    guardrail("reject", approval, "--as", "anna")
    late = guardrail("approve", approval, "--as", "bob", "--yes")
    assert (late.exit_code, late.stderr) == (1, f"approval {approval} is already rejected by anna\n")


def test_a_rejection_is_final_and_its_reason_reaches_the_agent(project: Any, guardrail: Guardrail):
    said: list[str] = []

    def pay(to: str, amount: int) -> str:
        raise AssertionError("rejected calls do not run")

    def work() -> None:
        with project.guard() as guard, guard.run("waiting"):
            try:
                guard.tool(pay, agent="payer", server="bank", name="send_money")("bob", 500)
            except Rejected as error:
                said.append(str(error))

    agent = threading.Thread(target=work)
    agent.start()
    while "pending" not in (listed := guardrail("approvals").stdout):
        assert agent.is_alive()
    result = guardrail(
        "reject", listed.splitlines()[1].split()[0], "--as", "anna", "--reason", "not this month"
    )
    agent.join()
    assert (result.exit_code, len(said)) == (0, 1)
    assert said[0].startswith("REJECTED (nothing was executed): send_money")
    assert "anna: not this month" in said[0]


def test_an_approved_call_runs_once_when_its_agent_goes_on(
    project: Any, guardrail: Guardrail, document: Document
):
    sent: list[str] = []

    def pay(to: str, amount: int) -> str:
        sent.append(to)
        return "done"

    def work() -> None:
        with project.guard() as guard, guard.run("waiting"):
            guard.tool(pay, agent="payer", server="bank", name="send_money")("bob", 500)

    agent = threading.Thread(target=work)
    agent.start()
    while "pending" not in (listed := guardrail("approvals").stdout):
        assert agent.is_alive()
    approval = listed.splitlines()[1].split()[0]
    guardrail("approve", approval[:10], "--as", "anna", "--yes")
    agent.join()
    (call,) = document("show", "waiting")["calls"]
    assert sent == ["bob"]
    assert [(step["event"], step["why"]) for step in call["steps"]] == [
        ("asked", ["more than 100 [payments.large]", f"approval {approval}"]),
        ("approved", ["by anna (cli)"]),
        ("admitted", [f"approval {approval} is used up"]),
        ("returned", []),
    ]


def test_a_beginning_is_refused_where_two_requests_have_it(project: Any, guardrail: Guardrail):
    ids = [project.ask(500 + number) for number in range(17)]  # 17 ids, 16 first characters
    first = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    result = guardrail("reject", first)
    assert result.exit_code == 1
    assert "is the beginning of" in result.stderr
    assert {state_of(one)[0] for one in ids} == {"pending"}


def test_programs_get_a_document_and_say_yes_themselves(
    project: Any, guardrail: Guardrail, document: Document
):
    approval = project.ask()
    assert guardrail("approve", approval, "--json", typed="approve\n").exit_code == 2
    voted = document("approve", approval, "--as", "anna", "--yes")
    assert (voted["id"], voted["state"], voted["votes"][0]["person"]) == (approval, "approved", "anna")


def test_an_unknown_id_says_where_the_ids_are(project: Any, guardrail: Guardrail):
    result = guardrail("approve", "feed", "--yes")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "there is no approval 'feed'\nTo do: list them with `guardrail approvals --all`\n",
    )


def test_where_the_configuration_names_people_nobody_else_votes(project: Any, guardrail: Guardrail):
    approval = project.ask()
    project.configure(project.configured + "\n[people.bob]\n")
    for command in ("approve", "reject"):
        refused = guardrail(command, approval, "--as", "anna")
        assert (refused.exit_code, "anna is not one of the people" in refused.stderr) == (1, True)
    assert guardrail("approve", approval, "--as", "bob", "--yes").exit_code == 0
