"""A forked child has a ledger and an engine of its own: under a real prefork server, and under a bare fork."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail.ledger import Ledger
from guardrail.sealing import SealingKey

CONFIG = """
[policies]
paths = ["policies"]

[agents.clerk]
tools = ["local/pay"]
budgets = { calls_per_run = 30 }

[tools."local/pay"]
effect = "write"
"""

RULE = """# METADATA
# title: small amounts are fine
package guardrail.rules.amounts

allow contains {"rule": "amounts.small", "message": "a small amount"} if {
    is_number(input.arguments.amount)
    input.arguments.amount <= 10
}
"""

APPLICATION = """
import json, os, time
from guardrail import Denied, Guardrail

guard = Guardrail.from_config("guardrail.toml")
effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def pay(amount: int) -> int:
    os.write(effects, f"{amount}\\n".encode())
    time.sleep(0.05)  # so that no worker is fast enough to serve everybody
    return os.getpid()

pay_guarded = guard.tool(pay, agent="clerk")
with guard.run("warm-up"):
    pay_guarded(1)  # engine, writer thread and connections exist before the server forks

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    with guard.run("shared"):
        try:
            return [json.dumps({"pid": pay_guarded(int(environ["QUERY_STRING"]))}).encode()]
        except Denied as denied:
            return [json.dumps({"denied": denied.outcome.reasons[0].code}).encode()]
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "amounts.rego").write_text(RULE)
    (tmp_path / "application.py").write_text(APPLICATION)
    return tmp_path


@pytest.fixture(name="server")
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--threads", "4",
        "--bind", f"127.0.0.1:{port}", "application:application",
    ]  # fmt: skip
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def ask(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)  # type: ignore[no-any-return]


def test_workers_of_a_prefork_server_share_one_budget_and_one_ledger(folder: Path, server: str):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, [f"{server}?{amount % 12}" for amount in range(60)]))
    denied = [answer["denied"] for answer in answers if "denied" in answer]
    effects = (folder / "effects").read_text().split()
    # 50 of the 60 amounts are small enough; 30 of those fit the budget of the run; 1 more was the warm-up.
    assert (len(effects), sorted(set(map(str, denied)))) == (31, ["budget", "policy.silent"])
    assert len({answer["pid"] for answer in answers if "pid" in answer}) > 1
    with Ledger.open(folder / "guardrail.db", key=SealingKey.read(folder / "guardrail.key")) as ledger:
        assert ledger.verify().ok


def test_a_bare_fork_leaves_parent_and_child_each_a_working_guard(folder: Path):
    script = APPLICATION + (
        "\n"
        "child = os.fork()\n"
        "with guard.run('forked'):\n"
        "    for _ in range(5):\n"
        "        pay_guarded(2 if child else 3)\n"
        "if child:\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "guard.close()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=60, env={**os.environ})
    assert sorted((folder / "effects").read_text().split()) == ["1", *["2"] * 5, *["3"] * 5]
