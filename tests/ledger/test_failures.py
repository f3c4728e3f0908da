"""A database that fails: the tool does not run, the reason can be acted on, and all goes on once it is well."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from guardrail.admission import Settled, Ticket
from guardrail.errors import LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver, is_safe
from guardrail.sealing import SealingKey
from tests.ledger.lines import admit, admitted, call, ran, settle


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """All of this is about SQLite's file."""
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("alone", [True, False])
def test_a_full_disk_admits_nothing_and_recovers(path: Path, alone: bool) -> None:
    with Ledger.open(path) as ledger:
        ticket = admitted(ledger, call(1))
        (pages,) = ledger._database.writer().execute("PRAGMA page_count").fetchone()
        ledger._database.writer().execute(f"PRAGMA max_page_count={pages}")
        big = settle(call(1), ticket, result=b'"%b"' % (b"x" * 200_000))
        with pytest.raises(LedgerUnavailable, match="disk is full") as caught:
            ledger.write(big, alone=alone)
        assert caught.value.fix == "free disk space; no tool runs until then"
        with pytest.raises(LedgerUnavailable, match="disk is full"):
            for number in range(2, 100):  # until the pages that are there are used up
                ledger.write(admit(call(number)), alone=alone)
        ledger._database.writer().execute("PRAGMA max_page_count=1000000")
        assert ledger.write(big, alone=alone) == "settled"
        assert isinstance(ledger.write(admit(call(100)), alone=alone), Ticket)
        assert ledger.verify().ok


def test_a_buffered_outcome_waits_for_a_full_disk(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ticket = admitted(ledger, call(1))
        ledger._database.writer().execute("PRAGMA max_page_count=1")
        ledger.write_later(settle(call(1), ticket, result=b'"%b"' % (b"x" * 200_000)))
        with pytest.raises(LedgerUnavailable, match="disk is full"):
            ledger.flush()
        ledger._database.writer().execute("PRAGMA max_page_count=1000000")
        ledger.flush()
        assert isinstance(ledger.settled(call(1).key), Settled)


def test_an_outcome_that_could_not_be_written_reads_unknown(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ticket = admitted(ledger, call(1))
        ledger._database.writer().execute("PRAGMA max_page_count=1")
        with pytest.raises(LedgerUnavailable):
            ledger.write(settle(call(1), ticket, result=b'"%b"' % (b"x" * 200_000)), alone=True)
        ledger._database.writer().execute("PRAGMA max_page_count=1000000")
        assert ledger.write(admit(call(1)), alone=True) == Settled(status="unknown")


@pytest.fixture(name="blocker")
def _blocker(path: Path) -> Any:
    """Another connection that holds the write lock until it is rolled back."""
    Ledger.open(path).close()
    connection = driver.connect(str(path), isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_locked_database_admits_nothing(path: Path, blocker: Any, alone: bool) -> None:
    with Ledger.open(path, wait=0.1) as ledger:
        with pytest.raises(LedgerUnavailable, match="locked by another process"):
            ledger.write(admit(call()), alone=alone)
        assert ledger.read_run("run").position == 0
        blocker.execute("ROLLBACK")
        assert isinstance(ledger.write(admit(call()), alone=alone), Ticket)


def test_a_short_lock_is_waited_for_without_stopping_the_event_loop(path: Path, blocker: Any) -> None:
    async def main(ledger: Ledger) -> None:
        ticks = 0
        task = asyncio.ensure_future(ledger.write_async(admit(call()), alone=True))
        while not task.done():
            ticks += 1
            if ticks == 20:
                blocker.execute("ROLLBACK")
            await asyncio.sleep(0.001)
        assert isinstance(task.result(), Ticket)
        assert ticks >= 20

    with Ledger.open(path, wait=60) as ledger:
        asyncio.run(main(ledger))


@pytest.mark.parametrize("how", ["deleted", "replaced", "wal"])
def test_a_ledger_that_is_deleted_or_replaced_admits_nothing_more(path: Path, how: str) -> None:
    ledger = Ledger.open(path)
    ran(ledger, call(1))
    match how:
        case "deleted":
            path.unlink()
        case "replaced":
            copy = path.with_name("copy")
            shutil.copy(path, copy)
            copy.replace(path)
        case _:
            Path(f"{path}-wal").unlink()
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="deleted or replaced while it was in use"):
            ledger.write(admit(call(2)), alone=True)
    with pytest.raises(LedgerUnavailable, match="deleted or replaced"):
        ledger.close()


def test_a_read_only_ledger_admits_nothing(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        ran(ledger, call(1))
    code = f"""
import os
from guardrail.ledger import Ledger
from guardrail.errors import LedgerUnavailable
if os.getuid() == 0:
    os.chmod({str(tmp_path)!r}, 0o555)
    for name in os.listdir({str(tmp_path)!r}):
        os.chmod(os.path.join({str(tmp_path)!r}, name), 0o444)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Ledger.open({str(path)!r})
except LedgerUnavailable as error:
    print(error)
"""
    folder = tmp_path
    try:
        while folder != folder.parent and os.getuid() == 0:  # pytest's folders are closed to others
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
            folder = folder.parent
        if os.getuid() != 0:
            tmp_path.chmod(0o555)
            path.chmod(0o444)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        tmp_path.chmod(0o755)
    assert "cannot be opened" in done.stdout or "read-only" in done.stdout, done


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a database, but long enough to look at " * 50, "is not a ledger"), (None, "other tables")],
)
def test_a_file_that_is_no_ledger_is_refused(path: Path, content: bytes | None, message: str) -> None:
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (id)")
        connection.close()
    else:
        path.write_bytes(content)
    with pytest.raises(LedgerUnavailable, match=message):
        Ledger.open(path)


def test_a_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    Ledger.open(path).close()
    connection = driver.connect(str(path))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerUnavailable, match="newer version of guardrail") as caught:
        Ledger.open(path)
    assert caught.value.fix == "upgrade guardrail"


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be opened: No such file or directory"):
        Ledger.open(tmp_path / "nowhere" / "ledger.db")


def test_the_wrong_key_is_refused(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ran(ledger, call())
    with pytest.raises(LedgerUnavailable, match="was sealed with key"):
        Ledger.open(path, key=SealingKey.generate())
    key = Path(f"{path}.key")
    kept = key.rename(key.with_name("kept"))
    with pytest.raises(LedgerUnavailable, match="cannot be read: No such file"):
        Ledger.open(path)
    assert not key.exists()
    key.write_text("nonsense")
    with pytest.raises(LedgerUnavailable, match="does not hold 32 bytes in hex"):
        Ledger.open(path)
    with Ledger.open(path, key=SealingKey.read(kept)) as ledger:
        assert ledger.write(admit(call()), alone=True) == Settled(status="returned", result=b'"ok"')


def test_the_key_is_for_its_owner_only(path: Path) -> None:
    Ledger.open(path).close()
    assert stat.S_IMODE(Path(f"{path}.key").stat().st_mode) == 0o600


def test_many_processes_may_create_one_ledger_at_once(path: Path) -> None:
    code = f"""
from guardrail.ledger import Ledger
with Ledger.open({str(path)!r}) as ledger:
    print(ledger.status().key_id)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = [process.communicate() for process in processes]
    assert {errors for _, errors in answers} == {""}
    assert len({out for out, _ in answers}) == 1


@pytest.mark.parametrize(
    ("version", "safe"),
    [((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False), ((3, 50, 6), False),
     ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 4), True), ((4, 0, 0), True)],
)  # fmt: skip
def test_versions_that_may_share_a_file(version: tuple[int, int, int], safe: bool) -> None:
    assert is_safe(version) is safe


_UNSAFE = """
import sys
sys.modules["pysqlite3"] = None
from guardrail.ledger import Ledger
from guardrail.ledger import sqlite as connection
assert connection.driver.__name__ == "sqlite3"
connection.driver.sqlite_version_info = (3, 40, 1)
from guardrail.errors import LedgerUnavailable
try:
    with Ledger.open(sys.argv[1]) as ledger:
        print("open", ledger.status().shareable, flush=True)
        sys.stdin.readline()
except LedgerUnavailable as error:
    print(error)
"""


def test_with_an_unsafe_sqlite_a_second_process_is_refused(path: Path) -> None:
    command = [sys.executable, "-c", _UNSAFE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open False\n"
        second = subprocess.run(command, input="\n", capture_output=True, text=True, check=True)
        assert "loses data when several processes share a ledger" in second.stdout
        assert "install pysqlite3" in second.stdout
        if is_safe(driver.sqlite_version_info):
            with pytest.raises(LedgerUnavailable, match="that one's SQLite cannot share it"):
                Ledger.open(path)
        first.communicate("\n")
    with Ledger.open(path) as ledger:
        ran(ledger, call())


def test_readers_and_writers_in_many_threads_do_not_disturb_each_other(path: Path) -> None:
    with Ledger.open(path) as ledger:
        stop = threading.Event()
        states: list[int] = []

        def read() -> None:
            while not stop.is_set():
                states.append(ledger.read_run("run").position)
                ledger.calls("run")

        readers = [threading.Thread(target=read) for _ in range(12)]
        for reader in readers:
            reader.start()
        for number in range(30):
            ran(ledger, call(number))
        stop.set()
        for reader in readers:
            reader.join()
        assert ledger.read_run("run").position == 60
        assert set(states) <= set(range(61))
