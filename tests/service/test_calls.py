"""Calls whose tools run elsewhere: proposed, leased, run by the client, settled; each runs once, and is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from starlette.testclient import TestClient

from guardrail.cli.service import application
from guardrail.tokens import Tokens
from tests.service.clients import SEND, configure, proposal, settled
from tests.service.conftest import Deployment


@pytest.fixture(name="client")
def _client(deployment: Deployment) -> Iterator[httpx.Client]:
    token = configure(deployment)
    with application(deployment.config) as app, TestClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def states(deployment: Deployment) -> list[tuple[str, str]]:
    with deployment.guard() as guard:
        assert guard.ledger.verify().ok
        return [(call.tool, call.state) for run in guard.ledger.runs() for call in guard.ledger.calls(run.id)]


def test_a_call_is_admitted_run_by_the_client_and_settled(
    deployment: Deployment, client: httpx.Client
) -> None:
    admitted = client.post("/v1/calls", json=proposal()).json()
    assert (admitted["state"], admitted["arguments"], admitted["changed"]) == ("admitted", {}, False)
    answer = settled(client, admitted, result={"euros": 7}).json()
    assert (answer["state"], answer["result"], answer["call"]) == ("returned", {"euros": 7}, admitted["call"])
    again = client.post("/v1/calls", json=proposal()).json()
    assert (again["state"], again["result"], again["repeated"], again["lease"]) == (
        "returned", {"euros": 7}, True, None,
    )  # fmt: skip
    assert states(deployment) == [("bank/balance", "returned")]


def test_arguments_are_validated_with_their_defaults_before_anything_is_decided(client: httpx.Client) -> None:
    wrong = client.post("/v1/calls", json=proposal(tool=SEND, arguments={"amount": "7"})).json()
    assert (wrong["state"], wrong["reasons"][0]["rule"], wrong["text"].splitlines()[0]) == (
        "denied", "guardrail.arguments.invalid", "DENIED (nothing was executed): send",
    )  # fmt: skip
    right = client.post("/v1/calls", json=proposal(tool=SEND, arguments={"amount": 7})).json()
    assert (right["state"], right["arguments"]) == ("admitted", {"amount": 7, "currency": "EUR"})


def test_what_an_obligation_changes_is_what_the_client_is_told_to_run(client: httpx.Client) -> None:
    admitted = client.post("/v1/calls", json=proposal(tool=SEND, arguments={"amount": 101})).json()
    assert (admitted["state"], admitted["arguments"], admitted["changed"]) == (
        "admitted", {"amount": 100, "currency": "EUR"}, True,
    )  # fmt: skip
    assert settled(client, admitted, result="sent").json()["state"] == "returned"


def test_what_no_policy_allows_is_denied_and_nothing_is_leased(
    deployment: Deployment, client: httpx.Client
) -> None:
    denied = client.post("/v1/calls", json=proposal(tool=SEND, arguments={"amount": 5000})).json()
    assert (denied["state"], denied["lease"]) == ("denied", None)
    assert denied["text"].startswith("DENIED (nothing was executed): send")
    assert states(deployment) == [("bank/send", "denied")]


def test_a_proposal_whose_answer_was_lost_gets_it_again_and_no_other_worker_does(
    client: httpx.Client,
) -> None:
    first = client.post("/v1/calls", json=proposal(attempt="a")).json()
    again = client.post("/v1/calls", json=proposal(attempt="a")).json()
    assert first["lease_seconds"] >= again["lease_seconds"] > 0
    assert again == {**first, "lease_seconds": again["lease_seconds"]}
    for other in (proposal(attempt="b"), proposal()):
        running = client.post("/v1/calls", json=other).json()
        assert (running["state"], running["lease"], running["arguments"]) == ("running", None, None)


def test_an_outcome_is_said_once_and_again_changes_nothing(
    deployment: Deployment, client: httpx.Client
) -> None:
    admitted = client.post("/v1/calls", json=proposal()).json()
    first = settled(client, admitted, result=1).json()
    assert (first["state"], first["result"], first["repeated"]) == ("returned", 1, False)
    again = settled(client, admitted, how="raised", message="no, it failed").json()
    assert (again["state"], again["result"], again["repeated"]) == ("returned", None, True)
    assert client.post("/v1/calls", json=proposal()).json()["result"] == 1
    assert states(deployment) == [("bank/balance", "returned")]


def test_a_tool_that_raised_or_did_not_run_is_recorded_as_that(
    deployment: Deployment, client: httpx.Client
) -> None:
    failed = client.post("/v1/calls", json=proposal(call="1")).json()
    answer = settled(client, failed, how="raised", message="the bank is closed").json()
    assert (answer["state"], answer["text"]) == ("raised", "Failed: the bank is closed")
    idle = client.post("/v1/calls", json=proposal(call="2")).json()
    assert settled(client, idle, how="did_not_run", message="no route").json()["state"] == "blocked"
    assert sorted(states(deployment)) == [("bank/balance", "blocked"), ("bank/balance", "raised")]
    assert (
        client.post("/v1/calls", json=proposal(call="2")).json()["state"] == "admitted"
    )  # it may be tried again


def test_what_a_policy_withholds_is_not_handed_on(client: httpx.Client) -> None:
    admitted = client.post("/v1/calls", json=proposal()).json()
    answer = settled(client, admitted, result="forbidden words")
    assert (answer.json()["state"], answer.json()["result"], "forbidden words" in answer.text) == (
        "withheld", None, False,
    )  # fmt: skip


def test_without_the_lease_nobody_settles(client: httpx.Client) -> None:
    admitted = client.post("/v1/calls", json=proposal()).json()
    for lease in ("0" * 48, admitted["lease"][:-1] + ("0" if admitted["lease"][-1] != "0" else "1")):
        assert settled(client, {**admitted, "lease": lease}).status_code == 409
    assert settled(client, {**admitted, "call": "call_0123456789abcdef"}).status_code == 404
    assert settled(client, admitted).json()["state"] == "returned"


def test_people_are_asked_and_the_same_proposal_runs_after_their_yes(
    deployment: Deployment, client: httpx.Client
) -> None:
    pay = proposal("pay", arguments={"to": "bob"}, principal="user:anna")
    waiting = client.post("/v1/calls", json=pay).json()
    assert (waiting["state"], bool(waiting["approval"]), waiting["lease"]) == ("waiting", True, None)
    voted = client.post(
        f"/v1/requests/{waiting['approval']}/votes",
        json={"answer": "approve"},
        headers={"Authorization": f"Bearer {deployment.token('ben')}"},
    )
    assert voted.json()["state"] == "approved"
    admitted = client.post("/v1/calls", json=pay).json()
    assert (admitted["state"], admitted["arguments"]) == ("admitted", {"to": "bob"})
    answer = settled(client, admitted, result="paid").json()
    assert (answer["state"], answer["approval"]) == ("returned", waiting["approval"])


def test_a_client_speaks_for_its_own_agents_and_principals_only(client: httpx.Client) -> None:
    for fields in (
        {"agent": "reader"},
        {"agent": "payer", "chain": ["reader", "payer"]},
        {"principal": "robot"},
    ):
        assert client.post("/v1/calls", json=proposal(**fields)).status_code == 403


def test_a_client_is_no_person_and_a_person_no_client(deployment: Deployment, client: httpx.Client) -> None:
    assert client.get("/v1/requests").status_code == 401
    assert client.post("/v1/halts", json={"scope": "all"}).status_code == 401
    client.headers["Authorization"] = f"Bearer {deployment.token('ben')}"
    assert client.post("/v1/calls", json=proposal()).status_code == 401
    assert client.post("/access/v1/evaluation", json={}).status_code == 401
    (deployment.folder / "guardrail.toml").write_text("")


def test_a_lease_runs_anew_while_the_tool_runs_and_not_after(client: httpx.Client) -> None:
    admitted = client.post("/v1/calls", json=proposal()).json()
    path, body = f"/v1/calls/{admitted['call']}/lease", {"lease": admitted["lease"]}
    anew = client.post(path, json=body).json()
    assert anew["lease_ends"] >= admitted["lease_ends"]
    assert 0 < anew["lease_seconds"] <= 30
    settled(client, admitted, result=1)
    assert client.post(path, json=body).status_code == 409


def test_what_a_client_has_heard_counts_as_the_words_of_whom_it_says(
    deployment: Deployment, client: httpx.Client
) -> None:
    said = client.post("/v1/runs/r/heard", json={"content": "look at account 123456789", "trust": "user"})
    assert said.json() == {"run": "r"}
    client.post("/v1/calls", json=proposal(arguments={"account": "123456789"}))
    with deployment.guard() as guard:
        (detail,) = [record.detail for record in guard.ledger.records("r") if record.kind == "admitted"]
    assert orjson.loads(detail or b"")["given"]["labels"]["arguments"]["/account"]["trust"] == "user"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"run": ""}, {"call": None}, {"tool": {"name": "a b"}}, {"arguments": []}, {"unknown": 1}, {"wait": 61},
        {"agent": ""}, {"chain": ["payer"] * 33},
    ],
)  # fmt: skip
def test_what_is_not_of_the_form_is_refused(client: httpx.Client, spoilt: dict[str, Any]) -> None:
    assert client.post("/v1/calls", json=proposal(**spoilt)).status_code == 422


def test_the_lease_of_an_earlier_attempt_settles_no_later_one(
    deployment: Deployment, client: httpx.Client
) -> None:
    first = client.post("/v1/calls", json=proposal()).json()
    assert settled(client, first, how="did_not_run").json()["state"] == "blocked"
    second = client.post("/v1/calls", json=proposal()).json()
    assert settled(client, first, how="did_not_run").status_code == 409
    assert client.post("/v1/calls", json=proposal()).json()["state"] == "running"
    assert settled(client, second, result=2).json()["result"] == 2
    assert settled(client, first).status_code == 409


def test_another_client_does_not_get_the_lease_of_an_attempt_with_the_same_name(
    deployment: Deployment, client: httpx.Client
) -> None:
    mine = client.post("/v1/calls", json=proposal(attempt="1")).json()
    other = Tokens(deployment.folder / "tokens.json").create("shipping", kind="client")
    theirs = {"Authorization": f"Bearer {other}"}
    answer = client.post("/v1/calls", json=proposal(attempt="1"), headers=theirs).json()
    assert (answer["state"], answer["lease"]) == ("running", None)
    said = client.post(
        f"/v1/calls/{mine['call']}/outcome", json={"lease": mine["lease"], "how": "returned"}, headers=theirs
    )
    assert said.status_code == 409
    assert settled(client, mine).json()["state"] == "returned"


def test_a_run_acts_for_one_principal(client: httpx.Client) -> None:
    client.post("/v1/calls", json=proposal(principal="user:anna"))
    assert client.post("/v1/calls", json=proposal(principal="user:bob")).status_code == 403
    words = {"content": "pay 7", "trust": "user", "principal": "user:bob"}
    assert client.post("/v1/runs/r/heard", json=words).status_code == 403


def test_a_schema_fetches_nothing(client: httpx.Client) -> None:
    for schema in ({"$ref": "http://127.0.0.1:9/x"}, {"$ref": "file:///etc/hostname"}, {"$schema": 5}):
        tool = {"server": "bank", "name": "balance", "schema": schema}
        answer = client.post("/v1/calls", json=proposal(tool=tool)).json()
        assert (answer["state"], answer["reasons"][0]["rule"]) == ("denied", "guardrail.arguments.invalid")


def test_a_deadline_of_the_tool_ends_the_lease(deployment: Deployment) -> None:
    token = configure(deployment)
    text = (deployment.folder / "guardrail.toml").read_text()
    (deployment.folder / "guardrail.toml").write_text(
        text.replace('[tools."bank/balance"]\n', '[tools."bank/balance"]\ndeadline = "2s"\n')
    )
    with application(deployment.config) as app, TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        admitted = client.post("/v1/calls", json=proposal()).json()
        left = datetime.fromisoformat(admitted["lease_ends"]) - datetime.now(UTC)
        assert left.total_seconds() <= 2
        path = f"/v1/calls/{admitted['call']}/lease"
        assert client.post(path, json={"lease": admitted["lease"]}).status_code == 409
