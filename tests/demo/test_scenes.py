"""The scenes of the demo, one by one: what they notice, and who may decide in them."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from guardrail_langgraph.demo import folder as demo_folder
from guardrail_langgraph.demo.bank import OPENING, Bank
from guardrail_langgraph.demo.people import AScript, AtTheTerminal
from guardrail_langgraph.demo.scenes import ASKED, Scenes
from guardrail_langgraph.demo.service import Service
from guardrail_langgraph.demo.show import Show
from guardrail_langgraph.demo.stage import Setting, Stage, opened
from guardrail_langgraph.testing import ScriptedModel
from rich.console import Console

from guardrail.calls import Principal


class Unwilling(Setting):
    """A setting whose model is a real one in name, and does nothing at all."""

    def models(self):
        return dict.fromkeys(
            ("supervisor", "researcher", "payer"), ScriptedModel(script=["I would rather not."])
        )


@pytest.fixture(name="services")
def _services() -> Iterator[tuple[Service, Service]]:
    with Service() as service, Service() as collector:
        yield service, collector


@pytest.fixture(name="console")
def _console() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.fixture(name="scenes")
def _scenes(tmp_path: Path, services: tuple[Service, Service], console: Console) -> Scenes:
    service, collector = services
    addresses = {
        "127.0.0.1:8650": f"127.0.0.1:{service.port}",
        "localhost:8666": f"localhost:{collector.port}",
    }
    folder = demo_folder.make(tmp_path / "demo", replacing=addresses)
    Bank.opened(folder / "bank.db")
    setting = Setting(
        folder=str(folder),
        service=f"http://127.0.0.1:{service.port}",
        collector=f"http://localhost:{collector.port}",
    )
    return Scenes(
        setting=setting, service=service, collector=collector, approver=AScript(), show=Show(console)
    )


@pytest.fixture(name="stage")
def _stage(scenes: Scenes) -> Iterator[Stage]:
    with opened(scenes.setting) as stage:
        yield stage


def printed(console: Console) -> str:
    return console.file.getvalue()


def test_a_person_who_rejects_stops_the_payment_and_that_is_as_told(scenes, stage, console, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\nI do NOT approve\nreject\n"))
    scenes.approver = AtTheTerminal(console)
    scenes.asked(stage)
    (approval,) = stage.guard.ledger.approvals()
    assert scenes.show.differences == []
    assert (approval.state, [(vote.answer, vote.channel) for vote in approval.votes]) == (
        "rejected",
        [("reject", "terminal")],
    )
    assert scenes.setting.bank.balances() == OPENING
    assert printed(console).count("is not a vote: type the one word 'approve' or 'reject'") == 2
    assert "REJECTED (nothing was executed): send_money" in printed(console)


def test_nobody_at_the_terminal_is_no_yes(scenes, stage, console, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    scenes.approver = AtTheTerminal(console)
    scenes.asked(stage)
    (approval,) = stage.guard.ledger.approvals()
    assert (approval.state, approval.votes, scenes.setting.bank.transfers()) == ("pending", (), [])
    assert scenes.show.differences == ["a person answered: expected True, found False"]


def test_the_person_sees_the_complete_call(scenes, stage, console):
    scenes.asked(stage)
    (approval,) = stage.guard.ledger.approvals()
    shown = printed(console)
    assert '{"account":"ACC-2001","amount_cents":24000,"memo":"invoice 101"}' in shown
    assert "supervisor > payer > local/send_money" in shown
    assert (approval.id in shown, approval.digest in shown) == (True, True)
    assert stage.guard.ledger.runs()[0].principal == Principal(id="user:anna").id


def test_what_comes_out_otherwise_is_named(scenes):
    config = Path(scenes.setting.folder) / "guardrail.toml"
    config.write_text(
        config.read_text().replace(
            '"local/list_files", "local/write_file",\n  "local/http_get"',
            '"local/list_files",\n  "local/http_get"',
        )
    )
    with opened(scenes.setting) as stage:
        scenes.allowed(stage)
    assert [difference.partition(":")[0] for difference in scenes.show.differences] == [
        "the records of run 1-allowed",
        "the notes",
    ]


def test_a_model_that_follows_no_script_is_told_as_it_is(scenes, capfd):
    scenes.setting = Unwilling(**{**vars(scenes.setting), "model": "nobody:nothing"})
    with opened(scenes.setting) as stage:
        for scene in (scenes.allowed, scenes.denied, scenes.asked, scenes.halted):
            scene(stage)
    assert scenes.crashed() is False
    assert scenes.show.differences == []
    assert [(ending.run, ending.guard) for ending in scenes.endings] == [
        (run, "not tried") for run in ("1-allowed", "2-denied", ASKED, "4-halted")
    ]
    assert "the model 'nobody:nothing' cannot be used" in capfd.readouterr().err
