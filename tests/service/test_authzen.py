"""AuthZEN: questions whose answers nobody records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from guardrail.cli.service import application
from tests.service.clients import SEND, configure
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
        {"resource": {"type": "document", "id": "x"}},
        {"subject": {"type": "agent", "id": "reader"}},
        {},
    ]
    answer = client.post("/access/v1/evaluations", json={**asked, "evaluations": items}).json()["evaluations"]
    assert [item["decision"] for item in answer] == [False, False, True]
    assert [item["context"].get("error", {}).get("status") for item in answer] == [400, 403, None]


@pytest.mark.parametrize("missing", ["subject", "action", "resource"])
def test_a_question_that_is_not_whole_is_refused(client: httpx.Client, missing: str) -> None:
    asked = question()
    del asked[missing]
    answer = client.post("/access/v1/evaluation", json=asked)
    assert (answer.status_code, missing in answer.json()["error"]["message"]) == (400, True)


def test_members_that_are_not_known_are_ignored(client: httpx.Client) -> None:
    asked = question()
    asked["subject"]["ip"] = "192.0.2.1"
    assert ask(client, {**asked, "extension": 1})[0] is True


def test_the_id_of_a_request_is_that_of_its_answer(client: httpx.Client) -> None:
    answer = client.post("/access/v1/evaluation", json=question(), headers={"X-Request-ID": "b-7.x"})
    assert answer.headers["X-Request-ID"] == "b-7.x"
    answer = client.post("/access/v1/evaluation", json=question(), headers={"X-Request-ID": "a b\tc"})
    assert answer.headers["X-Request-ID"] != "a b\tc"


def test_the_metadata_name_the_endpoints(deployment: Deployment, client: httpx.Client) -> None:
    told = client.get("/.well-known/authzen-configuration", headers={"Authorization": ""}).json()
    assert told == {
        "policy_decision_point": "http://testserver",
        "access_evaluation_endpoint": "http://testserver/access/v1/evaluation",
        "access_evaluations_endpoint": "http://testserver/access/v1/evaluations",
    }


def test_a_service_without_clients_answers_no_programs(deployment: Deployment) -> None:
    with application(deployment.config) as app, TestClient(app) as client:
        assert client.post("/access/v1/evaluation", json=question()).status_code == 404
        assert client.get("/.well-known/authzen-configuration").status_code == 404
