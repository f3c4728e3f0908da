"""A tool reaches the host that was judged, at an address that was looked at, and no other by a redirect."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail import Guardrail
from guardrail.connecting import AsyncJudgedTransport, JudgedTransport
from guardrail.decisions import Decision, Reason
from guardrail.errors import NotJudged
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy

HOST = "api.example.com"


class Server(ThreadingHTTPServer):
    """Answers with the host that it was asked for; `/to/URL` redirects there."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.hosts.append(self.headers["Host"])
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def policy(given: PolicyInput) -> Decision:
    strange = [url["host"] for url in given.facts.urls if url["host"] not in {HOST, "other.example.com"}]
    if strange or given.facts.opaque:
        return Decision(effect="deny", reasons=(Reason(rule="host", message=f"not to {strange}"),))
    return Decision(effect="allow", reasons=(Reason(rule="ok", message="fine"),))


def to_loopback(host: str, port: int) -> list[str]:
    assert host in {HOST, "other.example.com"}
    return ["127.0.0.1"]


@pytest.fixture(name="fetch", params=["blocking", "asyncio"])
def _fetch(request: Any, tmp_path: Path) -> Any:
    """Runs a tool that fetches its URL, and then perhaps another one."""
    with Guardrail(policy=ScriptedPolicy(policy), ledger=tmp_path / "l.db") as guard:

        def fetch(url: str, *, then: str | None = None, **given: Any) -> list[int]:
            def get(url: str) -> list[int]:
                with httpx.Client(transport=JudgedTransport(**given), follow_redirects=True) as client:
                    return [client.get(each).status_code for each in (url, then) if each]

            async def get_async(url: str) -> list[int]:
                transport = AsyncJudgedTransport(**given)
                async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
                    return [(await client.get(each)).status_code for each in (url, then) if each]

            if request.param == "blocking":
                return guard.tool(get, agent="a", kinds={"url": "url"})(url)
            return asyncio.run(guard.tool(get_async, agent="a", kinds={"url": "url"})(url))

        yield fetch


def test_a_judged_url_is_reached_at_the_address_that_was_looked_at_under_its_own_name(
    fetch: Any, server: Server
):
    assert fetch(f"http://{HOST}:{server.port}/a", resolve=to_loopback, private=[HOST]) == [200]
    assert server.hosts == [f"{HOST}:{server.port}"]


def test_a_name_that_leads_into_ones_own_network_is_refused(fetch: Any, server: Server):
    with pytest.raises(
        NotJudged, match=r"leads to 127\.0\.0\.1, which is not on the public network \(loopback\)"
    ):
        fetch(f"http://{HOST}:{server.port}/a", resolve=to_loopback)
    with pytest.raises(NotJudged, match="metadata"):
        fetch(f"http://{HOST}/", resolve=lambda host, port: ["8.8.8.8", "::ffff:169.254.169.254"])
    assert server.hosts == []


def test_an_address_of_ones_own_network_is_refused_too_whatever_the_policy_says(
    tmp_path: Path, server: Server
):
    def get(url: str, private: list[str]) -> int:
        with httpx.Client(transport=JudgedTransport(private=private)) as client:
            return client.get(url).status_code

    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "l.db") as guard:
        guarded = guard.tool(get, agent="a", kinds={"url": "url"})
        with pytest.raises(NotJudged, match="which is not on the public network"):
            guarded(f"http://127.0.0.1:{server.port}/", [])
        assert guarded(f"http://127.0.0.1:{server.port}/", ["127.0.0.1"]) == 200


@pytest.mark.parametrize("host", ["evil.example.net", "169.254.169.254", "2130706433"])
def test_a_redirect_is_judged_again(fetch: Any, server: Server, host: str):
    away = f"http://{HOST}:{server.port}/to/http://{host}/"
    with pytest.raises(NotJudged, match="not where the call was allowed to go"):
        fetch(away, resolve=to_loopback, private=[HOST])
    assert len(server.hosts) == 1


def test_a_redirect_that_the_policy_allows_is_followed(fetch: Any, server: Server):
    there = f"http://other.example.com:{server.port}/b"
    url = f"http://{HOST}:{server.port}/to/{there}"
    assert fetch(url, resolve=to_loopback, private=[HOST, "other.example.com"]) == [200]
    assert server.hosts == [f"{HOST}:{server.port}", f"other.example.com:{server.port}"]


def test_what_the_tool_asks_for_besides_is_judged_too(fetch: Any, server: Server):
    with pytest.raises(NotJudged, match="not to"):
        fetch(
            f"http://{HOST}:{server.port}/a",
            then="http://evil.example.net/",
            resolve=to_loopback,
            private=[HOST],
        )


def test_an_address_that_does_not_answer_makes_room_for_the_next_one(fetch: Any, server: Server):
    found = ["127.0.0.2", "127.0.0.1"]
    assert fetch(f"http://{HOST}:{server.port}/", resolve=lambda host, port: found, private=[HOST]) == [200]


def test_nothing_is_fetched_outside_of_a_tool_or_without_a_judged_url(tmp_path: Path):
    def get(page: str) -> int:
        with httpx.Client(transport=JudgedTransport()) as client:
            return client.get(page).status_code

    with pytest.raises(NotJudged, match="not run as a guarded tool"):
        get("http://example.com/")
    with (
        Guardrail(policy=ScriptedPolicy(policy), ledger=tmp_path / "l.db") as guard,
        pytest.raises(NotJudged, match="no argument that was judged as a URL"),
    ):
        guard.tool(get, agent="a")("http://example.com/")
