"""The demo's agents and tools, without the guard: what it stops would really happen."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from guardrail_langgraph.demo import folder as demo_folder
from guardrail_langgraph.demo.bank import OPENING, Bank
from guardrail_langgraph.demo.graph import PROMPTS, build_graph
from guardrail_langgraph.demo.models import scripted_models
from guardrail_langgraph.demo.script import CHECK_101, CHECK_102, PAY_101, PAY_103, Script
from guardrail_langgraph.demo.service import Service
from guardrail_langgraph.demo.tools import bank_tools, file_tools, web_tools

from guardrail.config import Config
from guardrail.patterns import tool_title


@pytest.fixture(name="service")
def _service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(name="collector")
def _collector() -> Iterator[Service]:
    with Service() as collector:
        yield collector


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    return demo_folder.make(tmp_path / "demo", replacing={})


@pytest.fixture(name="bank")
def _bank(folder: Path) -> Bank:
    return Bank.opened(folder / "bank.db")


@pytest.fixture(name="ask")
def _ask(folder: Path, bank: Bank, service: Service, collector: Service):
    url = f"http://127.0.0.1:{service.port}"
    script = Script(directory=url, collector=f"http://localhost:{collector.port}/collect")
    files = file_tools(folder)
    tools = {"researcher": [*files, *web_tools()], "payer": [files[0], *bank_tools(bank, f"{url}/receipts")]}
    graph = build_graph(scripted_models(script), tools, directory=url)

    def ask(request: str) -> str:
        return graph.invoke({"messages": [("user", request)]})["messages"][-1].text

    return ask


def test_the_researcher_reads_looks_up_and_takes_a_note(ask, folder):
    assert ask(CHECK_101) == "Invoice 101 is right: EUR 240.00 to ACC-2001. I made a note of it."
    assert "ACC-2001" in (folder / "workspace/notes/invoice-101.md").read_text()


def test_without_the_guard_the_planted_instruction_is_followed(ask, folder, collector):
    ask(CHECK_102)
    assert collector.received == [(folder / "workspace/private/salaries.csv").read_text()]


def test_the_payer_pays(ask, bank, service):
    ask(PAY_101)
    assert ask(PAY_103) == (
        'The answer to my payment was: EUR 25.00 sent to ACC-2003, transfer 2, {"receipt": 2}'
    )
    assert (bank.transfers(), service.received) == ([("ACC-2001", 240_00), ("ACC-2003", 25_00)], ["1", "2"])
    assert bank.balances() == {**OPENING, "ACC-1000": 735_00, "ACC-2001": 240_00, "ACC-2003": 25_00}


def test_a_transfer_that_cannot_be_made_moves_nothing(bank):
    for payee, cents, error in (
        ("ACC-0000", 1, "there is no account ACC-0000"),
        ("ACC-2001", 1_000_01, "CHECK constraint failed"),
        ("ACC-2001", 0, "CHECK constraint failed"),
        ("ACC-2001", -5, "CHECK constraint failed"),
    ):
        with pytest.raises((ValueError, bank.Error), match=error):
            bank.send(payee, cents, "")
    assert (bank.balances(), bank.transfers()) == (OPENING, [])


def test_every_agent_of_the_graph_has_a_boundary_and_every_tool_an_effect(folder):
    config = Config.load(folder / "guardrail.toml")
    declared = {tool_title(tool) for agent in config.agents.values() for tool in agent.tools}
    assert (set(config.agents), declared - set(config.tools)) == (set(PROMPTS), set())


def test_a_redirect_is_not_followed(collector):
    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{collector.port}/suppliers/acme-paper")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        get, _ = web_tools()
        with pytest.raises(OSError, match="302"):
            get.invoke({"url": f"http://127.0.0.1:{server.server_port}/"})


def test_only_the_web_is_fetched():
    get, _ = web_tools()
    with pytest.raises(ValueError, match="file is not spoken here"):
        get.invoke({"url": "file:///etc/hostname"})
