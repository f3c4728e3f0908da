"""Decision logs of OPA, OCSF and OpenTelemetry: each checked by what its own makers say of it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from guardrail.pointers import places
from tests.exports.reading import Stored, exported, lines, stored

OPA_FIELDS = {
    "labels", "decision_id", "trace_id", "span_id", "bundles", "path", "query", "input", "result", "requested_by",
    "request_context", "timestamp", "metrics", "erased", "masked", "nd_builtin_cache", "req_id",
}  # fmt: skip
"""Fields of an event, as OPA's documentation lists them."""


def first(original: Path, kind: str) -> Stored:
    return next(record for record in stored(original) if record.fields["kind"] == kind)


def made(original: Path, tmp_path: Path, form: Any, *, unsealed: bool = False) -> list[dict[str, Any]]:
    target = tmp_path / f"{form}-{unsealed}.jsonl"
    exported(original, target, form, unsealed=unsealed)
    return lines(target)


# --- OPA ------------------------------------------------------------------------------------------------


def test_an_event_says_what_its_record_says(original: Path, tmp_path: Path):
    record = first(original, "denied")
    events = {event["req_id"]: event for event in made(original, tmp_path, "opa")}
    event = events[record.sequence]
    assert event == {
        "labels": {"app": "guardrail", "id": "log-1", "version": "0.1.0"},
        "decision_id": record.leaf,
        "trace_id": event["trace_id"],
        "path": "guardrail/decision",
        "result": {"rules": ["boundary.agent"], "codes": ["boundary"], "effect": "deny", "kind": "denied"},
        "timestamp": record.fields["at"],
        "req_id": record.sequence,
        "guardrail": {
            "record": f"1/{record.sequence}", "detail": "sealed", "call": record.fields["call"], "point": "action",
        },
        "bundles": {"guardrail": {"revision": record.fields["revision"]}},
        "erased": [
            "/input", "/result/asks", "/result/mask", "/result/obligations", "/result/observed", "/result/reasons",
        ],
    }  # fmt: skip


def test_every_decision_is_an_event_with_the_fields_of_opa(original: Path, tmp_path: Path):
    wanted = [record.leaf for record in stored(original) if record.decides]
    for unsealed in (False, True):
        events = made(original, tmp_path, "opa", unsealed=unsealed)
        assert [event["decision_id"] for event in events] == wanted
        assert {field for event in events for field in event} - OPA_FIELDS == {"guardrail"}


def test_erased_is_what_is_not_there_and_masked_what_is_hidden(original: Path, tmp_path: Path):
    masked = 0
    for unsealed in (False, True):
        for event in made(original, tmp_path, "opa", unsealed=unsealed):
            assert not [pointer for pointer in event.get("erased", ()) for _ in at(event, pointer)]
            for pointer in event.get("masked", ()):
                (value,) = at(event, pointer)
                assert (list(value), len(value["masked"])) == (["masked"], 64)
                masked += 1
    assert masked > 10


def at(event: dict[str, Any], pointer: str) -> Iterator[Any]:
    yield from (place.value for place in places(event, pointer) if place.reached)


def test_an_array_lines_and_compressed_ones_hold_the_same(original: Path, tmp_path: Path):
    for name in ("a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz"):
        exported(original, tmp_path / name, "opa")
    array = json.loads((tmp_path / "a.json").read_text())
    assert json.loads(gzip.decompress((tmp_path / "a.json.gz").read_bytes())) == array
    assert lines(tmp_path / "a.jsonl") == array
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()


# --- OCSF -----------------------------------------------------------------------------------------------


def test_events_are_valid_by_the_schema_of_ocsf(original: Path, tmp_path: Path):
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))
    validator = Draft202012Validator(schema.get_class_schema("api_activity", ["security_control", "trace"]))
    assert list(validator.iter_errors({"class_uid": 6003}))
    for unsealed in (False, True):
        events = made(original, tmp_path, "ocsf", unsealed=unsealed)
        assert len(events) > 50
        assert [error.message for event in events for error in validator.iter_errors(event)] == []
        assert [event["type_uid"] for event in events] == [
            6003 * 100 + event["activity_id"] for event in events
        ]


def test_what_became_of_a_call_is_said_in_the_words_of_ocsf(original: Path, tmp_path: Path):
    found = {
        (event["metadata"]["event_code"], event["action"], event["disposition"], event["status"])
        for event in made(original, tmp_path, "ocsf")
    }
    assert found == {
        ("admitted", "Allowed", "Allowed", "Unknown"),
        ("admitted", "Allowed", "Approved", "Unknown"),
        ("admitted", "Observed", "Logged", "Unknown"),
        ("asked", "Unknown", "Challenge", "Unknown"),
        ("denied", "Denied", "Blocked", "Failure"),
        ("denied", "Denied", "Rejected", "Failure"),
        ("settled", "Allowed", "Allowed", "Success"),
    }


# --- OpenTelemetry --------------------------------------------------------------------------------------


def spans(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        span
        for line in found
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def test_every_line_is_read_by_the_protocol(original: Path, tmp_path: Path):
    for unsealed in (False, True):
        for line in made(original, tmp_path, "otel", unsealed=unsealed):
            Parse(json.dumps(line), TracesData())  # refuses what it does not know


def test_an_attempt_is_a_span_from_its_intent_to_its_outcome(original: Path, tmp_path: Path):
    found = {attribute(span, "guardrail.record"): span for span in spans(made(original, tmp_path, "otel"))}
    begun: dict[Any, str] = {}
    for record in stored(original):
        fields = record.fields
        if fields["kind"] == "admitted":
            begun[fields["call"], fields["fence"]] = fields["at"]
        elif fields["kind"] in {"settled", "denied"}:
            span = found.pop(f"{record.log}/{record.sequence}")
            start = begun[fields["call"], fields["fence"]] if fields["kind"] == "settled" else fields["at"]
            assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == (
                nanoseconds(start),
                nanoseconds(fields["at"]),
            )
            assert span["name"] == f"execute_tool {fields['tool'].rpartition('/')[2]}"
            assert attribute(span, "error.type") == (
                "guardrail.denied" if fields["kind"] == "denied" else None
            )
    assert {span["name"] for span in found.values()} == {"guardrail.approval"}


def test_ids_are_the_same_whoever_exports_and_never_twice(original: Path, tmp_path: Path):
    one = spans(made(original, tmp_path, "otel"))
    other = spans(made(original, tmp_path, "otel", unsealed=True))
    ids = [(span["traceId"], span["spanId"]) for span in one]
    assert [(span["traceId"], span["spanId"]) for span in other] == ids
    assert (len(set(ids)), {(len(trace), len(span)) for trace, span in ids}) == (len(ids), {(32, 16)})
    runs = {(attribute(span, "gen_ai.conversation.id"), span["traceId"]) for span in one}
    assert len(runs) == len({run for run, _ in runs}) == len({trace for _, trace in runs})


def attribute(span: dict[str, Any], name: str) -> Any:
    found = {attribute["key"]: attribute["value"] for attribute in span["attributes"]}
    return found.get(name, {}).get("stringValue")


def nanoseconds(at: str) -> str:
    from datetime import datetime

    return f"{round(datetime.fromisoformat(at).timestamp() * 1000)}000000"


@pytest.mark.parametrize("form", ["opa", "ocsf", "otel"])
def test_arguments_and_results_are_there_for_who_asks_for_them(original: Path, tmp_path: Path, form: Any):
    sealed = json.dumps(made(original, tmp_path, form))
    unsealed = json.dumps(made(original, tmp_path, form, unsealed=True))
    assert ("sent 10" in sealed, "sent 10" in unsealed) == (False, True)
