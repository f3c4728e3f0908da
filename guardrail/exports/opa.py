"""Decision log events, in the form in which OPA uploads them.

Source: Open Policy Agent, "Decision Logs". A log of the ledger takes the place of an OPA instance: `labels.id` names
it, and `req_id` counts its records. `decision_id` is the record's leaf hash, which `guardrail prove` proves.
"""

from __future__ import annotations

from typing import Any, Final

from guardrail.exports.shown import Shown
from guardrail.exports.spans import trace_id
from guardrail.exports.tables import decision
from guardrail.merkle import leaf_hash
from guardrail.records import encode
from guardrail.version import __version__

PATH: Final = "guardrail/decision"
"""The decision that is asked for: `data.guardrail.decision`."""
_SEALED: Final = ("reasons", "asks", "obligations", "mask", "observed")
"""Members of a decision that a record does not say."""


def event(shown: Shown) -> dict[str, Any] | None:
    """The event of a record; None where it holds no decision."""
    row = decision(shown)
    if row is None:
        return None
    named: dict[str, Any] = {
        name: row[name] for name in ("rules", "codes", "released") if row[name] is not None
    }
    if row["decision"] is not None:
        named["effect"] = row["decision"]
    result = {**named, "kind": shown.kind, **(shown.decision or {})}
    made: dict[str, Any] = {
        "labels": {"app": "guardrail", "id": f"log-{shown.log}", "version": __version__},
        "decision_id": leaf_hash(encode(shown.fields)).hex(),
        "trace_id": trace_id(row["run"]),
        "path": PATH,
        "result": result,
        "timestamp": shown.at,
        "req_id": shown.sequence,
        "guardrail": {
            "record": shown.place,
            "detail": shown.detail,
            "call": row["call"],
            "point": row["point"],
        },
    }
    if row["revision"] is not None:
        made["bundles"] = {"guardrail": {"revision": row["revision"]}}
    erased = [f"/result/{member}" for member in _SEALED if member not in result]
    if "effect" not in result:
        erased.append("/result/effect")
    if shown.given is None:
        erased.append("/input")
    else:
        made["input"] = shown.given
    if erased:
        made["erased"] = sorted(erased)
    if shown.masked:
        made["masked"] = [f"/input{pointer}" for pointer in shown.masked]
    return made
