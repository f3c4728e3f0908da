"""Rows of tables: one row a record, in tables by what a record is about. `VERSION` counts the changes of the schema.

Everything in a row is what the record says; columns that were sealed are null unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from guardrail.exports.shown import ENDS, Shown, compact
from guardrail.merkle import leaf_hash
from guardrail.records import Kind, encode

VERSION: Final = 1
"""Version of the schema: columns may be added to it, none changes or goes."""

Table = Literal["records", "decisions", "outcomes", "approvals"]
"""All records; those that hold a decision; those that say how a call ended; those about what people were asked."""

Type = Literal["BIGINT", "BOOLEAN", "TIMESTAMPTZ", "VARCHAR", "VARCHAR[]"]
"""Type of a column, as DuckDB calls it."""

_PLACE: Final[Mapping[str, Type]] = {
    "log": "BIGINT",
    "sequence": "BIGINT",
    "at": "TIMESTAMPTZ",
    "kind": "VARCHAR",
}
_CALL: Final[Mapping[str, Type]] = {
    "run": "VARCHAR", "call": "VARCHAR", "call_id": "VARCHAR", "scope": "VARCHAR", "agent": "VARCHAR",
    "chain": "VARCHAR[]", "principal": "VARCHAR", "tool": "VARCHAR", "tool_digest": "VARCHAR", "effect": "VARCHAR",
}  # fmt: skip

COLUMNS: Final[Mapping[Table, Mapping[str, Type]]] = {
    "records": {
        **_PLACE, "run": "VARCHAR", "call": "VARCHAR", "body": "VARCHAR", "leaf": "VARCHAR", "detail": "VARCHAR",
    },
    "decisions": {
        **_PLACE, **_CALL, "point": "VARCHAR", "decision": "VARCHAR", "rules": "VARCHAR[]", "codes": "VARCHAR[]",
        "observed": "VARCHAR[]", "observe": "BOOLEAN", "revision": "VARCHAR", "approval": "VARCHAR",
        "attempt": "BIGINT", "released": "VARCHAR", "detail": "VARCHAR", "input": "VARCHAR", "result": "VARCHAR",
        "masked": "VARCHAR[]",
    },
    "outcomes": {
        **_PLACE, **_CALL, "attempt": "BIGINT", "admitted_at": "TIMESTAMPTZ", "status": "VARCHAR", "state": "VARCHAR",
        "labels": "VARCHAR[]", "released": "VARCHAR", "ran": "BOOLEAN", "by": "VARCHAR", "detail": "VARCHAR",
        "arguments": "VARCHAR", "returned": "VARCHAR", "message": "VARCHAR",
    },
    "approvals": {
        **_PLACE, "run": "VARCHAR", "call": "VARCHAR", "approval": "VARCHAR", "state": "VARCHAR", "person": "VARCHAR",
        "channel": "VARCHAR", "answer": "VARCHAR", "opened": "BOOLEAN", "requested_at": "TIMESTAMPTZ",
        "expires_at": "TIMESTAMPTZ", "detail": "VARCHAR", "reason": "VARCHAR",
    },
}  # fmt: skip

SEALED: Final[Mapping[Table, tuple[str, ...]]] = {
    "records": (),
    "decisions": ("input", "result", "masked"),
    "outcomes": ("arguments", "returned", "message"),
    "approvals": ("reason",),
}
"""Columns that are null unless what was sealed is asked for; of decisions about outputs, `decision` too."""

_DECIDING: Final[frozenset[Kind]] = frozenset({"admitted", "asked", "denied"})
_ENDING: Final[frozenset[Kind]] = frozenset({*ENDS, "resolved"})
_ASKING: Final[frozenset[Kind]] = frozenset(
    {"asked", "voted", "expired", "cancelled", "superseded", "edited", "remembered"}
)


def rows(shown: Shown) -> Iterator[tuple[Table, dict[str, Any]]]:
    """The rows that a record makes, each with its table; all columns are there."""
    yield "records", _record(shown)
    if (decided := decision(shown)) is not None:
        yield "decisions", decided
    if shown.kind in _ENDING:
        yield "outcomes", _outcome(shown)
    if shown.kind in _ASKING:
        yield "approvals", _approval(shown)


def _record(shown: Shown) -> dict[str, Any]:
    body = encode(shown.fields)
    return {
        **_place(shown), "run": shown.fields.get("run"), "call": shown.fields.get("call"), "body": body.decode(),
        "leaf": leaf_hash(body).hex(), "detail": shown.detail,
    }  # fmt: skip


def decision(shown: Shown) -> dict[str, Any] | None:
    """The row of the decision that a record holds; None where it holds none."""
    if shown.kind not in _DECIDING and not shown.is_reviewed:
        return None
    fields, said = shown.fields, shown.decision
    named = fields if shown.kind in _DECIDING else _named(said)
    return {
        **_place(shown), **_call(shown), "point": "action" if shown.kind in _DECIDING else "output",
        "decision": named.get("decision"), "rules": named.get("rules"), "codes": named.get("codes"),
        "observed": named.get("observed"), "observe": fields.get("observe"), "revision": named.get("revision"),
        "approval": fields.get("approval"), "attempt": fields.get("fence"), "released": fields.get("released"),
        "detail": shown.detail, "input": compact(shown.given), "result": compact(said),
        "masked": None if shown.given is None else list(shown.masked),
    }  # fmt: skip


def _named(said: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a record would say of a decision that stands in a sealed part alone."""
    if said is None:
        return {}
    named = {
        name: list(dict.fromkeys(reason[member] for reason in said["reasons"]))
        for name, member in (("rules", "rule"), ("codes", "code"))
    }
    observed = [reason["rule"] for reason in said["observed"]] or None
    return {"decision": said["effect"], "revision": said["revision"], "observed": observed, **named}


def _outcome(shown: Shown) -> dict[str, Any]:
    fields = shown.fields
    return {
        **_place(shown), **_call(shown), "attempt": fields.get("fence"), "admitted_at": shown.begun,
        "status": fields.get("status"), "state": fields.get("state"), "labels": fields.get("labels"),
        "released": fields.get("released"), "ran": fields.get("ran"), "by": fields.get("by"), "detail": shown.detail,
        "arguments": compact(shown.arguments), "returned": shown.result, "message": shown.message,
    }  # fmt: skip


def _approval(shown: Shown) -> dict[str, Any]:
    fields = shown.fields
    return {
        **_place(shown), "run": fields.get("run"), "call": fields.get("call"), "approval": fields.get("approval"),
        "state": fields.get("state"), "person": fields.get("person", fields.get("by")),
        "channel": fields.get("channel"), "answer": fields.get("answer"), "opened": fields.get("opened"),
        "requested_at": shown.at if shown.kind == "asked" else shown.begun,
        "expires_at": fields.get("expires_at"), "detail": shown.detail, "reason": shown.message,
    }  # fmt: skip


def _place(shown: Shown) -> dict[str, Any]:
    return {"log": shown.log, "sequence": shown.sequence, "at": shown.at, "kind": shown.kind}


def _call(shown: Shown) -> dict[str, Any]:
    fields = shown.fields
    return {
        "run": fields["run"], "call": fields["call"], "call_id": fields.get("id"), "scope": fields.get("scope"),
        "agent": fields.get("agent"), "chain": fields.get("chain"), "principal": fields.get("principal"),
        "tool": fields.get("tool"), "tool_digest": fields.get("tool_digest"), "effect": fields.get("effect"),
    }  # fmt: skip
