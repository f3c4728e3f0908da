"""Tampering: every kind is found, and the first bad record is named."""

from __future__ import annotations

import ast
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guardrail.ledger.verify
from guardrail.errors import LedgerUnavailable, VerificationFailed
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.sqlite import driver
from guardrail.ledger.told import telling
from guardrail.ledger.verify import Verification, verify
from guardrail.merkle import leaf_hash, pack, push, root
from guardrail.records import encode
from guardrail.sealing import SealingKey
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit_asking, admitted, ask, call, deny, ran, settle
from tests.servers import drop_triggers, server_or_skip, stranger, template

KEY = SealingKey(bytes(32))


@pytest.fixture(name="path")
def _path(tmp_path: Path, original: Place) -> Iterator[Place]:
    """A copy of the ledger with every kind of record."""
    if isinstance(original, Path):
        yield Path(shutil.copy(original, tmp_path / "ledger.db"))
        return
    with server_or_skip().database("original_ledger") as address:
        yield address


@pytest.fixture(name="original", scope="module", params=["sqlite", "postgres"])
def _original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A ledger with every kind of record, in two logs."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("original") / "ledger.db"
        write_everything(path)
        yield path
        return
    server = server_or_skip()
    server.run(f"CREATE DATABASE original_ledger TEMPLATE {template()}")
    write_everything(server.address("original_ledger"))
    yield server.address("original_ledger")
    server.run("DROP DATABASE original_ledger")


def write_everything(path: Place) -> None:
    clock = Clock()
    with Ledger.open(path, key=KEY, clock=clock) as ledger, Ledger.open(path, key=KEY, clock=clock) as other:
        ledger.store_policy("rev-1", b"{}")
        for number in range(12):
            ran(ledger, call(number), labels=("untrusted",) if number == 11 else ())
            ran(other, call(number, run="other"))
        ledger.write(deny(call("denied")), alone=True)
        for name, answer in (("yes", "approve"), ("no", "reject")):
            pending = ledger.write(admit_asking(call(name), version=1), alone=True)
            ledger.vote(pending.approval.id, "bob", answer, channel="test")  # type: ignore[union-attr,arg-type]
        ran_after = ledger.write(admit_asking(call("yes"), version=1), alone=True)
        ledger.write(settle(call("yes"), ran_after), alone=True)  # type: ignore[arg-type]
        late = ledger.write(admit_asking(call("late"), ask(expires_in=1), version=1), alone=True)
        gone = ledger.write(admit_asking(call("gone"), version=1), alone=True)
        ledger.cancel(gone.approval.id)  # type: ignore[union-attr]
        clock.forward(seconds=2)
        assert [found.id for found in ledger.expire_due()] == [late.approval.id]  # type: ignore[union-attr]
        admitted(ledger, call("lost"), version=1)
        ledger.halt("agent:other", "olaf")
        ledger.halt("run:gone", "olaf")
        ledger.unhalt("run:gone", "olaf")
    with Ledger.open(path, key=KEY, clock=clock) as ledger:
        ledger.resolve(call("lost").reference, ran=True, by="olaf")
        kinds = {record.kind for record in ledger.records()}
    assert kinds == {
        "begun", "policy", "tool", "denied", "asked", "voted", "expired", "cancelled", "admitted", "settled",
        "resolved", "halted", "unhalted",
    }  # fmt: skip


def tamper(path: Place, *statements: tuple[str, Any] | str, without_triggers: bool = True) -> None:
    with stranger(path) as connection:
        if without_triggers:
            drop_triggers(connection)
        for statement in statements:
            sql, values = (statement, ()) if isinstance(statement, str) else statement
            if not isinstance(path, Path):
                connection.execute("SELECT begin_month(202602)")  # one may claim to belong there
                sql = re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", sql)
            connection.execute(sql, values)


def ask_database(path: Place, query: str, *values: Any) -> Any:
    with stranger(path) as connection:
        return connection.execute(query, values).fetchone()


def first_fault(path: Place, key: SealingKey | None = KEY) -> tuple[int | None, int | None, str]:
    verification = verify(path, key=key)
    assert not verification.ok
    assert verification.claim.startswith("not as written: ")
    with pytest.raises(VerificationFailed):
        verification.require()
    fault = verification.faults[0]
    return fault.log, fault.sequence, fault.what


def test_what_was_written_verifies(path: Place) -> None:
    progress: list[tuple[int, int]] = []
    (count,) = ask_database(path, "SELECT count(*) FROM records")
    found = verify(path, key=KEY, progress=lambda done, total: progress.append((done, total)))
    found.require()
    assert isinstance(found, Verification)
    assert (found.records, found.erased, found.closed, found.faults) == (count, 0, 0, ())
    assert found.details > 40
    assert progress == [(44, count), (count, count)]
    assert [(head.log, head.month) for head in found.heads] == [(1, 202601), (2, 202601)]
    assert found.claim == f"{count:,} records, unchanged and complete up to the log heads stored here"
    assert found.as_json()["ok"] is True


def test_without_the_key_everything_but_the_details_is_checked(path: Place) -> None:
    found = verify(path)
    assert found.ok
    assert found.closed > 40
    assert found.details == 0


def test_honest_programs_cannot_change_or_delete_records(path: Place) -> None:
    for statement in ("UPDATE records SET kind = 'x'", "DELETE FROM records"):
        with pytest.raises((driver.IntegrityError, psycopg.Error), match="records are written once"):
            tamper(path, statement, without_triggers=False)


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_byte_is_found_where_it_is(path: Place, seed: int) -> None:
    dice = random.Random(seed)
    column, table, key = dice.choice(
        [("body", "records", "id"), ("leaf", "records", "id"), ("body", "sealed", "record")]
    )
    with stranger(path) as connection:
        rows = sorted(connection.execute(f"SELECT {key} FROM {table}").fetchall())
    (number,) = dice.choice(rows)
    (body,) = ask_database(path, f"SELECT {column} FROM {table} WHERE {key} = ?", number)
    changed = bytearray(body)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    tamper(path, (f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (bytes(changed), number)))
    log, sequence, what = first_fault(path)
    assert (log, sequence) == ask_database(path, "SELECT log, sequence FROM records WHERE id = ?", number)
    assert what == (
        "a sealed detail does not open: it was changed, or another key sealed it"
        if table == "sealed"
        else "the body is not the one that its leaf hash was made of"
    )


@pytest.mark.parametrize(
    ("column", "value"), [("kind", "denied"), ("run", "elsewhere"), ("run", None), ("month", 202602)]
)  # fmt: skip
def test_columns_that_do_not_say_what_the_body_says(path: Place, column: str, value: Any) -> None:
    tamper(path, (f"UPDATE records SET {column} = ? WHERE log = 1 AND sequence = 8", (value,)))
    assert first_fault(path) == (1, 8, "the columns do not say what the body says")


@pytest.mark.parametrize("sequence", [0, 5, 20])
def test_a_deleted_record(path: Place, sequence: int) -> None:
    tamper(path, ("DELETE FROM records WHERE log = 1 AND sequence = ?", (sequence,)))
    assert first_fault(path) == (1, sequence, f"it is missing: record {sequence + 1} follows")


def test_a_deleted_record_with_the_rest_moved_up(path: Place) -> None:
    tamper(
        path,
        "DELETE FROM records WHERE log = 1 AND sequence = 5",
        "UPDATE records SET id = id - 1, sequence = sequence - 1 WHERE log = 1 AND sequence > 5",
    )
    assert first_fault(path) == (1, 5, "the columns do not say what the body says")


def test_an_inserted_record(path: Place) -> None:
    tamper(
        path,
        "UPDATE records SET id = id + 1000 WHERE log = 2 AND sequence > 7",
        "UPDATE records SET id = id - 999, sequence = sequence + 1 WHERE log = 2 AND sequence > 7",
        "INSERT INTO records SELECT id + 1, month, log, 8, kind, run, body, leaf FROM records "
        "WHERE log = 2 AND sequence = 7",
    )
    assert first_fault(path) == (2, 8, "the columns do not say what the body says")


def test_a_record_put_after_the_end(path: Place) -> None:
    (size,) = ask_database(path, "SELECT size FROM logs WHERE id = 2")
    body = b'{"kind":"denied","log":2,"sequence":%d}' % size
    row = (2 << 40 | size, size, body, leaf_hash(body))
    tamper(path, ("INSERT INTO records VALUES (?, 202601, 2, ?, 'denied', NULL, ?, ?)", row))
    assert first_fault(path) == (2, size, f"it stands after the end of the log, which holds {size} records")


@pytest.mark.parametrize("columns", [("id",), ("sequence",), ("id", "sequence")])
def test_reordered_records(path: Place, columns: tuple[str, ...]) -> None:
    swaps = []
    for column in columns:
        third = 1 << 40 | 3 if column == "id" else 3
        for old, new in ((third, -1), (third + 1, third), (-1, third + 1)):
            swaps.append((f"UPDATE records SET {column} = ? WHERE {column} = ? AND log = 1", (new, old)))
    tamper(path, *swaps)
    assert first_fault(path) == (1, 3, "the columns do not say what the body says")


def test_records_whose_bodies_were_swapped(path: Place) -> None:
    rows = [
        ask_database(path, "SELECT id, body, leaf FROM records WHERE log = 1 AND sequence = ?", n)
        for n in (6, 9)
    ]
    tamper(
        path,
        ("UPDATE records SET body = ?, leaf = ? WHERE id = ?", (rows[1][1], rows[1][2], rows[0][0])),
        ("UPDATE records SET body = ?, leaf = ? WHERE id = ?", (rows[0][1], rows[0][2], rows[1][0])),
    )
    assert first_fault(path) == (1, 6, "the columns do not say what the body says")


def test_a_truncated_tail(path: Place) -> None:
    (size,) = ask_database(path, "SELECT size FROM logs WHERE id = 1")
    tamper(path, ("DELETE FROM records WHERE log = 1 AND sequence >= ?", (size - 2,)))
    assert first_fault(path) == (1, size - 2, f"the end of the log is missing: it holds {size} records")


def test_a_log_that_is_gone_with_its_records(path: Place) -> None:
    tamper(path, "DELETE FROM records WHERE log = 1", "DELETE FROM logs WHERE id = 1")
    assert first_fault(path) == (1, None, "the log is missing, though a later one exists")
    tamper(path, "DELETE FROM logs", without_triggers=False)
    assert first_fault(path)[2] == "belongs to a log that does not exist"


def test_a_body_rewritten_with_its_leaf_is_narrowed_down_by_the_tree(path: Place) -> None:
    (number, body) = ask_database(path, "SELECT id, body FROM records WHERE log = 1 AND sequence = 3")
    forged = body.replace(b"payer", b"other")
    assert forged != body
    tamper(path, ("UPDATE records SET body = ?, leaf = ? WHERE id = ?", (forged, leaf_hash(forged), number)))
    assert first_fault(path, key=None) == (
        1,
        0,
        "records 0 to 31 are not those that the log's tree was made of",
    )


def test_a_log_rewritten_with_its_head_disagrees_with_the_calls(path: Place) -> None:
    """Cutting the tail and forging the head too: found only as far as the other tables remember."""
    with stranger(path) as connection:
        rows = connection.execute("SELECT leaf FROM records WHERE log = 2 ORDER BY sequence").fetchall()
    frontier: list[bytes] = []
    for size, (leaf,) in enumerate(rows[:-1]):
        push(frontier, size, leaf)
    tamper(
        path,
        (
            "DELETE FROM sealed WHERE record = (SELECT id FROM records WHERE log = 2 AND sequence = ?)",
            (len(rows) - 1,),
        ),
        ("DELETE FROM records WHERE log = 2 AND sequence = ?", (len(rows) - 1,)),
        ("UPDATE logs SET size = ?, frontier = ? WHERE id = 2", (len(rows) - 1, pack(frontier))),
    )
    log, sequence, what = first_fault(path)
    assert (log, sequence) == (None, None)
    assert what.endswith("points to a record that does not exist")


def test_a_frontier_that_was_changed(path: Place) -> None:
    (frontier,) = ask_database(path, "SELECT frontier FROM logs WHERE id = 2")
    tamper(path, ("UPDATE logs SET frontier = ? WHERE id = 2", (frontier + bytes(32),)))
    assert first_fault(path) == (2, None, "the log's row holds more hashes than its size has")


def test_a_detail_that_is_gone_without_an_erasure(path: Place) -> None:
    before = verify(path, key=KEY)
    tamper(path, "DELETE FROM sealed WHERE record IN (SELECT record FROM sealed ORDER BY record LIMIT 3)")
    after = verify(path, key=KEY)
    assert (after.erased, after.details, after.heads) == (3, before.details - 3, before.heads)
    assert [fault.what for fault in after.faults] == ["3 sealed details of run 'run' are gone, 0 were erased"]


def test_details_that_were_exchanged(path: Place) -> None:
    (first, second) = ask_database(path, "SELECT min(record), max(record) FROM sealed")
    tamper(
        path,
        "UPDATE sealed SET body = (SELECT body FROM sealed AS other WHERE other.record <> sealed.record LIMIT 1) "
        f"WHERE record IN ({first}, {second})",
    )
    assert first_fault(path)[2] == "a sealed detail does not open: it was changed, or another key sealed it"


def _set(table: str, assignment: str, where: str = "1 = 1") -> str:
    return f"UPDATE {table} SET {assignment} WHERE {where}"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (_set("calls", "state = 'returned'", "call = 'cdenied'"), "is 'returned' after 1 moves; this record"),
        (_set("calls", "state = 'started'", "call = 'c3' AND run = 'run'"), "is 'started' after 2 moves"),
        ("DELETE FROM calls WHERE call = 'c3' AND run = 'run'", "moves, "),
        (_set("approvals", "state = 'approved'", "state = 'rejected'"), "is approved, recorded as rejected"),
        ("DELETE FROM approvals WHERE state = 'expired'", "is missing, recorded as expired"),
        (_set("votes", "answer = 'approve'", "answer = 'reject'"), "is stored but not recorded"),
        ("DELETE FROM controls", "the halt of agent:other is off, the records say otherwise"),
        ("INSERT INTO controls VALUES ('all', 'x', '', '')", "the halt of all is on, the records say otherwise"),
        (_set("runs", "labels = '[]'", "id = 'run'"), "the labels of run 'run'"),
        ("DELETE FROM runs WHERE id = 'other'", "1 runs are stored, 2 are recorded"),
        (_set("tools", "definition = x'7b7d'"), "is not the one that was stored"),
        ("DELETE FROM tools", "is missing"),
        (_set("policies", "bundle = x'7b7c7d'"), "policy rev-1 is not the one that was stored"),
        ("INSERT INTO sealed VALUES (99999, 'k', x'00')", "a sealed detail belongs to no record (row 99999)"),
    ],
)  # fmt: skip
def test_tables_that_disagree_with_the_records(path: Place, statement: str, what: str) -> None:
    tamper(path, statement)
    assert what in first_fault(path)[2]


def test_a_record_that_no_log_has_room_for(path: Place) -> None:
    """Its columns claim a log that exists; its number does not."""
    tamper(
        path,
        "INSERT INTO records SELECT 9895604649984, month, log, sequence, kind, run, body, leaf FROM records LIMIT 1",
    )
    assert first_fault(path) == (9, 0, "belongs to a log that does not exist")


def test_a_sealed_detail_between_two_logs(path: Place) -> None:
    (size,) = ask_database(path, "SELECT size FROM logs WHERE id = 1")
    row = 1 << 40 | size
    tamper(path, ("INSERT INTO sealed VALUES (?, 'k', x'00')", (row,)))
    assert first_fault(path) == (None, None, f"a sealed detail belongs to no record (row {row})")


@pytest.mark.parametrize("record", [-1, 5, 1 << 40 | 1000, 2 << 40 | 1000, 3 << 40])
def test_a_call_that_points_nowhere(path: Place, record: int) -> None:
    (key,) = ask_database(path, "SELECT key FROM calls WHERE call = 'c3' AND run = 'run'")
    tamper(path, ("UPDATE calls SET record = ? WHERE key = ?", (record, key)))
    assert first_fault(path) == (None, None, f"call_{key[:16]} points to a record that does not exist")


def test_a_call_that_points_to_an_earlier_record_of_its_own(path: Place) -> None:
    query = "SELECT key, state, record FROM calls WHERE call = 'c3' AND run = 'run'"
    key, state, record = ask_database(path, query)
    tamper(path, ("UPDATE calls SET record = record - 1 WHERE key = ?", (key,)))
    what = f"call_{key[:16]} is '{state}' after 2 moves; this record says otherwise"
    assert first_fault(path) == (1, (record - 1) & ((1 << 40) - 1), what)


# A log of several pages: what is wrong at the edge of one is named just as well.

EDGES = [0, 1, 499, 500, 501, 999, 1000, 1001]


@pytest.fixture(name="long", scope="module")
def _long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 1,002 records: two full pages and two records."""
    path = tmp_path_factory.mktemp("long") / "ledger.db"
    with Ledger.open(path, key=KEY, clock=Clock()) as ledger:
        for number in range(500):
            ran(ledger, call(number))
    assert ask_database(path, "SELECT count(*) FROM records") == (1002,)
    assert verify(path, key=KEY).ok
    return path


@pytest.fixture(name="pages")
def _pages(tmp_path: Path, long: Path) -> Path:
    """A copy of the long log."""
    return Path(shutil.copy(long, tmp_path / "ledger.db"))


def test_progress_is_told_page_by_page(long: Path) -> None:
    progress: list[tuple[int, int]] = []
    found = verify(long, key=KEY, progress=lambda done, total: progress.append((done, total)))
    assert progress == [(500, 1002), (1000, 1002), (1002, 1002)]
    assert (found.records, found.details, found.erased, found.closed) == (1002, 1000, 0, 0)


def test_the_root_is_that_of_the_leaves(long: Path) -> None:
    connection = driver.connect(str(long))
    bodies = [body for (body,) in connection.execute("SELECT body FROM records ORDER BY sequence")]
    connection.close()
    assert [head.root for head in verify(long).heads] == [root([leaf_hash(body) for body in bodies]).hex()]


@pytest.mark.parametrize("sequence", EDGES)
def test_a_changed_body_at_the_edge_of_a_page(pages: Path, sequence: int) -> None:
    tamper(pages, ("UPDATE records SET body = CAST(body || x'20' AS BLOB) WHERE sequence = ?", (sequence,)))
    assert first_fault(pages) == (1, sequence, "the body is not the one that its leaf hash was made of")


@pytest.mark.parametrize("sequence", EDGES)
@pytest.mark.parametrize(
    ("column", "value"), [("run", "elsewhere"), ("log", 2), ("month", 1), ("sequence", 5000)]
)
def test_a_changed_column_at_the_edge_of_a_page(pages: Path, sequence: int, column: str, value: Any) -> None:
    tamper(pages, (f"UPDATE records SET {column} = ? WHERE sequence = ?", (value, sequence)))
    assert first_fault(pages) == (1, sequence, "the columns do not say what the body says")


@pytest.mark.parametrize("sequence", EDGES[:-1])
def test_a_deleted_record_at_the_edge_of_a_page(pages: Path, sequence: int) -> None:
    tamper(pages, ("DELETE FROM records WHERE sequence = ?", (sequence,)))
    assert first_fault(pages) == (1, sequence, f"it is missing: record {sequence + 1} follows")


@pytest.mark.parametrize("sequence", EDGES[2:])
def test_a_changed_detail_at_the_edge_of_a_page(pages: Path, sequence: int) -> None:
    last = "UPDATE sealed SET body = substr(body, 1, length(body) - 1) WHERE record & 0xffffffff = ?"
    tamper(pages, (last, (sequence,)))
    what = "a sealed detail does not open: it was changed, or another key sealed it"
    assert first_fault(pages) == (1, sequence, what)
    assert verify(pages).ok


def test_the_first_of_two_faults_in_one_page_is_named(pages: Path) -> None:
    """A detail is wrong before a body is."""
    tamper(
        pages,
        "UPDATE sealed SET body = x'00' WHERE record & 0xffffffff = 600",
        "UPDATE records SET body = x'7b7d' WHERE sequence = 700",
    )
    assert first_fault(pages)[:2] == (1, 600)
    assert first_fault(pages, key=None)[:2] == (1, 700)


@pytest.mark.parametrize("sequence", EDGES[:-1])
def test_a_log_that_is_cut_short_at_the_edge_of_a_page(pages: Path, sequence: int) -> None:
    tamper(pages, ("DELETE FROM records WHERE sequence >= ?", (sequence,)))
    assert first_fault(pages) == (1, sequence, "the end of the log is missing: it holds 1002 records")


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"sequence":3,', '","sequence":3,"', '"run":"a"', '"move":1,', "run", "\\", '"', ""]
)
BODIES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["admitted", "settled", "begun", "denied"]), "log": st.just(7), "scope": TEXTS},
    optional={
        "run": TEXTS, "labels": st.lists(TEXTS, max_size=2), "approval": st.none() | TEXTS,
        "move": st.integers(1, 3), "state": TEXTS, "principal": TEXTS,
    },
)  # fmt: skip


@given(st.lists(BODIES, min_size=1, max_size=6), st.integers(0, 4), st.data())
def test_text_search_says_what_reading_the_bodies_says(
    fields: list[dict[str, Any]], first: int, data: st.DataObject
) -> None:
    rows = [{**row, "sequence": first + place} for place, row in enumerate(fields)]
    bodies = [encode(row) for row in rows]
    kinds, runs = [row["kind"] for row in rows], [row.get("run") for row in rows]
    assert telling(7, first, kinds, runs, bodies) == [
        (row["kind"], body)
        for row, body in zip(rows, bodies, strict=True)
        if not row.keys() >= {"run", "move", "state"} or not (
            (row["kind"] == "settled" and row.get("labels") == [])
            or (row["kind"] == "admitted" and row.get("approval", "") is None and "labels" not in row)
        )
    ]  # fmt: skip
    place = data.draw(st.integers(0, len(rows) - 1))
    changed = data.draw(st.sampled_from(["kind", "run", "sequence", "log"]))
    forged = {**rows[place], changed: data.draw(TEXTS | st.integers(20, 40))}
    bodies[place] = encode(forged)
    if forged.get(changed) != rows[place].get(changed):
        assert telling(7, first, kinds, runs, bodies) is None


def test_a_ledger_that_grows_meanwhile_is_verified_as_of_one_moment(path: Place, clock: Clock) -> None:
    with Ledger.open(path, key=KEY, clock=clock) as ledger:
        seen: list[int] = []

        def write(done: int, _: int) -> None:
            seen.append(done)
            ran(ledger, call(f"meanwhile-{len(seen)}", run="fresh"))

        assert ledger.verify(write).records == seen[-1]
        assert ledger.verify().records == seen[-1] + 5


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        verify(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


def test_the_verifier_imports_nothing_that_writes() -> None:
    """Nor does anything of the ledger that it imports."""
    folder, reached, open_ends = Path(str(guardrail.ledger.verify.__file__)).parent, set[str](), ["verify"]
    while open_ends:
        module = open_ends.pop()
        reached.add(module)
        tree = ast.parse((folder / f"{module}.py").read_text())
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {
            name.removeprefix("guardrail.ledger.") for name in names if name.startswith("guardrail.ledger.")
        }
        open_ends += ours - reached
    assert reached == {
        "agreement", "codes", "connection", "findings", "passing", "places", "readers", "schema", "signed", "sqlite",
        "statements", "told", "verify",
    }  # fmt: skip
