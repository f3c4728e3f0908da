"""Over OTLP/HTTP to a real endpoint: as many spans as calls; one that is down, slow or failing stops none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace

from guardrail.cli.doctor import _surroundings as examined
from guardrail.cli.exporting import begin, wanted
from guardrail.errors import ConfigError
from guardrail.ledger import Ledger
from guardrail.telemetry.testing import Behaviour, Collector, attributes_of
from tests.telemetry import sdk

ROOT = Path(__file__).parents[2]
CALLS = 60
ENDED = {"states": {"asked": 10, "denied": 10, "returned": 40, "unknown": 1}, "lost": 0}
"""Of sixty calls and one that is cut: whatever becomes of the telemetry."""


def run(folder: Path, what: str, url: str, **settings: str) -> dict[str, Any]:
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "30", "PYTHONPATH": str(ROOT), **settings,
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-m", "tests.telemetry.caller", str(folder), what], cwd=ROOT, env={**os.environ, **told},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_every_call_is_one_span_at_the_collector_with_its_steps_and_measurements(tmp_path: Path):
    with Collector() as collector:
        assert run(tmp_path, str(CALLS), collector.url) == ENDED
    names = Counter(span["name"] for span in collector.spans)
    assert names["execute_tool pay"] == CALLS + 1
    assert names["guardrail.execute"] == 41
    outcomes = Counter(
        attributes_of(span)["guardrail.outcome"]
        for span in collector.spans
        if span["name"] == "execute_tool pay"
    )
    assert outcomes == {"returned": 40, "blocked": 20, "unknown": 1}
    last: dict[str, dict[str, int]] = {}
    for metric in collector.metrics:
        if metric["name"] == "guardrail.calls":
            last["calls"] = {
                attributes_of(point)["guardrail.outcome"]: int(point["asInt"])
                for point in metric["sum"]["dataPoints"]
            }
    assert last == {"calls": {"returned": 40, "blocked": 20, "unknown": 1}}
    assert [
        word
        for word in (b"secret-argument", b"secret-result")
        if any(word in body for body in collector.bodies)
    ] == []


@pytest.mark.parametrize("behaviour", ["down", "fails", "hangs"])
def test_a_collector_that_does_not_do_its_part_stops_no_call_and_loses_none(tmp_path: Path, behaviour: Any):
    with ExitStack() as opened:
        if behaviour == "down":
            with Collector() as gone:
                url = gone.url  # nobody listens there any more
        else:
            collector = opened.enter_context(Collector(behaviour))
            url = collector.url
        assert run(tmp_path, str(CALLS), url) == ENDED
        if behaviour != "down":
            assert collector.requests > 0
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        assert ledger.verify().faults == ()


def test_who_goes_on_after_another_process_has_ended_is_linked_to_what_that_one_did(tmp_path: Path):
    with Collector() as collector:
        run(tmp_path, "6", collector.url)
        with Ledger.open(tmp_path / "guardrail.db") as ledger:
            [request] = ledger.approvals(state="pending")
            ledger.vote(request.id, "ben", "approve", channel="test")
        resumed = run(tmp_path, "--resume", collector.url)
    assert resumed["states"] == {"denied": 1, "returned": 5, "unknown": 1}
    asked, again = [
        span
        for span in collector.spans
        if span["name"] == "execute_tool pay" and attributes_of(span)["gen_ai.tool.call.id"] == "6"
    ]
    [approval] = [span for span in collector.spans if span["name"] == "guardrail.approval"]
    links = [(link["traceId"], link["spanId"]) for link in again["links"]]
    assert links == [(asked["traceId"], asked["spanId"]), (approval["traceId"], approval["spanId"])]
    assert [(link["traceId"], link["spanId"]) for link in approval["links"]] == [links[0]]
    assert asked["traceId"] != again["traceId"]


@pytest.mark.parametrize(
    ("told", "traces", "metrics"),
    [
        ({}, "none", "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "otlp", "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, "otlp", "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}, "otlp", "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, "none", "none"),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "otlp"}, "console", "otlp"),
    ],
)
def test_the_standard_variables_say_what_is_exported(told: dict[str, str], traces: str, metrics: str):
    assert (wanted("TRACES", told), wanted("METRICS", told)) == (traces, metrics)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: there is no exporter 'zipkin' here"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not spoken here",
        ),
    ],
)
def test_what_is_not_spoken_is_refused_by_name(told: dict[str, str], message: str):
    with pytest.raises(ConfigError) as error:
        wanted("TRACES", told)
    assert error.value.message == message


def test_a_command_ends_though_the_collector_hangs_and_says_what_it_says_without(tmp_path: Path):
    behaviour: Behaviour = "hangs"
    with Collector(behaviour) as collector:
        answers = [
            subprocess.run(
                [sys.executable, "-m", "guardrail.cli", "runs", "--json"], cwd=tmp_path, capture_output=True, text=True,
                check=False, timeout=60, env={**os.environ, **told},
            )
            for told in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        ]  # fmt: skip
    assert answers[0].returncode == answers[1].returncode
    assert answers[0].stdout == answers[1].stdout


@pytest.mark.parametrize(
    ("told", "signs"),
    [
        ({}, []),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"},
            [("ok", "commands export spans: otlp, metrics: otlp", "")],
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            [
                (
                    "error",
                    "OTEL_TRACES_EXPORTER: there is no exporter 'zipkin' here",
                    "use otlp, console or none",
                )
            ],
        ),
    ],
)
def test_the_doctor_says_what_is_exported(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], signs: list[tuple[str, str, str]]
):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    found = [(sign.state, sign.text, sign.fix) for sign in examined() if sign.about == "telemetry"]
    assert found == signs


HIDING = """import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.startswith("opentelemetry.HIDDEN"):
            return None
        return super().find_spec(name, path, target)

sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""An installation that lacks a part, to the Python of another process."""


@pytest.mark.parametrize("hidden", ["sdk", "exporter", "exporter.otlp"])
def test_where_a_part_of_the_extra_is_missing_commands_go_on_and_the_doctor_says_so(
    tmp_path: Path, hidden: str
):
    (tmp_path / "sitecustomize.py").write_text(HIDING.replace("HIDDEN", hidden))
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-m", "guardrail.cli", "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=60, env={**os.environ, **told},
    )  # fmt: skip
    assert answer.stderr == ""
    signs = [sign for sign in json.loads(answer.stdout)["signs"] if sign["about"] == "telemetry"]
    assert signs == [
        {
            "about": "telemetry",
            "state": "warning",
            "text": "OTEL_ variables ask for spans or metrics, "
            "and the extra otel is not installed: commands export none",
            "fix": "pip install 'guardrail-runtime[otel]'",
        }
    ]


def test_an_sdk_that_the_host_has_configured_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    begin()()
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before
    with sdk.TRACER.start_as_current_span("still there"):
        pass
    assert sdk.tree() == ["still there"]
