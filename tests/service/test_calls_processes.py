"""What becomes of calls that were leased when the service, or whoever runs the tool, goes away: real processes."""

from __future__ import annotations

from typing import Any

import httpx

from tests.service.clients import configure, proposal, settled
from tests.service.conftest import Deployment, Instance


def admitted(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/calls", json=proposal(**fields)).json()
    assert answer["state"] == "admitted", answer
    return answer


def state(deployment: Deployment, reference: str) -> str:
    with deployment.guard() as guard:
        assert guard.ledger.verify().ok
        return guard.ledger.call(reference).state


def test_a_lease_that_runs_out_leaves_the_call_unknown_until_somebody_says_how_it_ended(
    deployment: Deployment,
) -> None:
    token = configure(deployment, lease="500ms")
    with deployment.serve().client(token) as client:
        call = admitted(client)
        while (again := client.post("/v1/calls", json=proposal()).json())["state"] == "running":
            pass
        assert (again["state"], again["text"].splitlines()[0]) == (
            "unknown", "UNKNOWN OUTCOME (started, its end was not seen; it was not run again): balance",
        )  # fmt: skip
        assert settled(client, call, how="did_not_run").json()["state"] == "blocked"
        other = admitted(client, call="2")
        while client.post("/v1/calls", json=proposal(call="2")).json()["state"] == "running":
            pass
        assert settled(client, other, result=7).json()["state"] == "returned"
        assert client.post("/v1/calls", json=proposal(call="2")).json()["state"] == "not_kept"


def test_calls_that_a_killed_service_had_leased_are_settled_with_another_instance(
    deployment: Deployment,
) -> None:
    token = configure(deployment)
    first = deployment.serve()
    with first.client(token) as client:
        calls = [admitted(client, call=str(number)) for number in range(3)]
    first.kill()
    with deployment.serve().client(token) as client:
        for call, how in zip(calls, ("returned", "did_not_run", "raised"), strict=True):
            assert settled(client, {**call, "lease": "0" * 48}, how=how).status_code == 409
            said = settled(client, call, how=how).json()
            state_now = "blocked" if how == "did_not_run" else "returned"
            assert (said["state"], said["result"], said["repeated"]) == (state_now, None, True)
        assert [client.post("/v1/calls", json=proposal(call=str(number))).json()["state"] for number in (0, 2)] == [
            "not_kept", "not_kept",
        ]  # fmt: skip


def test_a_call_is_settled_with_the_instance_that_leased_it(deployment: Deployment) -> None:
    token = configure(deployment)
    here, there = deployment.serve(), deployment.serve()
    with here.client(token) as client, there.client(token) as other:
        call = admitted(client)
        assert settled(other, call).status_code == 409
        assert other.post("/v1/calls", json=proposal(attempt="x", call="9")).json()["state"] == "admitted"
        assert settled(client, call, result="here").json()["result"] == "here"
        assert other.post("/v1/calls", json=proposal()).json()["result"] == "here"


def test_a_service_that_is_told_to_stop_cuts_what_it_has_leased(deployment: Deployment) -> None:
    token = configure(deployment)
    instance: Instance = deployment.serve()
    with instance.client(token) as client:
        call = admitted(client)
    assert instance.stop() == 0
    assert state(deployment, call["call"]) == "unknown"


def test_the_log_names_calls_and_clients_and_nothing_of_their_contents(deployment: Deployment) -> None:
    token = configure(deployment)
    instance = deployment.serve()
    with instance.client(token) as client:
        call = admitted(client, arguments={"note": "planted-7f3a"})
        settled(client, call, result="planted-91cc")
    instance.stop()
    lines = [line for line in instance.log if line["event"] == "call"]
    assert [(line["client"], line["call"], line["state"]) for line in lines] == [
        ("billing", call["call"], "admitted"), ("billing", call["call"], "returned"),
    ]  # fmt: skip
    text = instance.log_path.read_text()
    assert [secret in text for secret in ("planted", token, call["lease"])] == [False, False, False]
