"""The HTTP API: who may ask what, in which form, and what it comes to. The application, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from guardrail.activating import Feed
from guardrail.cli.service import application
from guardrail.guard import Guardrail
from guardrail.tokens import Tokens
from tests.service.conftest import CONFIG, Deployment

As = Callable[[str], httpx.Client]


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_request_is_listed_shown_and_approved_and_its_call_runs_once(
    deployment: Deployment, serving: As
) -> None:
    number = deployment.ask(to="bob")
    client = serving("ben")
    (listed,) = client.get("/v1/requests").json()["requests"]
    assert (listed["id"], listed["state"], "arguments" in listed) == (number, "pending", False)
    shown = client.get(f"/v1/requests/{number}").json()
    assert {name: shown[name] for name in ("arguments", "whole", "hidden", "barred", "ended")} == {
        "arguments": {"number": 1, "to": "bob"}, "whole": True, "hidden": [], "barred": None, "ended": None,
    }  # fmt: skip
    voted = client.post(
        f"/v1/requests/{number}/votes", json={"answer": "approve", "reason": "due", "opened": True}
    )
    assert (voted.status_code, voted.json()["state"]) == (200, "approved")
    assert [(vote["person"], vote["channel"], vote["reason"]) for vote in voted.json()["votes"]] == [
        ("ben", "http", "due")
    ]
    assert (deployment.send(to="bob"), deployment.send(to="bob"), deployment.effects) == (
        "paid 1",
        "paid 1",
        ["1"],
    )
    assert client.get(f"/v1/requests/{number}").json()["ended"] == "returned"


def test_a_rejection_is_final_and_the_agent_reads_the_reason(deployment: Deployment, serving: As) -> None:
    number = deployment.ask()
    path = f"/v1/requests/{number}/votes"
    assert serving("ben").post(path, json={"answer": "reject", "reason": "not this week"}).status_code == 200
    late = serving("eve").post(path, json={"answer": "approve"})
    assert problem(late) == (409, "conflict")
    assert "already rejected by ben" in late.json()["error"]["message"]
    assert "not this week" in deployment.send()


def test_whoever_the_agents_act_for_does_not_vote_and_is_told_before(
    deployment: Deployment, serving: As
) -> None:
    number = deployment.ask()
    client = serving("anna")
    assert "act for anna" in client.get(f"/v1/requests/{number}").json()["barred"]
    answer = client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"})
    assert problem(answer) == (409, "conflict")
    assert client.get(f"/v1/requests/{number}").json()["votes"] == []


def test_nobody_votes_twice(deployment: Deployment, serving: As) -> None:
    deployment.configure(quorum=2)
    number = deployment.ask()
    path = f"/v1/requests/{number}/votes"
    assert serving("ben").post(path, json={"answer": "approve"}).json()["state"] == "pending"
    assert problem(serving("ben").post(path, json={"answer": "approve"})) == (409, "conflict")
    assert serving("eve").post(path, json={"answer": "approve"}).json()["state"] == "approved"


def test_an_edit_supersedes_the_request_and_goes_down_the_line(deployment: Deployment, serving: As) -> None:
    number = deployment.ask(to="mallory")
    client = serving("ben")
    edited = client.post(f"/v1/requests/{number}/edits", json={"arguments": {"number": 1, "to": "bob"}})
    assert (edited.status_code, edited.json()["state"]) == (200, "superseded")
    assert problem(client.post(f"/v1/requests/{number}/votes", json={"answer": "approve"})) == (
        409,
        "conflict",
    )
    assert deployment.effects == []


def test_masked_arguments_are_not_approved_unseen(deployment: Deployment, serving: As) -> None:
    number = deployment.ask(password="hunter2")
    client = serving("ben")
    masked = client.get(f"/v1/requests/{number}")
    assert (masked.json()["whole"], masked.json()["hidden"], "hunter2" in masked.text) == (
        False,
        ["/password"],
        False,
    )
    path = f"/v1/requests/{number}/votes"
    assert serving("eve").get(f"/v1/requests/{number}?reveal=true").status_code == 200
    for claimed in (
        {},
        {"opened": True},
    ):  # that somebody else has seen them does not count, nor what is claimed
        answered = serving("ben").post(path, json={"answer": "approve", **claimed})
        assert problem(answered) == (409, "conflict")
    assert serving("anna").get(f"/v1/requests/{number}?reveal=true").status_code == 403
    revealed = serving("ben").get(f"/v1/requests/{number}?reveal=true").json()
    assert (revealed["arguments"]["password"], revealed["whole"]) == ("hunter2", True)
    assert client.post(path, json={"answer": "approve", "opened": True}).json()["state"] == "approved"


def test_everybody_halts_and_operators_lift(deployment: Deployment, serving: As) -> None:
    scope = "tool:bank/pay"
    assert serving("eve").post("/v1/halts", json={"scope": scope, "reason": "odd"}).status_code == 201
    assert "odd" in deployment.send()
    assert [halt["by"] for halt in serving("eve").get("/v1/halts").json()["halts"]] == ["eve"]
    assert problem(serving("eve").delete(f"/v1/halts/{scope}")) == (403, "forbidden")
    assert serving("ben").delete(f"/v1/halts/{scope}").json()["still_halted"] == []
    assert problem(serving("ben").delete(f"/v1/halts/{scope}")) == (409, "conflict")
    assert problem(serving("ben").post("/v1/halts", json={"scope": "everything"})) == (409, "conflict")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic YTpi", "Bearer guardrail_00000000_x", "bearer \udcff"]
)
def test_without_a_valid_token_nothing_is_told(
    deployment: Deployment, serving: As, header: str | None
) -> None:
    number = deployment.ask()
    client = serving("ben")
    del client.headers["Authorization"]
    headers = (
        {} if header is None else {"Authorization": header.encode("latin-1", "replace").decode("latin-1")}
    )
    for method, path in (
        ("GET", "/v1/requests"), ("GET", f"/v1/requests/{number}"), ("GET", "/v1/me"), ("GET", "/v1/backlog"),
        ("GET", "/v1/halts"), ("DELETE", "/v1/halts/all"),
    ):  # fmt: skip
        answer = client.request(method, path, headers=headers)
        assert problem(answer) == (401, "unauthenticated"), path
        assert answer.headers["www-authenticate"] == "Bearer"
    for path, body in (
        ("/v1/halts", {"scope": "all"}),
        (f"/v1/requests/{number}/votes", {"answer": "approve"}),
    ):
        assert problem(client.post(path, json=body, headers=headers)) == (401, "unauthenticated")


def test_two_authorizations_are_none(serving: As, deployment: Deployment) -> None:
    client = serving("ben")
    token = client.headers.pop("Authorization")
    answer = client.get("/v1/me", headers=[("Authorization", token), ("Authorization", token)])
    assert problem(answer) == (401, "unauthenticated")


def test_a_token_that_is_revoked_and_a_person_who_has_gone_are_let_in_no_more(
    deployment: Deployment, serving: As
) -> None:
    tokens = Tokens(deployment.folder / "tokens.json")
    assert serving("ben").get("/v1/me").json() == {"person": "ben", "roles": ["operations"], "operator": True}
    tokens.revoke(tokens.all()[0].id)
    assert problem(serving("ben").get("/v1/me")) == (401, "unauthenticated")
    assert problem(serving("somebody-who-left").get("/v1/me")) == (403, "forbidden")


BODIES: list[tuple[str, bytes, int]] = [
    ("application/json", b'{"answer": "approve", "answer": "reject"}', 400),
    ("application/json", b"{", 400),
    ("application/json", b"\xff\xfe", 400),
    ("application/json", b'{"answer": NaN}', 400),
    ("application/json", b"[" * 5000, 400),
    ("application/json", b"[]", 422),
    ("application/json", b"", 422),
    ("application/json", b'{"answer": "Approve"}', 422),
    ("application/json", b'{"answer": "approve", "also": 1}', 422),
    ("application/json", b'{"answer": "approve", "opened": "yes"}', 422),
    ("application/json", b'{"answer": "approve", "reason": "' + b"x" * 2001 + b'"}', 422),
    ("text/plain", b'{"answer": "approve"}', 415),
    ("application/x-www-form-urlencoded", b"answer=approve", 415),
    ("", b'{"answer": "approve"}', 415),
    ("application/json", b'{"answer": "approve", "reason": "' + b"x" * 65_536 + b'"}', 413),
]


@pytest.mark.parametrize(("kind", "body", "status"), BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_not_of_the_form_changes_nothing(
    deployment: Deployment, serving: As, kind: str, body: bytes, status: int
) -> None:
    number = deployment.ask()
    client = serving("ben")
    answer = client.post(f"/v1/requests/{number}/votes", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert client.get(f"/v1/requests/{number}").json()["votes"] == []


@pytest.mark.parametrize(
    "path", ["/v1/requests/nothing", f"/v1/requests/{'0' * 32}", "/v1/nothing", "/", "/docs"]
)
def test_what_is_not_there_is_a_404(serving: As, path: str) -> None:
    assert problem(serving("ben").get(path)) == (404, "not_found")


def test_a_vote_on_nothing_is_a_404(serving: As) -> None:
    answer = serving("ben").post(f"/v1/requests/{'0' * 32}/votes", json={"answer": "approve"})
    assert problem(answer) == (404, "not_found")


@pytest.mark.parametrize("query", ["state=open", "limit=0", "limit=501", "limit=x"])
def test_a_query_that_is_not_of_the_form_is_refused(serving: As, query: str) -> None:
    assert problem(serving("ben").get(f"/v1/requests?{query}")) == (422, "invalid")


def test_answers_are_kept_by_nobody_and_framed_by_nobody(serving: As) -> None:
    headers = serving("ben").get("/health").headers
    kept = {
        name: headers[name] for name in ("cache-control", "content-security-policy", "x-content-type-options")
    }
    assert kept == {
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
    }


@pytest.fixture(name="handed_out")
def _handed_out(deployment: Deployment) -> Iterator[Any]:
    deployment.configure(CONFIG.replace('paths = ["policies"]', 'source = "policies"\npoll = "1h"'))
    with application(deployment.config) as app, TestClient(app) as client:
        yield client


def test_an_instance_is_ready_while_any_policies_decide(deployment: Deployment, handed_out: Any) -> None:
    client = handed_out

    def ready() -> tuple[int, Any]:
        answer: Any = client.get("/ready")
        assert answer.json()["checks"]["policies"] == answer.json()["ready"] == (answer.status_code == 200)
        return answer.status_code, answer.json()["policies"]

    assert ready() == (503, {"state": "none"})
    with Guardrail.from_config(deployment.folder / "guardrail.toml") as guard:
        (taken,) = guard.ledger.activations.all()
        stands = {"revision": guard.policy.revision, "since": taken.at}
        assert ready() == (200, {"state": "active", **stands})
        (feed,) = (owned for owned in guard._owned if isinstance(owned, Feed))
        rules = next((deployment.folder / "policies").glob("*.rego"))
        rule = rules.read_text()
        rules.write_text("no Rego")
        assert [feed.look(), feed.look()] == ["unsettled", "refused"]
        refused = guard.ledger.activations.all()[-1]
        failing = {"fault": "malformed", "failing_since": refused.at}
        assert ready() == (200, {"state": "last_good", **stands, **failing})
        rules.write_text(rule)
        while feed.look() == "unsettled":
            pass
        assert ready() == (200, {"state": "active", **stands})


def test_an_instance_that_cannot_work_says_so(deployment: Deployment, serving: As) -> None:
    client = serving("ben")
    assert client.get("/ready").json() == {
        "ready": True, "checks": {"delivery": True, "ledger": True, "tokens": True}
    }  # fmt: skip
    (deployment.folder / "tokens.json").write_text("rubbish")
    answer: Any = client.get("/ready")
    assert (answer.status_code, answer.json()["checks"]["tokens"]) == (503, False)
    assert problem(client.get("/v1/me")) == (503, "unavailable")
    assert client.get("/health").status_code == 200
