"""`runs` and `show`: what agents did, as a person reads it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config
from guardrail.guard import Guardrail as GuardrailOf
from guardrail.testing import ScriptedApprover, ScriptedPolicy

Guardrail = Callable[..., Result]
Document = Callable[..., Any]


def steps(call: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(step["event"], step["why"]) for step in call["steps"]]


WITHIN = "within the boundaries of every agent of the chain [boundary.within]"


def test_a_listing_names_every_run_with_its_totals(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    project.send("mallory")
    project.ask()
    (run,) = document("runs")["runs"]
    lines = guardrail("runs").stdout.splitlines()
    assert lines == [
        "RUN    STARTED                   FOR        CALLS  DENIED  ASKED  LABELS     TASK",
        f"run-1  {run['started']}  user:anna  1      1       1      untrusted  pay the bills",
    ]
    assert (run["id"], run["usage"]["calls"], run["task"]) == ("run-1", 1, "pay the bills")


def test_only_the_latest_runs_are_listed_where_that_is_asked_for(project: Any, document: Document):
    with project.guard() as guard:
        for number in range(3):
            with guard.run(f"r{number}"):
                pass
    assert [run["id"] for run in document("runs", "--last", "2")["runs"]] == ["r2", "r1"]


def test_no_runs_is_an_answer(project: Any, guardrail: Guardrail, document: Document):
    assert guardrail("runs").stdout == "No runs yet.\n"
    assert document("runs") == {"mode": "enforce", "runs": []}


def test_the_timeline_tells_call_decision_approval_and_outcome_in_order(
    project: Any, guardrail: Guardrail, document: Document
):
    project.send("bob", 5, password="hunter2")
    project.send("mallory")
    project.send("nobody")
    approval = project.ask()
    guardrail("approve", approval, "--as", "anna", "--yes", "--reason", "looks right")
    calls = document("show", "run-1")["calls"]
    allowed = [WITHIN, "the script says allow [scripted]"]
    assert [(call["state"], steps(call)) for call in calls] == [
        ("returned", [("admitted", allowed), ("returned", [])]),
        ("denied", [("denied", ["mallory is nobody's supplier [payments.stranger]"])]),
        ("raised", [("admitted", allowed), ("raised", ["ValueError: there is no such account"])]),
        (
            "asked",
            [
                ("asked", ["more than 100 [payments.large]", f"approval {approval}"]),
                ("approved", ["by anna (cli)", "looks right"]),
            ],
        ),
    ]
    first = calls[0]
    assert (first["chain"], first["tool"], first["masked"]) == (
        ["payer"],
        "bank/send_money",
        ["/login/password"],
    )
    assert first["arguments"] == {
        "amount": 5,
        "ask": {},
        "login": first["arguments"]["login"],
        "to": "bob",
    }
    shown = guardrail("show", "run-1").stdout
    assert f"payer\n  {first['reference']}  bank/send_money  returned  ran " in shown
    assert "hunter2" not in shown
    assert "hunter2" not in str(calls)


def delegated() -> None:
    """A run of an agent that has another one work for it, between two calls of its own."""
    with (
        Config.load().open_ledger() as ledger,
        GuardrailOf(policy=ScriptedPolicy("allow"), ledger=ledger) as guard,
    ):
        look = guard.tool(lambda topic: topic, agent="clerk", name="look")

        def plan(topic: str) -> str:
            return str(look(topic))

        def note(topic: str) -> None:
            raise ValueError(f"<b>{topic}</b>")

        with guard.run("run-1", task="<script>alert(1)</script>"):
            guard.tool(plan, agent="boss")("rivers")
            with pytest.raises(ValueError, match="rivers"):
                guard.tool(note, agent="boss")("rivers")


def test_a_run_is_a_tree_of_those_who_delegate_and_those_who_act(project: Any, guardrail: Guardrail):
    delegated()
    lines = guardrail("show", "run-1").stdout.splitlines()
    headings = [line for line in lines[6:] if line and "{" not in line and "Z  " not in line]
    assert [re.sub(r"call_\w+", "CALL", line).partition("  ran ")[0] for line in headings] == [
        "boss",
        "  CALL  local/plan  returned",
        "  clerk",
        "    CALL  local/look  returned",
        "boss",
        "  CALL  local/note  raised",
    ]


def test_a_run_is_written_as_a_page_that_needs_nothing_else(
    project: Any, guardrail: Guardrail, tmp_path: Path
):
    delegated()
    written = guardrail("show", "run-1", "--html", "run.html")
    assert (written.exit_code, written.output) == (0, "Wrote run.html: 3 calls.\n")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>rivers" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert re.findall(r"(?:src|href|url)\s*[=(]", page) == []
    assert re.findall(r"<section><h2>(.*?)</h2>|(</section>)", page) == [
        ("boss", ""), ("clerk", ""), ("", "</section>"), ("", "</section>"),
    ]  # fmt: skip
    missing = guardrail("show", "run-1", "--html", "nowhere/run.html")
    assert (missing.exit_code, "cannot be written" in missing.stderr) == (2, True)


def test_how_long_it_ran_and_how_long_people_took_is_told(
    project: Any, guardrail: Guardrail, document: Document
):
    project.ask()
    (call,) = document("show", "run-1")["calls"]
    assert (call["seconds_run"], call["seconds_waited"]) == (None, None)
    with project.guard("ask") as guard, guard.run("run-2"), ScriptedApprover(guard.ledger, person="anna"):
        guard.tool(lambda to: None, agent="payer", name="send_money", server="bank")("bob")
    (call,) = document("show", "run-2")["calls"]
    assert call["state"] == "returned"
    assert call["seconds_run"] >= 0
    assert 0 < call["seconds_waited"] < 60


def test_equal_secrets_show_equal_digests_and_reveal_shows_them(project: Any, document: Document):
    project.send("bob", password="hunter2")
    project.send("eve", password="hunter2")
    project.send("eve", password="other")
    hidden = [call["arguments"]["login"]["password"]["masked"] for call in document("show", "run-1")["calls"]]
    assert (hidden[0] == hidden[1], hidden[1] == hidden[2]) == (True, False)
    calls = document("show", "run-1", "--reveal")["calls"]
    assert [call["arguments"]["login"]["password"] for call in calls] == ["hunter2", "hunter2", "other"]


def test_a_call_is_shown_with_its_complete_arguments(project: Any, guardrail: Guardrail, document: Document):
    project.send("p\u0430ypal" + "x" * 3000, 7)
    (call,) = document("show", "run-1")["calls"]
    shown = guardrail("show", call["reference"]).stdout.splitlines()
    assert shown[0].startswith(f"{call['reference']}  payer  bank/send_money  returned  ran ")
    assert '  "to": "p\\u{430}ypal' + "x" * 3000 + '"' in shown
    assert '  "amount": 7' in shown
    found = document("show", call["reference"])["call"]
    name = "p\u0430ypal" + "x" * 3000
    assert (found["run"], json.loads(found["result"]), found["arguments"]["to"]) == (
        "run-1",
        f"sent 7 to {name}",
        name,
    )


def test_the_timeline_cuts_long_arguments_and_says_where_they_are(
    project: Any, guardrail: Guardrail, document: Document
):
    project.send("x" * 3000)
    (call,) = document("show", "run-1")["calls"]
    size = len(json.dumps(call["arguments"], separators=(",", ":")))
    assert f"xxx… ({size:,} bytes; guardrail show {call['reference']})" in guardrail("show", "run-1").stdout


def test_an_approval_is_shown_with_its_arguments_and_votes(
    project: Any, guardrail: Guardrail, document: Document
):
    approval = project.ask(approvers=["anna", "bob"], quorum=2)
    guardrail("approve", approval, "--as", "anna", "--yes")
    shown = guardrail("show", approval).stdout
    assert "more than 100 [payments.large]; needs 2 of anna, bob" in shown
    assert "anna: approve at " in shown
    assert '  "to": "bob"' in shown
    found = document("show", approval)["approval"]
    assert (found["state"], found["arguments"]["amount"], [vote["person"] for vote in found["votes"]]) == (
        "pending",
        500,
        ["anna"],
    )


def test_a_beginning_of_an_id_is_enough_where_no_other_begins_so(
    project: Any, guardrail: Guardrail, document: Document
):
    approval = project.ask()
    (call,) = document("show", "run-")["calls"]
    assert document("show", approval[:12])["approval"]["id"] == approval
    assert document("show", call["reference"][:12])["call"]["key"].startswith(call["reference"][5:])
    assert document("show", call["reference"][5:])["call"]["reference"] == call["reference"]


@pytest.mark.parametrize("given", ["nothing", "", "call_00000000"])
def test_an_id_that_names_nothing_is_a_no_with_a_way_on(given: str, project: Any, guardrail: Guardrail):
    project.send("bob")
    result = guardrail("show", given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "To do: " in result.stderr


def test_a_beginning_of_several_ids_is_refused_with_their_names(project: Any, guardrail: Guardrail):
    with project.guard() as guard:
        for name in ("night-1", "night-2"):
            with guard.run(name):
                pass
    result = guardrail("show", "night")
    assert (result.exit_code, result.stderr) == (
        1,
        "'night' is the beginning of 2 ids: night-1, night-2\nTo do: give more of the id\n",
    )


def test_a_call_whose_process_died_reads_unknown(project: Any, guardrail: Guardrail, document: Document):
    call = project.crash()
    (told,) = document("show", "crashed")["calls"]
    assert (told["reference"], told["state"], [event for event, _ in steps(told)]) == (
        call,
        "unknown",
        ["admitted"],
    )
    assert f"payer\n  {call}  bank/send_money  unknown\n" in guardrail("show", "crashed").stdout


def test_words_of_agents_cannot_steer_the_terminal(project: Any, guardrail: Guardrail):
    with (
        project.guard() as guard,
        guard.run("run-1", principal="user:\x1b[2J", task="[bold]x[/bold]\n\u202e"),
    ):
        pass
    assert "user:\\u{1b}[2J" in guardrail("runs").stdout
    assert "[bold]x[/bold]\\u{a}\\u{202e}" in guardrail("runs").stdout


@pytest.mark.parametrize(
    "listing", [("runs",), ("show", "run-1"), ("approvals",), ("halt", "--list"), ("doctor",)]
)
def test_observe_mode_is_said_loudly(listing: tuple[str, ...], project: Any, guardrail: Guardrail):
    project.configure('mode = "observe"' + (project.folder / "guardrail.toml").read_text())
    project.send("mallory")
    assert guardrail(*listing).stdout.startswith("OBSERVE MODE: decisions are recorded, NOTHING IS ENFORCED")


def test_what_was_only_observed_says_so_in_the_timeline(
    project: Any, guardrail: Guardrail, document: Document
):
    project.configure('mode = "observe"' + (project.folder / "guardrail.toml").read_text())
    assert project.send("mallory") == "sent 1 to mallory"
    (call,) = document("show", "run-1")["calls"]
    assert [(step["event"], step["observed"], step["why"]) for step in call["steps"]] == [
        (
            "admitted",
            True,
            ["OBSERVE MODE, not enforced: deny", "mallory is nobody's supplier [payments.stranger]"],
        ),
        ("returned", False, []),
    ]
    assert document("runs")["mode"] == "observe"


def test_a_ledger_without_its_key_is_not_read(project: Any, guardrail: Guardrail):
    project.send("bob")
    Config.load().key_path.unlink()
    result = guardrail("runs")
    assert result.exit_code == 4
    assert "To do: restore the file" in result.stderr
