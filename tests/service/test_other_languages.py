"""The clients of `examples/clients`, in Node and in Go: processes that pay, over a real service; a file says what."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from guardrail.tokens import Tokens
from tests.service.conftest import Deployment, Instance

EXAMPLE = Path(__file__).parents[2] / "examples" / "clients"
SERVE = '\n[serve]\nport = PORT\nlease = "3s"\n'
"""Long enough for a machine that is busy; short, since tests wait until it is over."""


def absent(why: str) -> Any:
    """Skip, or fail where the programs have to be there."""
    if os.environ.get("GUARDRAIL_NEEDS_CLIENTS") == "1":
        pytest.fail(why)
    pytest.skip(why)


def node(_: Path) -> list[str]:
    found = shutil.which("node")
    if found is None:
        absent("there is no node on PATH")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.findall(r"\d+", version)[0]) < 20:
        absent(f"node {version.strip()} is older than the example needs (20)")
    return [found, str(EXAMPLE / "node" / "pay.mjs")]


def go(folder: Path) -> list[str]:
    if shutil.which("go") is None:
        absent("there is no go on PATH")
    program = folder / "pay"
    settings = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-buildvcs=false"}
    for command in (("vet", "."), ("build", "-o", str(program), ".")):
        done = subprocess.run(
            ["go", *command], cwd=EXAMPLE / "go", env=settings, capture_output=True, text=True, check=False
        )
        if "go.mod requires go" in done.stderr:
            absent(done.stderr)
        assert done.returncode == 0, done.stderr
    return [str(program)]


@pytest.fixture(name="program", scope="module", params=[node, go], ids=["node", "go"])
def _program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How one of the two is started."""
    command: list[str] = request.param(tmp_path_factory.mktemp("program"))
    return command


class Bank:
    """A service that answers one client, and what that has paid."""

    def __init__(self, folder: Path, program: list[str] | None = None) -> None:
        shutil.copytree(EXAMPLE / "policies", folder / "policies")
        self.deployment = Deployment(folder)
        self.token = Tokens(folder / "tokens.json").create("billing", kind="client")
        self.person = self.deployment.token("ben")
        self.program = program or []
        self.serve()

    def serve(self, port: int = 0) -> None:
        text = (EXAMPLE / "guardrail.toml").read_text() + SERVE.replace("PORT", str(port))
        (self.deployment.folder / "guardrail.toml").write_text(text)
        self.service: Instance = self.deployment.serve()

    @contextmanager
    def paying(self, invoice: Invoice, amount: int, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """The client, while it pays; killed at the end if it has not ended by then."""
        environment = {
            **os.environ, "GUARDRAIL_URL": self.service.url, "GUARDRAIL_TOKEN": self.token,
            "GUARDRAIL_PATIENCE": "90", "PAYMENTS": str(invoice.path), **settings,
        }  # fmt: skip
        with subprocess.Popen(
            [*self.program, invoice.name, str(amount), "bob"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ) as client:  # fmt: skip
            try:
                yield client
            finally:
                client.kill()

    def pay(self, invoice: Invoice, amount: int, **settings: str) -> tuple[int, str]:
        with self.paying(invoice, amount, **settings) as client:
            return ended(client)

    def people(self, invoice: Invoice, answer: str) -> None:
        """Answer the request of an invoice, once there is one."""
        with self.service.client(self.person) as client:

            def asked() -> list[str]:
                waiting = client.get("/v1/requests").json()["requests"]
                return [request["id"] for request in waiting if request["run"] == f"invoice-{invoice.name}"]

            until(asked)
            voted = client.post(f"/v1/requests/{asked()[0]}/votes", json={"answer": answer})
            assert voted.status_code == 200, voted.text

    def calls(self, invoice: Invoice) -> list[tuple[str, str]]:
        """References and states of an invoice's calls."""
        with self.deployment.config.open_ledger() as ledger:
            return [(call.reference, call.state) for call in ledger.calls(f"invoice-{invoice.name}")]

    def admitted(self, invoice: Invoice) -> None:
        """Wait until a call is."""
        until(lambda: "started" in dict(self.calls(invoice)).values())

    def renewals(self) -> int:
        route = "/v1/calls/{reference}/lease"
        return sum(line.get("route") == route and line["status"] == 200 for line in self.service.log)


class Invoice:
    """What is to be paid, once, and the file in which payments of it stand; a pipe, where the bank takes its time."""

    def __init__(self, folder: Path, *, slow: bool = False) -> None:
        self.name = uuid.uuid4().hex
        self.path = folder / self.name
        if slow:
            os.mkfifo(self.path)

    @property
    def payments(self) -> list[str]:
        """Payments so far; of a slow bank: the next one, which waited for this."""
        return self.path.read_text().splitlines() if self.path.exists() else []


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(client: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and the first line of what it says."""
    said, wrong = client.communicate(timeout=90)
    return client.returncode, (said or wrong).partition("\n")[0]


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    bank = Bank(tmp_path_factory.mktemp("bank"))
    yield bank
    bank.deployment.close()


@pytest.fixture(name="bank")
def _bank(served: Bank, program: list[str]) -> Bank:
    served.program = program
    return served


def test_what_is_admitted_runs_once_however_often_it_is_asked_for(bank: Bank, tmp_path: Path) -> None:
    invoice = Invoice(tmp_path)
    assert [bank.pay(invoice, 7) for _ in range(2)] == [(0, 'returned {"paid":7}')] * 2
    assert (invoice.payments, [state for _, state in bank.calls(invoice)]) == (["7 to bob"], ["returned"])


def test_what_is_denied_does_not_run(bank: Bank, tmp_path: Path) -> None:
    invoice = Invoice(tmp_path)
    assert bank.pay(invoice, 5000) == (
        1, "denied DENIED (nothing was executed): pay amount=5000 to=bob"
    )  # fmt: skip
    assert invoice.payments == []


def test_an_invoice_is_not_paid_again_with_another_amount_nor_by_one_below_0(
    bank: Bank, tmp_path: Path
) -> None:
    invoice = Invoice(tmp_path)
    assert bank.pay(invoice, -7)[0] in (1, 2)
    assert bank.pay(invoice, 7) == (0, 'returned {"paid":7}')
    assert bank.pay(invoice, 8) == (1, "denied DENIED (nothing was executed): pay amount=8 to=bob")
    assert invoice.payments == ["7 to bob"]


@pytest.mark.parametrize(
    ("answer", "said", "payments"),
    [
        ("approve", (0, 'returned {"paid":500}'), ["500 to bob"]),
        ("reject", (1, "rejected REJECTED (nothing was executed): pay amount=500 to=bob"), []),
    ],
)
def test_people_who_are_asked_decide_while_the_client_waits(
    bank: Bank, tmp_path: Path, answer: str, said: tuple[int, str], payments: list[str]
) -> None:
    invoice = Invoice(tmp_path)
    with bank.paying(invoice, 500) as client:
        bank.people(invoice, answer)
        assert ended(client) == said
    assert invoice.payments == payments


def test_who_has_waited_long_enough_is_told_so_and_may_ask_again_later(bank: Bank, tmp_path: Path) -> None:
    invoice = Invoice(tmp_path)
    code, said = bank.pay(invoice, 500, GUARDRAIL_PATIENCE="0.1")
    assert (code, said) == (
        1,
        "waiting WAITING for a person (nothing was executed yet): pay amount=500 to=bob",
    )
    bank.people(invoice, "approve")
    assert bank.pay(invoice, 500) == (0, 'returned {"paid":500}')
    assert invoice.payments == ["500 to bob"]


def test_two_clients_with_one_key_at_once_pay_once_and_both_hear_of_it(bank: Bank, tmp_path: Path) -> None:
    invoice = Invoice(tmp_path, slow=True)
    with bank.paying(invoice, 7) as one, bank.paying(invoice, 7) as other:
        bank.admitted(invoice)
        assert invoice.payments == ["7 to bob"]
        assert [ended(one), ended(other)] == [
            (0, 'returned {"paid":7}')
        ] * 2  # a second payment would wait for ever


def test_a_lease_is_renewed_for_as_long_as_the_tool_runs(bank: Bank, tmp_path: Path) -> None:
    invoice, before = Invoice(tmp_path, slow=True), bank.renewals()
    with bank.paying(invoice, 7) as client:
        until(lambda: bank.renewals() >= before + 4)  # one comes every third of a lease
        assert invoice.payments == ["7 to bob"]
        assert ended(client) == (0, 'returned {"paid":7}')


def test_after_a_kill_the_same_key_tells_what_became_of_it_and_pays_nothing(
    bank: Bank, tmp_path: Path
) -> None:
    invoice = Invoice(tmp_path, slow=True)
    with bank.paying(invoice, 7) as client:
        bank.admitted(invoice)
        client.send_signal(signal.SIGKILL)
        client.wait(30)
    assert bank.pay(invoice, 7) == (
        1, "unknown UNKNOWN OUTCOME (started, its end was not seen; it was not run again): pay amount=7 to=bob",
    )  # fmt: skip
    ((reference, state),) = bank.calls(invoice)
    assert state == "unknown"
    done = bank.deployment.command("settle", reference, "--did-not-run")
    assert done.returncode == 0, done.stderr
    with bank.paying(invoice, 7) as client:
        bank.admitted(invoice)
        assert invoice.payments == ["7 to bob"]
        assert ended(client) == (0, 'returned {"paid":7}')


def test_what_ran_while_the_service_was_started_anew_is_settled_with_the_new_one(
    program: list[str], tmp_path: Path
) -> None:
    bank = Bank(tmp_path, program)
    invoice = Invoice(tmp_path, slow=True)
    try:
        with bank.paying(invoice, 7) as client:
            bank.admitted(invoice)
            bank.service.kill()
            assert invoice.payments == ["7 to bob"]
            bank.serve(httpx.URL(bank.service.url).port or 0)
            told = "not_kept RESULT NOT KEPT (ran before; it was not run again): pay amount=7 to=bob"
            assert ended(client) == (1, told)
        assert bank.pay(invoice, 7) == (1, told)
        assert [state for _, state in bank.calls(invoice)] == ["returned"]
    finally:
        bank.deployment.close()


class _Forgetful(BaseHTTPRequestHandler):
    """Passes requests on, and hangs up in place of the first answer to each path."""

    def __init__(self, service: str, heard: list[str], *arguments: Any) -> None:
        self._service = service
        self._heard = heard
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        answer = httpx.post(self._service + self.path, content=body, headers=headers, timeout=60)
        self._heard.append(self.path)
        self.close_connection = True
        if self._heard.count(self.path) > 1:
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


def test_answers_that_are_lost_cost_nothing(bank: Bank, tmp_path: Path) -> None:
    invoice, heard = Invoice(tmp_path), list[str]()
    handler = functools.partial(_Forgetful, bank.service.url, heard)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as between:
        Thread(target=between.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{between.server_port}"
            assert bank.pay(invoice, 7, GUARDRAIL_URL=url) == (0, 'returned {"paid":7}')
        finally:
            between.shutdown()
    ((reference, _),) = bank.calls(invoice)
    outcome = f"/v1/calls/{reference}/outcome"
    assert heard == ["/v1/calls", "/v1/calls", outcome, outcome, "/v1/calls"]
    assert invoice.payments == ["7 to bob"]


def test_what_cannot_be_asked_for_does_not_run(bank: Bank, tmp_path: Path) -> None:
    invoice = Invoice(tmp_path)
    assert bank.pay(invoice, 7, GUARDRAIL_URL="http://127.0.0.1:1", GUARDRAIL_PATIENCE="0.3")[0] == 4
    assert bank.pay(invoice, 7, GUARDRAIL_TOKEN=bank.person)[0] == 2
    assert invoice.payments == []


def test_a_tool_that_cannot_start_gives_back_what_it_would_have_spent(bank: Bank, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "payments")
    invoice = Invoice(tmp_path)
    code, said = bank.pay(invoice, 7, PAYMENTS=missing)
    assert (code, said.split()[0]) == (1, "blocked")
    assert bank.pay(invoice, 7) == (0, 'returned {"paid":7}')


def test_the_examples_are_written_as_their_languages_are(tmp_path: Path) -> None:
    if shutil.which("gofmt") is None:
        absent("there is no gofmt on PATH")
    done = subprocess.run(["gofmt", "-l", EXAMPLE / "go"], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_readme_names_both_commands() -> None:
    text = (EXAMPLE / "README.md").read_text()
    assert [command in text for command in ("node node/pay.mjs", "go run .")] == [True, True]
