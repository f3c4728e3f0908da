"""AuthZEN: questions whose answers nobody records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from guardrail.cli.service import application
from tests.service.clients import SEND, configure, proposal
from tests.service.conftest import Deployment


@pytest.fixture(name="client")
def _client(deployment: Deployment) -> Iterator[httpx.Client]:
    token = configure(deployment)
    with application(deployment.config) as app, TestClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def question(tool: str = "bank/balance", *, schema: Any = None, **arguments: Any) -> dict[str, Any]:
    properties = {} if schema is None else {"schema": schema}
    return {
        "subject": {"type": "agent", "id": "payer"},
        "action": {"name": "call"},
        "resource": {"type": "tool", "id": tool, "properties": properties},
        "context": {"arguments": arguments},
    }


def ask(client: httpx.Client, asked: dict[str, Any]) -> tuple[bool, list[str]]:
    answer = client.post("/access/v1/evaluation", json=asked)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    return said["decision"], [reason["rule"] for reason in said["context"]["reasons"]]


def test_an_allowed_call_is_true_and_everything_else_false_with_its_reason(
    deployment: Deployment, client: httpx.Client
) -> None:
    assert ask(client, question()) == (True, ["boundary.within", "client.balance"])
    assert ask(client, question("bank/pay")) == (False, ["client.pay"])
    assert ask(client, question("bank/other")) == (False, ["boundary.tools", "guardrail.policy.silent"])
    assert ask(client, question("bank/send", schema=SEND["schema"], amount="x")) == (
        False,
        ["arguments.invalid"],
    )
    with deployment.guard() as guard:
        assert list(guard.ledger.runs()) == []  # nothing was recorded


def test_a_yes_under_obligations_is_no_yes_for_who_cannot_meet_them(client: httpx.Client) -> None:
    decision, rules = ask(client, question("bank/send", amount=101))
    assert (decision, rules[-1]) == (False, "guardrail.obligations")


def test_under_a_halt_nothing_may_run(deployment: Deployment, client: httpx.Client) -> None:
    with deployment.guard() as guard:
        guard.ledger.halt("agent:payer", "ben")
    assert ask(client, question()) == (False, ["boundary.within", "client.balance", "guardrail.halted"])


def test_several_questions_share_what_stands_beside_them(client: httpx.Client) -> None:
    asked = question()
    tools = [
        {"resource": {"type": "tool", "id": name}} for name in ("bank/balance", "bank/pay", "bank/balance")
    ]
    shared = {key: asked[key] for key in ("subject", "action")}
    for semantic, expected in (
        ("execute_all", [True, False, True]), ("deny_on_first_deny", [True, False]), ("permit_on_first_permit", [True]),
    ):  # fmt: skip
        answer = client.post(
            "/access/v1/evaluations",
            json={**shared, "evaluations": tools, "options": {"evaluations_semantic": semantic}},
        )
        assert [item["decision"] for item in answer.json()["evaluations"]] == expected
    assert client.post("/access/v1/evaluations", json=asked).json()["decision"] is True


def test_one_question_that_is_wrong_is_a_no_and_spoils_no_other(client: httpx.Client) -> None:
    asked = question()
    items = [
        {"resource": {"type": "tool"}},
        {"subject": {"type": "agent", "id": "reader"}},
        {},
    ]
    answer = client.post("/access/v1/evaluations", json={**asked, "evaluations": items}).json()["evaluations"]
    assert [item["decision"] for item in answer] == [False, False, True]
    assert [item["context"].get("error", {}).get("status") for item in answer] == [400, 403, None]


def test_what_is_no_call_of_a_tool_is_a_no_and_no_error(client: httpx.Client) -> None:
    for part in (
        {"subject": {"type": "user", "id": "anna"}},
        {"action": {"name": "can_read", "properties": {"method": "GET"}}},
        {"resource": {"type": "document", "id": "1"}},
        {"resource": {"type": "tool", "id": "not a tool"}},
    ):
        assert ask(client, {**question(), **part}) == (False, ["guardrail.authzen"])


def test_several_without_a_list_are_one_question_with_its_errors(client: httpx.Client) -> None:
    for listed in ({}, {"evaluations": list[Any]()}):
        whole = {**question(), **listed}
        assert client.post("/access/v1/evaluations", json=whole).json()["decision"] is True
        for missing in ("subject", "action", "resource"):
            asked = {key: value for key, value in whole.items() if key != missing}
            answer = client.post("/access/v1/evaluations", json=asked)
            assert (answer.status_code, missing in answer.json()["error"]["message"]) == (400, True)
    asked = {**question(), "subject": {"type": "agent", "id": "reader"}}
    assert client.post("/access/v1/evaluations", json=asked).status_code == 403


def test_what_a_question_says_itself_takes_the_whole_place_of_what_stands_beside_it(
    client: httpx.Client,
) -> None:
    asked = question("bank/send", schema=SEND["schema"], amount=7)
    items: list[dict[str, Any]] = [{}, {"context": {}}, {"context": {"arguments": {"amount": 5000}}}]
    answer = client.post("/access/v1/evaluations", json={**asked, "evaluations": items}).json()["evaluations"]
    rules = [[reason["rule"] for reason in item["context"]["reasons"]] for item in answer]
    assert [(item["decision"], rule[-1]) for item, rule in zip(answer, rules, strict=True)] == [
        (True, "client.send"), (False, "arguments.invalid"), (False, "guardrail.policy.silent"),
    ]  # fmt: skip


def test_an_order_of_answers_that_is_not_known_is_refused_and_other_options_are_ignored(
    client: httpx.Client,
) -> None:
    asked = {**question(), "evaluations": [{}]}
    answer = client.post("/access/v1/evaluations", json={**asked, "options": {"another": 1}}).json()
    assert [item["decision"] for item in answer["evaluations"]] == [True]
    assert "decision" not in answer
    asked["options"] = {"evaluations_semantic": "any"}
    assert client.post("/access/v1/evaluations", json=asked).status_code == 400


def test_a_call_that_no_budget_holds_is_a_no_and_asking_takes_nothing(deployment: Deployment) -> None:
    token = configure(deployment)
    path = deployment.folder / "guardrail.toml"
    path.write_text(
        path.read_text().replace("[agents.payer]\n", "[agents.payer]\nbudgets = { calls_per_run = 1 }\n")
    )
    with application(deployment.config) as app, TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        asked = {**question(), "context": {"arguments": {}, "run": "r"}}
        for _ in range(3):
            assert ask(client, asked)[0] is True
        assert client.post("/v1/calls", json=proposal(call="1")).json()["state"] == "admitted"
        answer = client.post("/access/v1/evaluation", json=asked).json()
        assert (answer["decision"], answer["context"]["reasons"][-1]) == (
            False,
            {
                "rule": "guardrail.budget",
                "message": "the budget 'payer: calls per run' has 1 of 1 calls used; this call needs 1",
                "fix": "do without this call, or ask the operator to raise the budget",
            },
        )
        denied = client.post("/v1/calls", json=proposal(call="2")).json()
        assert (denied["state"], denied["reasons"][-1]) == ("denied", answer["context"]["reasons"][-1])
        assert ask(client, {**asked, "context": {"run": "another"}})[0] is True


def test_a_question_that_is_not_whole_is_refused(client: httpx.Client) -> None:
    for missing in ("subject", "action", "resource"):
        asked = {key: value for key, value in question().items() if key != missing}
        answer = client.post("/access/v1/evaluation", json=asked)
        assert (answer.status_code, missing in answer.json()["error"]["message"]) == (400, True)


def test_members_that_are_not_known_are_ignored(client: httpx.Client) -> None:
    asked = question()
    asked["subject"]["ip"] = "192.0.2.1"
    assert ask(client, {**asked, "extension": 1})[0] is True


def test_the_id_of_a_request_is_that_of_its_answer(client: httpx.Client) -> None:
    for number in ("b-7.x", "a b\tc", "<" * 500):  # an arbitrary string, says the specification
        answer = client.post("/access/v1/evaluation", json=question(), headers={"X-Request-ID": number})
        assert answer.headers["X-Request-ID"] == number
    refused = client.post("/access/v1/evaluation", json={}, headers={"X-Request-ID": "b-8"})
    assert (refused.status_code, refused.headers["X-Request-ID"]) == (400, "b-8")
    several = client.get("/health", headers=[("X-Request-ID", "1"), ("X-Request-ID", "2")])
    assert several.headers["X-Request-ID"] not in ("1", "2", "")


def test_the_metadata_name_the_endpoints(deployment: Deployment, client: httpx.Client) -> None:
    told = client.get("/.well-known/authzen-configuration", headers={"Authorization": ""}).json()
    assert told == {
        "policy_decision_point": "http://testserver",
        "access_evaluation_endpoint": "http://testserver/access/v1/evaluation",
        "access_evaluations_endpoint": "http://testserver/access/v1/evaluations",
    }


def test_the_metadata_of_a_service_under_a_path_stand_under_that_path(deployment: Deployment) -> None:
    configure(deployment)
    path = deployment.folder / "guardrail.toml"
    path.write_text(
        path.read_text().replace("[serve]\n", '[serve]\nurl = "https://pdp.example.com/tenant1"\n')
    )
    with application(deployment.config) as app, TestClient(app) as client:
        told = client.get("/.well-known/authzen-configuration/tenant1").json()
        assert told == {
            "policy_decision_point": "https://pdp.example.com/tenant1",
            "access_evaluation_endpoint": "https://pdp.example.com/tenant1/access/v1/evaluation",
            "access_evaluations_endpoint": "https://pdp.example.com/tenant1/access/v1/evaluations",
        }
        assert client.get("/.well-known/authzen-configuration").json() == told
        assert client.get("/.well-known/authzen-configuration/tenant2").status_code == 404


def test_a_service_without_clients_answers_no_programs(deployment: Deployment) -> None:
    with application(deployment.config) as app, TestClient(app) as client:
        assert client.post("/access/v1/evaluation", json=question()).status_code == 404
        assert client.get("/.well-known/authzen-configuration").status_code == 404
