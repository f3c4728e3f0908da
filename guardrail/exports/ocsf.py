"""Events of the Open Cybersecurity Schema Framework: API Activity (class 6003), one a record, version 1.8.0.

Source: OCSF 1.8.0, class `api_activity` with the profiles `security_control` and `trace`. A call that was admitted
makes an event as soon as it may act, and another one when it has ended; both bear its reference as
`metadata.correlation_uid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from guardrail.exports.shown import Shown, compact, milliseconds
from guardrail.exports.spans import trace_id
from guardrail.records import Kind
from guardrail.version import __version__

VERSION: Final = "1.8.0"
"""Version of the schema."""
_CATEGORY: Final = 6
_CLASS: Final = 6003
_KINDS: Final[frozenset[Kind]] = frozenset({"admitted", "asked", "denied", "settled", "late", "resolved"})
_ACTIVITIES: Final[Mapping[str, tuple[int, str]]] = {"read": (2, "Read"), "write": (3, "Update")}
"""What a tool does → the activity; `irreversible` is none of those that OCSF knows."""
_OTHER: Final = 99
_STATUS: Final[Mapping[str, tuple[int, str]]] = {
    "returned": (1, "Success"), "raised": (2, "Failure"), "blocked": (2, "Failure"), "denied": (2, "Failure"),
    "unknown": (0, "Unknown"), "started": (0, "Unknown"), "asked": (0, "Unknown"),
}  # fmt: skip
_SEVERITY: Final = (1, "Informational")
_LOW: Final = (2, "Low")

Control = tuple[int, str, int, str]
"""Action and disposition, each by number and name."""
_ALLOWED: Final[Control] = (1, "Allowed", 1, "Allowed")
_APPROVED: Final[Control] = (1, "Allowed", 8, "Approved")
_BLOCKED: Final[Control] = (2, "Denied", 2, "Blocked")
_REJECTED: Final[Control] = (2, "Denied", 25, "Rejected")
_OBSERVED: Final[Control] = (3, "Observed", 17, "Logged")
_CHALLENGED: Final[Control] = (0, "Unknown", 23, "Challenge")


def event(shown: Shown) -> dict[str, Any] | None:
    """The event of a record; None where it is not about what becomes of a call."""
    if shown.kind not in _KINDS:
        return None
    fields = shown.fields
    tool: str = fields["tool"]
    server, _, name = tool.rpartition("/")
    activity, activity_name = _ACTIVITIES.get(fields["effect"], (_OTHER, fields["effect"]))
    severity, severity_name = _LOW if shown.kind == "denied" else _SEVERITY
    made: dict[str, Any] = {
        "activity_id": activity, "activity_name": activity_name,
        "actor": {"user": {"uid": fields.get("principal") or "unknown", "type_id": 0}, "app_name": fields["agent"]},
        "api": _api(shown, name, server),
        "category_name": "Application Activity", "category_uid": _CATEGORY,
        "class_name": "API Activity", "class_uid": _CLASS,
        "metadata": _metadata(shown),
        "severity": severity_name, "severity_id": severity,
        "src_endpoint": {"name": fields["agent"], "type_id": 0},
        "time": milliseconds(shown.at),
        "trace": {"uid": trace_id(fields["run"])},
        "type_uid": _CLASS * 100 + activity,
        "unmapped": _unmapped(shown),
        **_status(shown),
        **_control(shown),
    }  # fmt: skip
    if shown.begun is not None:
        made["start_time"], made["end_time"] = milliseconds(shown.begun), made["time"]
        made["duration"] = max(made["end_time"] - made["start_time"], 0)
    return made


def _api(shown: Shown, name: str, server: str) -> dict[str, Any]:
    request: dict[str, Any] = {"uid": shown.fields["call"]}
    if shown.arguments is not None:
        request["data"] = shown.arguments
    response: dict[str, Any] = {}
    if shown.result is not None:
        response["data"] = {"returned": shown.result}
    if shown.message is not None:
        response["error_message"] = shown.message
    return {
        "operation": name, "request": request,
        **({"service": {"name": server}} if server else {}),
        **({"response": response} if response else {}),
    }  # fmt: skip


def _metadata(shown: Shown) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "guardrail", "vendor_name": "guardrail", "version": __version__},
        "profiles": ["security_control", "trace"],
        "uid": shown.place,
        "sequence": shown.sequence,
        "log_name": f"log-{shown.log}",
        "event_code": shown.kind,
        "correlation_uid": shown.fields["call"],
        "original_time": shown.at,
    }


def _status(shown: Shown) -> dict[str, Any]:
    state: str = shown.fields.get("state") or shown.fields.get("status") or shown.kind
    number, name = _STATUS.get(state, (_OTHER, state))
    return {"status_id": number, "status": name, "status_code": state}


def _control(shown: Shown) -> dict[str, Any]:
    """What guardrail did: actions and dispositions of the profile `security_control`."""
    fields = shown.fields
    action, action_name, disposition, disposition_name = _done(shown)
    made: dict[str, Any] = {
        "action_id": action, "action": action_name, "disposition_id": disposition, "disposition": disposition_name,
        "is_alert": shown.kind == "denied",
    }  # fmt: skip
    if (revision := fields.get("revision")) is not None:
        policy = {"name": "guardrail", "uid": revision, "is_applied": not fields.get("observe", False)}
        made["policy"] = policy
        made["authorizations"] = [{"decision": fields["decision"], "policy": policy}]
    if shown.decision is not None:
        made["message"] = "; ".join(reason["message"] for reason in shown.decision["reasons"])
    return made


def _done(shown: Shown) -> Control:
    fields = shown.fields
    match shown.kind:
        case "denied":
            return _REJECTED if "approval.rejected" in fields["codes"] else _BLOCKED
        case "asked":
            return _CHALLENGED
        case _ if fields.get("observe") and fields.get("decision") != "allow":
            return _OBSERVED
        case _:
            return _APPROVED if fields.get("approval") is not None else _ALLOWED


def _unmapped(shown: Shown) -> dict[str, Any]:
    """What OCSF has no name for."""
    names = (
        "run",
        "id",
        "scope",
        "chain",
        "tool_digest",
        "rules",
        "codes",
        "fence",
        "labels",
        "released",
        "approval",
    )
    found = {name: shown.fields[name] for name in names if shown.fields.get(name) is not None}
    if shown.masked:
        found["masked"] = list(shown.masked)
    if shown.given is not None:
        found["input"] = compact(shown.given)
    return {**found, "detail": shown.detail}
