"""The service as processes: real sockets, real signals, several instances, kills."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail.tokens import Tokens
from tests.servers import somewhere
from tests.service.conftest import CONFIG, Deployment, environment

ROOT = Path(__file__).parents[2]


def test_it_stops_gracefully_finishes_what_it_answers_and_logs_no_secret(deployment: Deployment) -> None:
    deployment.configure(grants=True)
    number = deployment.ask(to="bob-the-secret-recipient")
    token = deployment.token("ben")
    service = deployment.serve()
    with service.client(token) as client:
        assert client.get("/ready").status_code == 200
        assert client.get(f"/v1/requests/{number}?token={token}").status_code == 200
        assert client.get(f"/{token}").status_code == 404
        voted = client.post(
            f"/v1/requests/{number}/votes", json={"answer": "approve", "reason": "a-secret-reason"}
        )
        assert voted.json()["state"] == "approved"
        unfinished = socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0))
        unfinished.sendall(b"POST /v1/halts HTTP/1.1\r\nHost: x\r\n")
        assert service.stop() == 0
        unfinished.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/health")
    text = service.log_path.read_text()
    assert [word for word in (token, token.rpartition("_")[2], "secret") if word in text] == []
    assert [line["event"] for line in service.log if line["event"] != "request"] == [
        "listening", "started", "voted", "stopped"
    ]  # fmt: skip
    assert deployment.send(to="bob-the-secret-recipient") == "paid 1"


def test_a_client_that_is_slow_or_sends_too_much_is_cut_off(deployment: Deployment) -> None:
    service = deployment.serve()
    address = ("127.0.0.1", httpx.URL(service.url).port or 0)
    head = b"POST /v1/halts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(address) as slow:
        slow.sendall(head + b"Content-Length: 20\r\n\r\n{")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    with socket.create_connection(address) as large:
        large.sendall(head + b"Content-Length: 65537\r\n\r\n")
        assert large.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(address) as chunked:
        chunked.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        chunked.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n" + b"1\r\nx\r\n")
        assert chunked.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(address) as crooked:
        crooked.sendall(head + b"Content-Length: -1\r\n\r\n")
        assert crooked.recv(100).startswith(b"HTTP/1.1 4")
    assert service.stop() == 0


def test_clients_that_say_nothing_shut_nobody_out(deployment: Deployment) -> None:
    deployment.configure(CONFIG.replace("[serve]\n", "[serve]\nconnections = 5\n"))
    service = deployment.serve()
    address = ("127.0.0.1", httpx.URL(service.url).port or 0)
    with ExitStack() as opened:
        said = [
            b"",
            b"",
            b"G",
            b"GET / HTTP/1.1\r\nHost",
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he",
            b"",
        ]
        silent = [opened.enter_context(socket.create_connection(address)) for _ in said]
        for client, beginning in zip(silent, said, strict=True):
            client.settimeout(30)
            client.sendall(beginning)
        for client in silent:
            while client.recv(1_000):  # until the service closes it
                pass
        assert httpx.get(f"{service.url}/health").status_code == 200
    assert service.stop() == 0


def test_a_second_service_at_the_same_address_and_tokens_in_the_clear_are_refused(
    deployment: Deployment,
) -> None:
    def refused(*arguments: str) -> tuple[int, str]:
        done = deployment.command("serve", *arguments)
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = refused("--port", str(taken.getsockname()[1]))
    assert (code, "cannot be listened at" in said) == (2, True)
    code, said = refused("--host", "0.0.0.0")
    assert (code, "tokens would travel in the clear" in said) == (2, True)
    gone = 'certificate = "gone.pem"\ncertificate_key = "gone.key"\n'
    deployment.configure(CONFIG.replace("[serve]\n", f"[serve]\n{gone}"))
    code, said = refused()
    assert (code, len(said.splitlines()), "cannot be used for TLS" in said) == (2, 2, True), said
    deployment.configure(CONFIG + '[approvals]\ngrants = "required"\npublic_keys = ["service.pub"]\n')
    code, said = refused()
    assert (code, "names no signing_key" in said) == (2, True)


def test_eight_approvers_at_two_instances_make_one_decision(deployment: Deployment) -> None:
    people = [f"person-{n}" for n in range(8)]
    deployment.configure(CONFIG + "".join(f"[people.{person}]\n" for person in people))
    number = deployment.ask()
    services = [deployment.serve(), deployment.serve()]
    clients = [services[n % 2].client(deployment.token(person)) for n, person in enumerate(people)]

    def vote(client: httpx.Client) -> tuple[int, str]:
        answer = client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"})
        return answer.status_code, answer.text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(vote, clients))
    shown = clients[0].get(f"/v1/requests/{number}").json()
    for client in clients:
        client.close()
    assert Counter(status for status, _ in answers) == {200: 1, 409: 7}
    assert all("is already approved by person-" in text for status, text in answers if status == 409)
    assert (shown["state"], len(shown["votes"])) == ("approved", 1)


def test_commands_of_the_service(deployment: Deployment) -> None:
    def ran(*arguments: str) -> tuple[int, str]:
        done = deployment.command(*arguments)
        return done.returncode, done.stdout + done.stderr

    tokens: Any = Tokens(deployment.folder / "tokens.json")
    code, said = ran("token", "ben", "--days", "7")
    assert (code, tokens.person(said.split()[0])) == (0, "ben")
    code, said = ran("token", "--list")
    assert (code, tokens.all()[0].id in said, tokens.all()[0].digest in said) == (0, True, False)
    assert ran("token", "--revoke", tokens.all()[0].id)[0] == 0
    assert ran("token", "--list")[1] == "No tokens.\n"
    assert ran("token", "nobody")[0] == 1
    assert ran("token")[0] == 2
    deployment.configure(CONFIG + '[clients.billing]\nagents = ["payer"]\n')
    code, said = ran("token", "billing")
    assert (code, "billing is a program: say --client" in said) == (2, True)
    code, said = ran("keys", "new.key")
    assert (code, (deployment.folder / "new.key").stat().st_mode & 0o777) == (0, 0o600)
    assert ran("keys", "new.key")[0] == 2
    assert ran("keys")[0] == 2
    assert ran("resume") == (2, ran("resume")[1])


GRAPH = CONFIG.replace('"bank/pay"]', '"pay"]').replace('[tools."bank/pay"]', "[tools.pay]")


@pytest.fixture(name="resuming", params=["sqlite", "postgres"])
def _resuming(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment in which suspended runs go on, on both databases."""
    with somewhere(request.param) as place:
        deployment = Deployment(tmp_path, place)
        deployment.configure()
        yield deployment
        deployment.close()


def suspended(deployment: Deployment, *, grants: bool = False) -> list[str]:
    """A LangGraph thread of another process that waits for people at two calls; answers the requests' ids."""
    deployment.configure(GRAPH + '[resume]\ncallable = "tests.service.graph:resume"\n', grants=False)
    if grants:
        deployment.require_grants()
    command = [sys.executable, "-m", "tests.service.graph", str(deployment.folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    with deployment.config.open_ledger() as ledger:
        return [request.id for request in ledger.approvals("pending")]


def comes_to(deployment: Deployment, *effects: str) -> None:
    deadline = time.monotonic() + 60
    while sorted(deployment.effects) != list(effects):
        assert time.monotonic() < deadline, (deployment.effects, deployment.instances[0].log)
        time.sleep(0.05)


def test_a_suspended_graph_goes_on_in_the_service_once_people_have_decided(resuming: Deployment) -> None:
    first, second = suspended(resuming)
    service = resuming.serve(path=ROOT)
    with service.client(resuming.token("ben")) as client:
        client.post(f"/v1/requests/{first}/votes", json={"answer": "approve"})
        while len(resuming.effects) != 1:
            time.sleep(0.05)
        client.post(f"/v1/requests/{second}/votes", json={"answer": "approve"})
        comes_to(resuming, "1", "2")
    assert service.stop() == 0


def test_where_grants_are_required_the_graph_goes_on_beside_the_agents_and_not_beside_the_key(
    resuming: Deployment,
) -> None:
    requests = suspended(resuming, grants=True)
    service = resuming.serve(path=ROOT)
    with service.client(resuming.token("ben")) as client:
        for number in requests:
            client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"})
        time.sleep(1.0)
        assert resuming.effects == []
        done = resuming.command("resume", path=ROOT)
        assert (done.returncode, done.stdout.count("Resumed run thread-1")) == (0, 1), done.stderr
        assert sorted(resuming.effects) == ["1", "2"]
        assert resuming.command("resume", path=ROOT).stdout == "Nothing that is decided waits.\n"
    assert service.stop() == 0


@contextmanager
def watching(deployment: Deployment, path: Path | None = None) -> Generator[subprocess.Popen[bytes]]:
    """`guardrail resume --watch`, killed at the end if it has not ended by then."""
    command = [sys.executable, "-m", "guardrail.cli", "resume", "--watch"]
    with subprocess.Popen(command, cwd=deployment.folder, env=environment(path)) as watcher:
        try:
            yield watcher
        finally:
            watcher.kill()


def test_a_watcher_resumes_as_decisions_come(resuming: Deployment) -> None:
    requests = suspended(resuming, grants=True)
    service = resuming.serve(path=ROOT)
    with watching(resuming, ROOT) as watcher:
        with service.client(resuming.token("ben")) as client:
            for number in requests:
                client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"})
        comes_to(resuming, "1", "2")
        watcher.terminate()
        assert watcher.wait(30) == 0


STOPPING = """
import signal, threading

def resume(approval):
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
"""


def test_a_watcher_stops_whichever_of_its_threads_the_signal_comes_to(resuming: Deployment) -> None:
    (resuming.folder / "stopping.py").write_text(STOPPING)
    resuming.configure(CONFIG + '[resume]\ncallable = "stopping:resume"\n', grants=True)
    number = resuming.ask()
    service = resuming.serve()
    with service.client(resuming.token("ben")) as client:
        assert client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"}).status_code == 200
    with watching(resuming) as watcher:
        assert watcher.wait(60) == 0
