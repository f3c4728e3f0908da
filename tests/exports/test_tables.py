"""Parquet: what DuckDB has written is read by pyarrow, and compared with the ledger row by row."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guardrail.exports.tables import COLUMNS, SEALED
from guardrail.replay.history import Stretch
from tests.exports.reading import Stored, exported, stored, table
from tests.replay.scene import history

NAMES = {"call_id": "id", "attempt": "fence", "person": "person"}
ARROW = {
    "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"), "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.field("element", pa.string())),
}  # fmt: skip
KINDS = {
    "outcomes": {"settled", "late", "resolved"},
    "approvals": {"asked", "voted", "expired", "cancelled", "superseded", "edited", "remembered"},
}
RELATED = ("admitted_at", "requested_at")


@pytest.fixture(name="target", scope="module")
def _target(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exports") / "parquet"
    exported(recorded, target, "parquet")
    return target


@pytest.fixture(name="unsealed", scope="module")
def _unsealed(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exports") / "parquet"
    exported(recorded, target, "parquet", unsealed=True)
    return target


def expected(name: str, record: Stored) -> dict[str, Any]:
    """The row of a record, from what the database holds of it."""
    fields = record.fields
    point = "output" if name == "decisions" and record.fields["kind"] == "settled" else "action"
    row = {column: fields.get(NAMES.get(column, column)) for column in COLUMNS[name] if column not in RELATED}  # type: ignore[index]
    row |= dict.fromkeys(SEALED[name])  # type: ignore[index]
    row |= {"log": record.log, "sequence": record.sequence, "detail": "sealed" if record.sealed else "none"}
    row |= {"at": datetime.fromisoformat(fields["at"])}
    if "point" in row:
        row["point"] = point
    if "expires_at" in row and row["expires_at"] is not None:
        row["expires_at"] = datetime.fromisoformat(row["expires_at"])
    return row


def test_every_record_is_a_row_as_it_was_hashed(recorded: Path, target: Path):
    assert table(target, "records") == [
        {
            "log": record.log, "sequence": record.sequence, "at": datetime.fromisoformat(record.fields["at"]),
            "kind": record.fields["kind"], "run": record.fields.get("run"), "call": record.fields.get("call"),
            "body": record.body, "leaf": record.leaf, "detail": "sealed" if record.sealed else "none",
        }
        for record in stored(recorded)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["decisions", "outcomes", "approvals"])
def test_a_table_says_what_the_records_say(recorded: Path, target: Path, name: str):
    rows = table(target, name)
    told = [{column: value for column, value in row.items() if column not in RELATED} for row in rows]
    wanted = [
        record
        for record in stored(recorded)
        if (record.decides if name == "decisions" else record.fields["kind"] in KINDS[name])
    ]
    assert told == [expected(name, record) for record in wanted]
    assert len(rows) > 5


def test_an_outcome_names_when_its_attempt_was_admitted(recorded: Path, target: Path):
    admitted = {
        (record.fields["call"], record.fields["fence"]): datetime.fromisoformat(record.fields["at"])
        for record in stored(recorded)
        if record.fields["kind"] == "admitted"
    }
    rows = table(target, "outcomes")
    assert [row["admitted_at"] for row in rows] == [admitted[row["call"], row["attempt"]] for row in rows]


@pytest.mark.parametrize("name", list(COLUMNS))
def test_the_schema_is_the_one_that_is_told(target: Path, name: str):
    (file,) = (target / name).rglob("*.parquet")
    schema = pq.ParquetFile(file).schema_arrow
    told = {column: ARROW[kind] for column, kind in COLUMNS[name].items()}  # type: ignore[index]
    assert {field.name: field.type for field in schema} == told


def test_months_are_partitions_and_the_mark_counts_rows(target: Path):
    months = {path.name for path in (target / "records").iterdir()}
    assert months == {f"month={row['at']:%Y-%m}" for row in table(target, "records")}
    assert json.loads((target / "export.json").read_text()) == {
        "format": "parquet",
        "version": 1,
        "rows": {name: len(table(target, name)) for name in sorted(COLUMNS)},
    }
    assert sorted(path.name for path in target.iterdir()) == sorted([*COLUMNS, "export.json"])


def test_unsealed_inputs_and_answers_are_those_that_were_recorded(recorded: Path, unsealed: Path):
    entries = {}
    with history(recorded).opened() as reading:
        for entry in reading.entries(Stretch(), lambda *_: True):
            if entry is not None and entry.detail is not None:
                part = entry.detail.get("review") or entry.detail
                entries[entry.log, entry.sequence] = (part, entry.detail)
    rows = table(unsealed, "decisions")
    assert {row["detail"] for row in rows} == {"shown"}
    for row in rows:
        part, _ = entries[row["log"], row["sequence"]]
        given = json.loads(row["input"])  # {} where guardrail refused by itself: nobody was asked
        memo = part["given"]["arguments"].get("memo") if part["given"] else None
        if memo is not None and part["decision"]["mask"]:
            assert (set(given["arguments"]["memo"]), row["masked"]) == ({"masked"}, ["/arguments/memo"])
            given["arguments"]["memo"] = memo
        assert given == part["given"]
        assert json.loads(row["result"]) == part["decision"]
        assert row["decision"] == part["decision"]["effect"]
    for row in table(unsealed, "outcomes"):
        _, detail = entries[row["log"], row["sequence"]]
        assert (row["returned"], row["message"] or "") == (detail["result"], detail["message"])
