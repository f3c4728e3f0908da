"""What a run has seen, read back from its records: what it was told, and what its calls have handed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from guardrail.provenance import Source
from guardrail.records import Record


def read_sources(record: Record, marks: dict[int, int]) -> Iterator[tuple[str, Source]]:
    """The source that a record holds, if it holds one, and what it is called; the place is marked as read.

    Args:
        record: with its detail; one that was erased holds nothing any more.
        marks: log → the last place of it that was read.
    """
    marks[record.log] = record.sequence
    if record.kind not in {"begun", "heard", "settled"} or record.detail is None:
        return
    detail: dict[str, Any] = orjson.loads(record.detail)
    if record.kind == "begun":
        if detail["task"]:
            yield f"{record.log}.{record.sequence}", Source(kind="user", content=detail["task"])
    elif (about := detail.get("source")) is not None:
        kept = detail["content"]
        content = orjson.loads(detail["result"] if kept is None else kept)
        heard = record.kind == "heard"
        name = f"{record.log}.{record.sequence}" if heard else f"{detail['key']}/{record.fields['fence']}"
        yield name, Source.from_json(about, content)
