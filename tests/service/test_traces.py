"""Requests to the service belong to the trace that they name, and votes are linked to the call that they are about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.telemetry.testing import Collector, attributes_of
from tests.service.conftest import Deployment, environment

ROOT = Path(__file__).parents[2]
ASK = """
import sys
from pathlib import Path
from guardrail.cli.exporting import begin
from guardrail.guard import Guardrail
from tests.service.agent import attempt

folder, end = Path(sys.argv[1]), begin()
with Guardrail.from_config(folder / "guardrail.toml") as guard:
    guard.perform(attempt(guard, folder, 1, to="planted-recipient"), waiting="answer")
end()
"""
"""An agent in a process of its own, that asks and ends."""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_vote_over_http_is_in_the_trace_of_its_request_and_linked_to_the_call(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        subprocess.run(
            [sys.executable, "-c", ASK, str(deployment.folder)], cwd=ROOT, env=environment(ROOT), check=True
        )
        with deployment.guard() as guard:
            [asked] = guard.ledger.approvals(state="pending")
        service = deployment.serve()
        with service.client(deployment.token("ben")) as client:
            client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
            client.headers["tracestate"] = "vendor=1"
            client.headers["baggage"] = "note=planted-baggage"
            assert client.get("/planted-path?q=planted-query").status_code == 404
            voted = client.post(
                f"/v1/requests/{asked.id}/votes", json={"answer": "approve", "reason": "planted-reason"}
            )
            assert voted.json()["state"] == "approved"
        assert service.stop() == 0
    by_name = {span["name"]: span for span in collector.spans}
    request, vote = by_name["POST /v1/requests/{number}/votes"], by_name["guardrail.vote"]
    call = by_name["execute_tool pay"]
    assert (request["traceId"], request["parentSpanId"], request["kind"]) == (
        TRACE,
        PARENT,
        "SPAN_KIND_SERVER",
    )
    assert attributes_of(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/requests/{number}/votes",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    assert (vote["traceId"], vote["parentSpanId"]) == (request["traceId"], request["spanId"])
    assert [(link["traceId"], link["spanId"]) for link in vote["links"]] == [
        (call["traceId"], call["spanId"])
    ]
    assert "GET _OTHER" in by_name
    assert "guardrail.approvals.pending" in {metric["name"] for metric in collector.metrics}
    words = (b"planted", b"ben", deployment.token("ben").encode())
    assert [word for word in words if any(word in body for body in collector.bodies)] == []
