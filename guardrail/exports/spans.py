"""Spans of recorded calls, as OTLP in JSON: a trace a run, a span an attempt, a span a wait for people.

Source: OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding" and "File Exporter" (a line is one `TracesData`). Names of
attributes are those of `guardrail.telemetry`. Ids are digests of what a span is about: whoever exports twice gets the
same spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from guardrail.exports.shown import DECISIVE, Shown, compact, milliseconds
from guardrail.version import __version__

_INTERNAL: Final = 1
"""`SPAN_KIND_INTERNAL`."""
_ERROR: Final = 2
"""`STATUS_CODE_ERROR`."""
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


def trace_id(run: str) -> str:
    """The id of the trace of a run, in hex."""
    return _digest("trace", run)[: 2 * _TRACE_BYTES]


def span_id(run: str, what: str, number: str) -> str:
    """The id of a span, in hex.

    Args:
        run: the run.
        what: the call, or the request.
        number: which of its spans.
    """
    return _digest("span", run, what, number)[: 2 * _SPAN_BYTES]


def span(shown: Shown) -> dict[str, Any] | None:
    """The span that ends with a record; None where none does."""
    match shown.kind:
        case "denied":
            return _of_call(shown, number=shown.place, begun=shown.at, error="guardrail.denied")
        case "settled":
            return _of_call(
                shown, number=f"attempt {shown.fields['fence']}", begun=shown.begun or shown.at, error=_error(shown)
            )  # fmt: skip
        case kind if kind in DECISIVE and shown.fields.get("state") != "pending":
            return _of_approval(shown)
        case _:
            return None


def traces(spans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Spans as one `TracesData`, which is an `ExportTraceServiceRequest` as well."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": "guardrail"})},
                "scopeSpans": [
                    {"scope": {"name": "guardrail", "version": __version__}, "spans": list(spans)}
                ],
            }
        ]
    }


def _of_call(shown: Shown, *, number: str, begun: str, error: str) -> dict[str, Any]:
    fields = shown.fields
    tool: str = fields["tool"]
    server, _, name = tool.rpartition("/")
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": fields["id"],
        "gen_ai.agent.name": fields["agent"],
        "gen_ai.conversation.id": fields["run"],
        "error.type": error,
        "guardrail.tool.server": server,
        "guardrail.agent.chain": fields.get("chain"),
        "guardrail.outcome": fields.get("state"),
        "guardrail.rules": fields.get("rules"),
        "guardrail.approval": fields.get("approval"),
        "guardrail.call": fields["call"],
        "guardrail.record": shown.place,
        "guardrail.detail": shown.detail,
        "gen_ai.tool.call.arguments": compact(shown.arguments),
        "gen_ai.tool.call.result": shown.result,
        "guardrail.message": shown.message,
    }
    made = _span(
        shown, f"execute_tool {name}", span_id(fields["run"], fields["call"], number), begun, attributes
    )
    if error:
        made["status"] = {"code": _ERROR, "message": error}
    return made


def _of_approval(shown: Shown) -> dict[str, Any]:
    fields = shown.fields
    attributes: dict[str, Any] = {
        "gen_ai.conversation.id": fields["run"],
        "guardrail.approval.request_id": fields["approval"],
        "guardrail.approval.state": fields["state"],
        "guardrail.approval.channel": fields.get("channel"),
        "guardrail.call": fields["call"],
        "guardrail.record": shown.place,
        "guardrail.detail": shown.detail,
        "guardrail.message": shown.message,
    }
    number = span_id(fields["run"], fields["approval"], shown.kind)
    return _span(shown, "guardrail.approval", number, shown.begun or shown.at, attributes)


def _span(shown: Shown, name: str, number: str, begun: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    end = milliseconds(shown.at)
    return {
        "traceId": trace_id(shown.fields["run"]),
        "spanId": number,
        "name": name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(min(milliseconds(begun), end)),  # clocks may have been set back
        "endTimeUnixNano": _nanoseconds(end),
        "attributes": _attributes(attributes),
    }


def _nanoseconds(milliseconds: int) -> str:
    return str(milliseconds * 1_000_000)


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes that have a value, in the form of OTLP."""
    return [
        {"key": name, "value": _value(value)} for name, value in values.items() if value not in (None, "", [])
    ]


def _value(value: str | list[str]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(item) for item in value]}}


def _error(shown: Shown) -> str:
    match shown.fields["status"]:
        case "raised" | "unknown" as status:
            return f"guardrail.{status}"
        case "blocked":
            return "guardrail.denied"
        case _:
            return ""


def _digest(*parts: str) -> str:
    return sha256("\0".join(("guardrail", *parts)).encode()).hexdigest()
