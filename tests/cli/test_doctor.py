"""`doctor`: in order, to be mended, or out of reach."""

import os
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail.guard import Guardrail as Guard
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver
from guardrail.opa.testing import StandIn
from guardrail.sealing import SealingKey

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

ALLOW_ALL = """package guardrail.rules.all

allow contains {"rule": "all", "message": "all"} if input.tool.name
"""


def signs(found: Any, about: str) -> list[tuple[str, str]]:
    return [(sign["state"], sign["text"]) for sign in found["signs"] if sign["about"] == about]


def test_a_project_in_order_is_healthy(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    found = document("doctor")
    assert (guardrail("doctor").exit_code, found["healthy"]) == (0, True)
    assert [sign["about"] for sign in found["signs"]] == [
        "guardrail", "configuration", "mode", "policies", "policy revision", "packages", "outputs", "ledger",
        "database", "journal", "clock", "key", "lease", "checkpoints", "adapter guardrails-ai", "adapter langgraph",
        "adapter slack",
    ]  # fmt: skip
    assert signs(found, "mode") == [("ok", "enforce")]
    assert signs(found, "journal") == [("ok", "wal")]
    assert signs(found, "adapter langgraph")[0][0] == "ok"


def test_where_packages_and_outputs_are_looked_at_is_told(project: Any, document: Document):
    file = project.folder / "guardrail.toml"
    before = file.read_text()
    assert signs(document("doctor"), "packages")[0][0] == "note"
    file.write_text(
        f'{before}\n[registry]\npypi = "https://a.example/"\n[names]\nresolve = true\n[outputs]\nchecks = ["size"]\n'
    )
    found = document("doctor")
    assert signs(found, "packages") == [("ok", "looked up in pypi")]
    assert signs(found, "names") == [("ok", "looked up within 2 s")]
    assert signs(found, "outputs") == [("ok", "checks: size")]
    file.write_text(f'{before}\n[registry]\nsnapshot = "gone"\n[outputs]\nchecks = ["sise"]\n')
    found = document("doctor")
    assert [signs(found, about)[0][0] for about in ("packages", "outputs")] == ["error", "error"]
    wrong = [
        (item["rule"], item["severity"])
        for item in document("check")["findings"]
        if item["rule"] in {"outputs", "registry"}
    ]
    assert wrong == [("outputs", "error"), ("registry", "error")]


def test_a_ledger_that_is_not_there_yet_is_not_made(project: Any, document: Document):
    assert signs(document("doctor"), "ledger")[0][0] == "note"
    assert [path.name for path in project.folder.iterdir()] == ["guardrail.toml"]


def test_the_last_checkpoint_is_named(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    assert [state for state, _ in signs(document("doctor"), "checkpoints")] == ["note"]
    guardrail("keys", "log.key", "--log", "example.com/log")
    table = '[checkpoints]\norigin = "example.com/log"\nkey = "log.key"\npublic_keys = ["log.pub"]\n'
    project.configure(f"{project.configured}{table}")
    guardrail("checkpoint")
    ((state, text),) = signs(document("doctor"), "checkpoints")
    assert (state, text.startswith("checkpoint 1, the last one, was signed at ")) == ("ok", True)
    assert [text[:5] for _, text in signs(document("doctor"), "lease")] == ["log 1"]


def test_what_needs_a_person_is_named_with_what_to_do(project: Any, guardrail: Guardrail, document: Document):
    call = project.crash()
    project.ask()
    guardrail("halt", "--agent", "payer", "--reason", "odd", "--as", "root")
    result = guardrail("doctor")
    found = document("doctor")
    assert (result.exit_code, found["healthy"]) == (1, False)
    assert signs(found, "calls") == [("error", f"1 of unknown outcome: {call} (bank/send_money)")]
    assert signs(found, "approvals") == [("note", "1 wait for a person")]
    ((state, text),) = signs(found, "halt")
    assert (state, text.startswith("agent:payer IS HALTED since "), text.endswith(" by root: odd")) == (
        "warning",
        True,
        True,
    )
    assert "To do (calls): find out whether each ran" in result.stdout


def test_observe_mode_is_a_loud_warning(project: Any, guardrail: Guardrail, document: Document):
    project.configure('mode = "observe"\n[policies]\nobserve = ["payments.large"]\n')
    assert signs(document("doctor"), "mode") == [
        ("warning", "OBSERVE MODE: NOTHING IS ENFORCED (but halts)"),
        ("warning", "the rule payments.large is in observe mode: NOT ENFORCED"),
    ]


def test_a_wrong_configuration_is_named_and_the_rest_is_looked_at(
    project: Any, guardrail: Guardrail, document: Document
):
    project.configure("modus = 1")
    found = document("doctor")
    assert guardrail("doctor").exit_code == 1
    assert signs(found, "configuration")[0][0] == "error"
    assert "did you mean 'mode'?" in signs(found, "configuration")[0][1]
    assert signs(found, "adapter langgraph")[0][0] == "ok"


def test_policies_that_may_not_decide_are_an_error(project: Any, document: Document):
    folder = project.folder / "policies"
    folder.mkdir()
    (folder / "clock.rego").write_text(
        "package guardrail.rules.clock\n\nallow contains x if x := time.now_ns()\n"
    )
    project.configure('[policies]\npaths = ["policies"]\n')
    ((state, text),) = signs(document("doctor"), "policies")
    assert state == "error"
    assert "clock.rego:3:" in text


def test_a_ledger_that_is_gone_while_its_key_is_there_is_not_begun_anew(
    project: Any, guardrail: Guardrail, document: Document
):
    project.send("bob")
    for file in project.folder.glob("guardrail.db*"):
        file.unlink()
    ((state, text),) = signs(document("doctor"), "ledger")
    assert (state, "is gone, and its key" in text) == ("down", True)
    refused = guardrail("halt", "--all")
    assert (refused.exit_code, list(project.folder.glob("guardrail.db*"))) == (4, [])


def test_a_ledger_that_is_no_database_is_down(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    (project.folder / "guardrail.db").write_bytes(b"not a database " * 100)
    for companion in ("-wal", "-shm"):
        Path(f"guardrail.db{companion}").unlink(missing_ok=True)
    assert guardrail("doctor").exit_code == 4
    assert signs(document("doctor"), "ledger")[0][0] == "down"


def test_a_lost_key_is_down(project: Any, guardrail: Guardrail):
    project.send("bob")
    (project.folder / "guardrail.key").unlink()
    assert guardrail("doctor").exit_code == 4


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_key_that_others_may_read_is_an_error(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    (project.folder / "guardrail.key").chmod(0o644)
    assert guardrail("doctor").exit_code == 1
    assert signs(document("doctor"), "key")[0][0] == "error"


def test_a_backtrace_of_the_interpreter_is_warned_of(
    project: Any, document: Document, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RUST_BACKTRACE", "1")
    assert signs(document("doctor"), "environment")[0][0] == "warning"


def test_the_policy_revision_is_the_one_that_decisions_are_recorded_under(project: Any, document: Document):
    (project.folder / "rules").mkdir()
    (project.folder / "rules" / "all.rego").write_text(ALLOW_ALL)
    project.configure('[agents.payer]\ntools = ["balance"]\n[policies]\npaths = ["rules"]\n')

    def balance() -> int:
        return 1

    with Guard.from_config() as guard:
        assert guard.tool(balance, agent="payer")() == 1
        (stored,) = [
            record.fields["revision"] for record in guard.ledger.records() if record.kind == "policy"
        ]
    assert signs(document("doctor"), "policy revision") == [("ok", stored)]


def test_a_ledger_that_is_gone_is_not_made_anew(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    file = project.folder / "guardrail.db"
    file.rename(project.folder / "away")
    [(state, text)] = signs(document("doctor"), "ledger")
    assert (state, guardrail("doctor").exit_code) == ("down", 4)
    assert "guardrail.db is gone: it was used here" in text
    assert not file.exists()


def test_a_ledger_that_can_only_be_read_is_named(project: Any, document: Document):
    project.send("bob")
    with closing(driver.connect(str(project.folder / "guardrail.db"), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        found = signs(document("doctor"), "ledger")
    assert [state for state, _ in found] == ["down", "ok"]
    assert "is locked by another process" in found[0][1]


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (timedelta(seconds=119), r"1 min \d+ s ahead of this computer's clock"),
        (timedelta(hours=3, minutes=2), r"3 h [12] min ahead of this computer's clock"),
        (timedelta(days=40), "40 days ahead of this computer's clock, too far to be believed"),
    ],
)
def test_a_clock_that_is_behind_the_last_record_is_named(
    project: Any, guardrail: Guardrail, document: Document, ahead: timedelta, said: str
):
    project.send("bob")
    assert signs(document("doctor"), "clock") == [("ok", "agrees with the last record")]
    with Ledger.open(
        project.folder / "guardrail.db", key=SealingKey.read(project.folder / "guardrail.key"),
        clock=lambda: datetime.now(UTC) + ahead,
    ) as ledger:  # fmt: skip
        ledger.halt("agent:nobody", "anna", "to be written")
    [(state, text)] = signs(document("doctor"), "clock")
    assert (state, guardrail("doctor").exit_code) == ("error", 1)
    assert re.search(f"{said}$", text)


@pytest.mark.parametrize(
    ("answers", "state", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ok", "takes them"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "error", "answers with 401"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "down", "answers with 503"),
    ],
)
def test_a_collector_is_asked(
    project: Any, document: Document, monkeypatch: pytest.MonkeyPatch, answers: bytes, state: str, said: str
):
    with StandIn(lambda _: answers) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/mine?secret=1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc")
        assert project.folder.exists()
        found = signs(document("doctor"), "collector")
    assert found == [(state, f"spans: {collector.url}/mine {said}")]
    assert [(asked.target, asked.headers["authorization"], asked.body) for asked in collector.asked] == [
        ("/mine?secret=1", "Basic abc", b"")
    ]


def test_tokens_that_cannot_be_read_are_named(project: Any, guardrail: Guardrail, document: Document):
    project.send("bob")
    (project.folder / "tokens.json").write_text("{")
    assert signs(document("doctor"), "tokens") == [
        ("error", f"{project.folder / 'tokens.json'}: these are no tokens (JSONDecodeError)")
    ]
    assert guardrail("doctor").exit_code == 1
