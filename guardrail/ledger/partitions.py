"""The form that the tables have in PostgreSQL: records kept by month, written once, and a count of the commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table

from guardrail.ledger import schema

if TYPE_CHECKING:
    from guardrail.ledger.session import Session

_SAYS_NO: Final = """
CREATE FUNCTION records_are_written_once() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'records are written once'; END $$
"""
_ONCE: Final = """
CREATE TRIGGER records_written_once BEFORE UPDATE OR DELETE ON records
FOR EACH ROW EXECUTE FUNCTION records_are_written_once()
"""
_BEGIN_MONTH: Final = """
CREATE FUNCTION begin_month(month bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER AS $$
DECLARE part text := 'records_' || month;
BEGIN
  IF to_regclass(part) IS NULL THEN
    EXECUTE format('CREATE TABLE %I (LIKE records INCLUDING CONSTRAINTS)', part);
    EXECUTE format('ALTER TABLE records ATTACH PARTITION %I FOR VALUES IN (%s)', part, month);
  END IF;
END $$
"""
"""Attached, not created in place: that would wait for every reader, and hold up every writer meanwhile. It runs with
the rights of whoever owns the tables, so that the application's role needs none to make any."""
_WITHOUT_TEMPORARY: Final = """
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION begin_month(bigint) SET search_path = %I, pg_temp', current_schema());
END $$
"""
"""What it names are the ledger's tables, whatever temporary ones its caller has made."""
BESIDE: Final = (
    _SAYS_NO,
    _ONCE,
    _BEGIN_MONTH,
    _WITHOUT_TEMPORARY,
    "REVOKE EXECUTE ON FUNCTION begin_month(bigint) FROM PUBLIC",
    "SELECT begin_month(0)",
    "CREATE SEQUENCE commits",
)
"""What PostgreSQL has beside the tables: insert-only records, a partition for each month, a count of the commits."""

OWNS: Final = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'records'::regclass"
"""Whether whoever asks may remove the partition of a month."""
_PARTITION: Final = """
SELECT c.oid::regclass::text, i.inhdetachpending
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = to_regclass('records_{month}')
"""
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_lock(1735745906, 1)"


def end_month(session: Session, month: int) -> None:
    """Remove the partition of a month, if it is there, without holding anybody up.

    It is detached first, which waits for those who read it and lets others go on; where that was cut off, it is
    brought to its end.

    Args:
        session: of a role that owns the tables; no transaction is open, and it is closed afterwards.
        month: as 202601.
    """
    session.run("SET lock_timeout = 0; SET statement_timeout = 0")
    session.run(_ONE_AT_A_TIME)
    (found,) = session.run(_PARTITION.format(month=month))
    if found is None:
        return
    part, pending = found
    if pending is not None:  # else it was detached already
        how = "FINALIZE" if pending else "CONCURRENTLY"
        session.run(f"ALTER TABLE records DETACH PARTITION {part} {how}")
    session.run(f"DROP TABLE {part}")


def partitioned() -> MetaData:
    """The tables as PostgreSQL has them: records are kept by month, so the month is part of their key."""
    form = MetaData()
    for table in schema.metadata.sorted_tables:
        if table is not schema.records:
            table.to_metadata(form)
    Table(
        "records",
        form,
        *(Column(column.name, column.type, nullable=column.nullable) for column in schema.records.columns),
        PrimaryKeyConstraint("id", "month"),
        *(Index(index.name, *(column.name for column in index.columns)) for index in schema.records.indexes),
        postgresql_partition_by="LIST (month)",
    )
    return form
