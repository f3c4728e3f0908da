"""One service, many clients: whoever waits, or meets a slow database, holds up nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from guardrail.calls import Agent, Call
from guardrail.guard import Guardrail
from guardrail.ledger.sqlite import SqliteDatabase
from guardrail.service.proposals import Proposal, Proposals
from tests.service.clients import SEND, configure, proposal, settled
from tests.service.conftest import Deployment


def propose(client: httpx.Client, *arguments: Any, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/calls", json=proposal(*arguments, **fields)).json()
    return answer


def test_a_call_that_another_instance_runs_is_told_as_running_at_once(deployment: Deployment) -> None:
    token = configure(deployment)
    with deployment.serve().client(token) as here, deployment.serve().client(token) as there:
        call = propose(here)
        told = propose(there)
        assert (told["state"], told["call"], told["retry_after"], told["lease"]) == (
            "running", call["call"], 1, None,
        )  # fmt: skip
        assert told["text"].startswith("RUNNING elsewhere (not started a second time): balance")
        told = propose(there, wait=0.5)
        assert told["state"] == "running"
        settled(here, call, result=7)
        assert (propose(there)["state"], propose(there)["result"]) == ("returned", 7)


def test_whoever_waits_for_a_call_that_another_instance_runs_gets_its_result(deployment: Deployment) -> None:
    token = configure(deployment)
    here, there = deployment.serve(), deployment.serve()
    with here.client(token) as client, there.client(token) as other, ThreadPoolExecutor(2) as pool:
        call = propose(client)
        waiting = [pool.submit(propose, who, wait=30) for who in (client, other)]
        settled(client, call, result=7)
        assert [(answer.result()["state"], answer.result()["result"]) for answer in waiting] == [
            ("returned", 7), ("returned", 7),
        ]  # fmt: skip


def test_a_call_that_an_obligation_makes_equal_to_one_in_flight_is_told_as_running(
    deployment: Deployment,
) -> None:
    token = configure(deployment)
    with deployment.serve().client(token) as client:
        call = propose(client, tool=SEND, arguments={"amount": 100})
        told = propose(client, tool=SEND, arguments={"amount": 101})
        assert (call["state"], told["state"], told["call"]) == ("admitted", "running", call["call"])
        settled(client, call, result="sent")
        assert propose(client, tool=SEND, arguments={"amount": 101})["result"] == "sent"


def test_whoever_waits_leaves_room_for_what_is_to_be_decided(deployment: Deployment) -> None:
    token = configure(deployment)
    path = deployment.folder / "guardrail.toml"
    path.write_text(path.read_text().replace("[serve]\n", "[serve]\nconnections = 6\n"))
    service = deployment.serve()
    limits = httpx.Limits(max_keepalive_connections=0)
    with service.client(token, limits=limits) as client, ThreadPoolExecutor(5) as pool:
        told: list[Future[dict[str, Any]]] = [
            pool.submit(propose, client, "pay", call=str(number), arguments={"to": number}, wait=30)
            for number in range(5)
        ]
        while sum(answer.done() for answer in told) < 2:  # there are three places to wait
            time.sleep(0.01)
        early = [answer.result() for answer in told if answer.done()]
        assert [(answer["state"], answer["retry_after"]) for answer in early] == [("waiting", 5)] * 2
        decided = propose(client, call="now")
        assert (decided["state"], settled(client, decided, result=1).json()["state"]) == (
            "admitted",
            "returned",
        )
        assert sum(answer.done() for answer in told) == 2
        with service.client(deployment.token("ben"), limits=limits) as person:
            for request in person.get("/v1/requests").json()["requests"]:
                person.post(f"/v1/requests/{request['id']}/votes", json={"answer": "approve"})
        states = sorted(answer.result()["state"] for answer in told)
    assert states == ["admitted"] * 3 + ["waiting"] * 2


def test_nothing_is_admitted_for_a_client_that_has_gone(deployment: Deployment) -> None:
    token = configure(deployment)
    service = deployment.serve()
    with service.client(token) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/calls", json=proposal("pay", wait=60), timeout=0.5)
        with service.client(deployment.token("ben")) as person:
            [request] = person.get("/v1/requests").json()["requests"]
            until_logged(service.log_path, "/v1/calls")
            person.post(f"/v1/requests/{request['id']}/votes", json={"answer": "approve"})
        assert propose(client, "pay")["state"] == "admitted"  # nobody else has it


def until_logged(path: Any, route: str) -> None:
    while f'"route": "{route}"' not in path.read_text():
        time.sleep(0.01)


@contextmanager
def locked(deployment: Deployment) -> Generator[None]:
    """Another process is writing, and does not come to an end."""
    with closing(sqlite3.connect(deployment.config.ledger_path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_database_that_does_not_answer_holds_up_no_request_that_needs_none(deployment: Deployment) -> None:
    token = configure(deployment)
    service = deployment.serve()
    with service.client(token) as client, service.client() as other, ThreadPoolExecutor(2) as pool:
        call = propose(client, call="0")
        with locked(deployment):
            proposed = pool.submit(propose, client, call="1")
            ended = pool.submit(settled, client, call, result=1)
            for _ in range(20):
                assert other.get("/health").status_code == 200
                assert (proposed.done(), ended.done()) == (False, False)
        assert (proposed.result()["state"], ended.result().json()["state"]) == ("admitted", "returned")


def test_the_thread_that_serves_others_reads_nothing_from_the_database(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(deployment)
    read: set[int] = set()
    reading = SqliteDatabase.reading

    def watched(self: SqliteDatabase, *, quick: bool = False) -> Any:
        read.add(threading.get_ident())
        return reading(self, quick=quick)

    async def walk(guard: Guardrail) -> None:
        proposals = Proposals(guard, mark=lambda text: f"{hash(text):032x}"[:32], lease=30, places=1)
        tool = guard.tool_definition(name="balance", server="bank")
        for number in range(3):
            call = Call.of({}, run="r", id=str(number), tool=tool, agent=Agent(id="payer"))
            asked = Proposal(call=call, client="c", attempt="", validate=dict)
            leased = await proposals.propose(asked, wait=1, gone=stays)
            assert not hasattr(leased, "status"), leased
        await proposals.close()

    async def stays() -> bool:
        return False

    with deployment.guard() as guard:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteDatabase, "reading", watched)
            asyncio.run(walk(guard))
        assert [call.state for call in guard.ledger.calls("r")] == ["unknown"] * 3
    assert read != set()
    assert threading.get_ident() not in read


def test_an_outcome_that_could_not_be_written_is_said_again_and_counts(deployment: Deployment) -> None:
    token = configure(deployment)
    with deployment.serve().client(token) as client:
        call = propose(client)
        with closing(sqlite3.connect(deployment.config.ledger_path, isolation_level=None)) as disk:
            disk.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON records WHEN NEW.kind = 'settled' "
                "BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
            assert settled(client, call, result=7).status_code == 503
            disk.execute("DROP TRIGGER broken")
        said = settled(client, call, result=7)
        assert (said.status_code, said.json()["state"]) == (200, "returned")
        assert propose(client)["state"] == "not_kept"
