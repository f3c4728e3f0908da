"""A forked child has a ledger of its own, and takes nothing from its parent."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from guardrail.admission import InFlight, Settled
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from tests.ledger.lines import SQLITE, admit, admitted, call, ran, settle

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_child(work: Callable[[], None]) -> Callable[[], None]:
    """Run `work` in a forked child; the answer waits for it and fails if it failed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def wait() -> None:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0

    return wait


def test_parent_and_child_both_go_on(ledger: Ledger) -> None:
    ran(ledger, call("before"))
    assert ledger.read_run("run").position == 2

    def work() -> None:
        for number in range(20):
            ran(ledger, call(f"child-{number}"))
        assert ledger.write(admit(call("before")), alone=True) == Settled(status="returned", result=b'"ok"')
        ledger.close()

    wait = in_child(work)
    for number in range(20):
        ran(ledger, call(f"parent-{number}"))
    wait()
    assert len(ledger.calls("run")) == 41
    assert ledger.verify().ok
    assert {log.id for log in ledger.status().logs} == {1, 2}


def test_what_the_parent_runs_stays_the_parents(ledger: Ledger) -> None:
    ticket = admitted(ledger, call(1))
    later = admitted(ledger, call(2))
    ledger.write_later(settle(call(2), later))

    def work() -> None:
        assert ledger.write(admit(call(1)), alone=True) == InFlight(elsewhere=True)
        ledger.flush()
        ran(ledger, call(3))

    in_child(work)()
    assert ledger.write(settle(call(1), ticket), alone=True) == "settled"
    ledger.flush()
    kinds = [record.kind for record in ledger.records("run")]
    assert kinds.count("settled") == 3
    assert "late" not in kinds
    assert ledger.verify().ok


def test_a_child_that_dies_leaves_unknown_calls_and_an_intact_ledger(ledger: Ledger) -> None:
    def work() -> None:
        admitted(ledger, call())
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    os.waitpid(child, 0)
    assert ledger.write(admit(call()), alone=True) == Settled(status="unknown")
    assert ledger.verify().ok


def test_a_fork_amid_the_writes_of_other_threads(ledger: Ledger) -> None:
    stop = threading.Event()

    def write(name: int) -> None:
        number = 0
        while not stop.is_set():
            ran(ledger, call(f"{name}-{number}"))
            ledger.read_run("run")
            number += 1

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    waits = [
        in_child(lambda turn=turn: [ran(ledger, call(f"child-{turn}-{n}")) for n in range(5)])
        for turn in range(6)
    ]  # type: ignore[misc]
    for wait in waits:
        wait()
    stop.set()
    for thread in threads:
        thread.join()
    assert {found.state for found in ledger.calls("run")} == {"returned"}
    assert sum(found.id.startswith("cchild") for found in ledger.calls("run")) == 30
    assert ledger.verify().ok


def test_grandchildren_too(ledger: Ledger) -> None:
    ran(ledger, call("parent"))

    def child() -> None:
        in_child(lambda: ran(ledger, call("grandchild")) and None)()
        ran(ledger, call("child"))

    in_child(child)()
    assert [found.id for found in ledger.calls("run")] == ["cparent", "cgrandchild", "cchild"]
    assert ledger.verify().ok


_APP = """
import json, os
from guardrail.ledger import Ledger
from guardrail.admission import Ticket
from tests.ledger.lines import admit, admitted, call, ran

ledger = Ledger.open(os.environ["LEDGER"])
ran(ledger, call("preload"))

def app(environ, start_response):
    ran(ledger, call(environ["PATH_INFO"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def test_under_a_prefork_server_that_loads_the_application_first(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(_APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "LEDGER": str(tmp_path / "ledger.db"),
        "PYTHONPATH": f"{tmp_path}:{os.getcwd()}",
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "--workers",
        "3",
        "--bind",
        f"127.0.0.1:{port}",
        "served:app",
    ]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    _get(port, "/first")
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            workers: set[bytes] = set()
            threads = [
                threading.Thread(
                    target=lambda n=n: workers.update(_get(port, f"/{n}-{i}") for i in range(10))
                )  # type: ignore[misc]
                for n in range(6)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            server.terminate()
    assert len(workers) >= 2, log.read_text()
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        assert len(ledger.calls("run")) == 62
        assert {found.state for found in ledger.calls("run")} == {"returned"}
        assert ledger.verify().ok
        assert not any(log.held for log in ledger.status().logs)


def test_threads_that_fork_at_the_same_time(ledger: Ledger) -> None:
    def work(name: int) -> None:
        for turn in range(3):
            in_child(lambda turn=turn: ran(ledger, call(f"{name}-{turn}")) and None)()  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.calls("run")) == 12
    assert ledger.verify().ok


@SQLITE
def test_with_an_unsafe_sqlite_a_forked_child_is_refused(path: Place) -> None:
    code = """
import os, sys
sys.modules["pysqlite3"] = None
from guardrail.errors import LedgerUnavailable
from guardrail.ledger import Ledger, sqlite as connection
connection.driver.sqlite_version_info = (3, 40, 1)
from tests.ledger.lines import call, ran
ledger = Ledger.open(sys.argv[1])
ran(ledger, call(1))
if os.fork() == 0:
    for use in (lambda: ledger.read_run("run"), lambda: ran(ledger, call(2))):
        try:
            use()
        except LedgerUnavailable as error:
            print(error.message, flush=True)
    os._exit(0)
os.wait()
ran(ledger, call(3))
print(len(ledger.calls("run")), ledger.verify().ok)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    refused, refused_again, end = done.stdout.splitlines()
    assert "loses data when several processes share a ledger" in refused
    assert refused_again == refused
    assert end == "2 True"
