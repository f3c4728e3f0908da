"""A PostgreSQL that is gone, cut off, full, slow or read-only: nothing runs that was not admitted, nothing is lost."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from guardrail.admission import Settled, Ticket
from guardrail.errors import LedgerError, LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.ledger.complaints import translate
from guardrail.ledger.connection import shown
from guardrail.ledger.places import database_at
from guardrail.ledger.session import Session
from guardrail.sealing import SealingKey
from tests.ledger.cutting import Cut, Wire
from tests.ledger.lines import admit, admitted, call, ran, settle
from tests.servers import Server, server_or_skip, template

KEY = SealingKey(bytes(32))


@pytest.fixture(name="address")
def _address() -> Iterator[str]:
    with server_or_skip().database(template()) as address:
        yield address


@pytest.fixture(name="wire")
def _wire() -> Iterator[tuple[Wire, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        wire = Wire(Path(folder), server_or_skip().folder)
        yield wire, Path(folder)
        wire.close()


@pytest.fixture(name="own", scope="module")
def _own() -> Iterator[Server]:
    """A server that may be killed."""
    shared = server_or_skip()
    server = Server(shared.binaries)
    yield server
    server.close()


def through(wire: tuple[Wire, Path], address: str) -> str:
    return address.partition("?")[0] + f"?host={wire[1]}"


def owner(address: str, *statements: str) -> None:
    session = Session.to(address, within=5.0, reading=False)
    for statement in statements:
        session.run(statement)
    session.close()


def failing(code: str, times: int) -> str:
    """The next writes of records fail so often; a sequence counts them, as no transaction takes it back."""
    return f"""
    CREATE SEQUENCE failures;
    CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('failures') <= {times} THEN
        RAISE EXCEPTION 'as a test wants it' USING ERRCODE = '{code}';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER fails BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION fails()
    """


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    wire: tuple[Wire, Path], address: str, cut: Cut, alone: bool
) -> None:
    with Ledger.open(through(wire, address), key=KEY) as ledger:
        ran(ledger, call(1))
        wire[0].cut = cut
        ticket = ledger.write(admit(call(2)), alone=alone)
        assert isinstance(ticket, Ticket)
        wire[0].cut = cut
        assert ledger.write(settle(call(2), ticket), alone=alone) == "settled"
        ran(ledger, call(3))
        kinds = [record.kind for record in ledger.records("run")]
        assert (kinds.count("admitted"), kinds.count("settled"), kinds.count("late")) == (3, 3, 0)
        assert ledger.verify().ok


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_that_cannot_be_looked_up_is_told_as_that_and_never_runs(
    wire: tuple[Wire, Path], address: str, cut: Cut
) -> None:
    with Ledger.open(through(wire, address), key=KEY, wait=0.2) as ledger:
        ran(ledger, call(1))
        wire[0].cut, wire[0].open = cut, False
        with pytest.raises(LedgerUnavailable, match="cannot be asked whether it has"):
            ledger.write(admit(call(2)), alone=False)
        wire[0].open = True
        again = ledger.write(admit(call(2)), alone=False)
        assert isinstance(again, Ticket) if cut == "before" else again == Settled(status="unknown")
        assert ledger.verify().ok
    states = {"before": {"returned", "unknown"}, "after": {"returned", "unknown"}}[cut]
    with Ledger.open(address, key=KEY) as ledger:
        assert {found.state for found in ledger.calls("run")} == states


@pytest.mark.parametrize("code", ["40001", "40P01"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_serialization_failure_is_done_again(address: str, code: str, alone: bool) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
        owner(address, failing(code, 2))
        assert isinstance(ledger.write(admit(call(2)), alone=alone), Ticket)
        assert ledger.verify().ok


@pytest.mark.parametrize(
    ("code", "why", "fix"),
    [
        ("53100", "the disk of the server is full", "free disk space"),
        ("25006", "is read-only", "name the primary"),
        ("57014", "took too long", "statement_timeout"),
        ("42501", "does not let this role do that", "give it its rights"),
        ("58030", "the server's system answers with errors", "check its disk"),
    ],
)
def test_what_is_wrong_with_the_database_is_said_and_admits_nothing(
    address: str, code: str, why: str, fix: str
) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
        owner(address, failing(code, 1))
        with pytest.raises(LedgerUnavailable, match=why) as caught:
            ledger.write(admit(call(2)), alone=True)
        assert fix in str(caught.value)
        assert isinstance(ledger.write(admit(call(2)), alone=True), Ticket)
        assert ledger.verify().ok


def test_after_a_failed_write_the_next_one_is_whole(address: str) -> None:
    """What was sent behind the statement that failed was never prepared."""
    with Ledger.open(address, key=KEY) as ledger:
        owner(address, failing("53100", 8))
        for number in range(8):
            with pytest.raises(LedgerUnavailable, match="the disk of the server is full"):
                ledger.write(admit(call(number)), alone=number % 2 == 0)
        for number in range(8):
            ran(ledger, call(number))
        assert ledger.verify().ok


def test_a_buffered_outcome_outlives_a_full_disk(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        ticket = admitted(ledger, call(1))
        owner(address, failing("53100", 1))
        ledger.write_later(settle(call(1), ticket))
        with pytest.raises(LedgerUnavailable):
            ledger.flush()
            ledger.flush()  # the writer thread may have met the full disk first
            raise LedgerUnavailable("it was written", fix="")
        ledger.flush()
        assert ledger.call(call(1).reference).state == "returned"


def test_a_read_only_server_admits_nothing(address: str) -> None:
    Ledger.open(address, key=KEY).close()
    database = address.partition("@/")[2].partition("?")[0]
    owner(address, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with Ledger.open(address, key=KEY) as ledger:
        with pytest.raises(LedgerUnavailable, match="is read-only"):
            ledger.write(admit(call(1)), alone=True)
        assert ledger.runs() == ()


def test_a_table_that_somebody_holds_ends_with_the_time_for_statements(address: str) -> None:
    database = address.partition("@/")[2].partition("?")[0]
    owner(address, f"ALTER DATABASE {database} SET statement_timeout = '150ms'")
    with Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
        holder = Session.to(address, within=5.0, reading=False)
        holder.run("BEGIN; LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LedgerUnavailable, match="took too long"):
            ledger.write(admit(call(2)), alone=True)
        holder.close()
        ran(ledger, call(2))


def test_a_turn_that_somebody_does_not_give_up_is_waited_for_and_no_longer(address: str) -> None:
    with Ledger.open(address, key=KEY, wait=0.2) as ledger:
        ran(ledger, call(1))
        holder = Session.to(address, within=5.0, reading=False)
        holder.run("BEGIN; SELECT pg_advisory_xact_lock(1735745906, 'commits'::regclass::oid::int)")
        with pytest.raises(LedgerUnavailable, match="is locked by another process"):
            ledger.write(admit(call(2)), alone=True)
        holder.close()
        ran(ledger, call(2))


def test_a_text_that_postgres_cannot_hold_is_refused_by_itself(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        with pytest.raises(LedgerError, match="NUL"):
            ledger.halt("all", "anna", "a\0b")
        ran(ledger, call(1))
        assert ledger.halts() == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("/ledger_", "/nothing_"), "does not exist .*createdb"),
        (("?host=", "?host=/no"), "cannot be reached .*start the server"),
        (("//owner@", "//nobody_here@"), "does not let this user in .*check user"),
        (("?host=", "?sslmode=bogus&host="), "has an address that is not understood.*correct it"),
        (("?host=", "?bogus=1&host="), "has an address that is not understood.*correct it"),
    ],
)
def test_why_there_is_no_connection_is_said(address: str, change: tuple[str, str], why: str) -> None:
    with pytest.raises(LedgerUnavailable, match=f"(?s){why}"):
        Ledger.open(address.replace(*change), key=KEY)


def test_a_database_with_other_tables_is_left_alone(address: str) -> None:
    with server_or_skip().database() as other:
        owner(other, "CREATE TABLE mine (id int)")
        with pytest.raises(LedgerUnavailable, match="is not a ledger"):
            Ledger.open(other, key=KEY)


@pytest.mark.parametrize("query", ["app:100%zz-hunter2@127.0.0.1:1/db", "127.0.0.1:1/db?password=a&hunter2"])
def test_of_an_address_that_is_not_understood_nothing_is_quoted(query: str) -> None:
    with pytest.raises(LedgerUnavailable, match="has an address that is not understood") as refused:
        Ledger.open(f"postgresql://{query}", key=KEY)
    assert "%zz" not in refused.value.message


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("consuming input failed: SSL connection has been closed unexpectedly", "start the server"),
        ("SSL SYSCALL error: EOF detected", "start the server"),
        ("SSL error: unexpected eof while reading", "start the server"),
        ("SSL error: certificate verify failed", "sslrootcert"),
        ("server does not support SSL, but SSL was required", "sslrootcert"),
    ],
)
def test_a_lost_connection_is_no_matter_of_certificates(said: str, read: str) -> None:
    assert read in translate(psycopg.OperationalError(said), "x").fix


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://app:secret@db/x") == "postgresql://app:…@db/x"
    assert shown("postgresql://app:se@cr/et@db/x") == "postgresql://app:…@db/x"
    assert (
        shown("postgresql://app@db:5432/x?sslpassword=secret") == "postgresql://app@db:5432/x?sslpassword=…"
    )
    assert shown("postgresql://db/x?user=a&password=secret&a=b") == "postgresql://db/x?user=a&password=…&a=b"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_is_started_again_is_waited_for(own: Server, end: str) -> None:
    with own.database() as address, Ledger.open(address, key=KEY, wait=60) as ledger:
        ran(ledger, call(1))
        assert ledger.read_run("run").position == 2
        getattr(own, end)()
        own.start()
        ran(ledger, call(2))
        getattr(own, end)()
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(ledger.write(admit(call(3)), alone=False)))
        waiting.start()
        own.start()
        waiting.join()
        assert isinstance(answers[0], Ticket)
        assert ledger.write(settle(call(3), answers[0]), alone=True) == "settled"
        assert [found.state for found in ledger.calls("run")] == ["returned"] * 3
        assert ledger.verify().ok


def test_without_a_server_nothing_is_admitted_and_it_is_said(own: Server) -> None:
    with own.database() as address:
        ledger = Ledger.open(address, key=KEY, wait=0.2)
        ran(ledger, call(1))
        own.stop()
        try:
            with pytest.raises(
                LedgerUnavailable, match=r"cannot be reached|was stopped, or is starting"
            ) as caught:
                ledger.write(admit(call(2)), alone=True)
            assert "no tool runs until then" in str(caught.value)
            with pytest.raises(LedgerUnavailable):
                ledger.read_run("elsewhere")
        finally:
            own.start()
        ran(ledger, call(2))
        ledger.close()


def test_a_server_that_says_nothing_any_more_is_lost_and_nothing_runs(own: Server) -> None:
    """Its machine is paused, or its disk hangs: the connection is there, and no answer comes."""
    with own.database() as address, Ledger.open(address, key=KEY, wait=0.2) as ledger:
        kept = ran(ledger, call(1))
        with own.frozen():
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):  # nor does it take another one
                ledger.write(admit(call(2)), alone=True)
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                ledger.read_run("run")
        assert isinstance(ledger.write(admit(call(2)), alone=True), Ticket)
        assert ledger.settled(kept.key) == Settled(status="returned", result=b'"ok"')
        assert ledger.verify().ok


def test_what_was_read_before_a_server_was_started_again_is_read_on_after_it(own: Server) -> None:
    """Between two statements, where nothing tells that the connection is lost."""
    with own.database() as address, Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
        database = database_at(address, wait=5.0)
        with database.reading() as connection:
            assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
            own.stop()
            own.start()
            assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
            own.kill()
            own.start()
            connection.execute("BEGIN")
            assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
            connection.execute("ROLLBACK")
        database.close()


def test_what_is_read_as_of_one_moment_is_not_read_on_after_a_restart(own: Server) -> None:
    with own.database() as address, Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
        database = database_at(address, wait=5.0)
        with pytest.raises(LedgerUnavailable), database.reading() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM calls")
            own.stop()
            own.start()
            connection.execute("SELECT count(*) FROM calls")
        with database.reading() as connection:
            assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
        database.close()


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_read_whose_answer_is_lost_is_asked_once_more(
    wire: tuple[Wire, Path], address: str, cut: Cut
) -> None:
    with Ledger.open(through(wire, address), key=KEY) as ledger:
        ran(ledger, call(1))
        assert len(ledger.runs()) == 1  # there is a connection that reads
        wire[0].words, wire[0].cut = b"controls", cut
        assert ledger.halts() == ()
        assert wire[0].cut is None
        wire[0].cut, wire[0].open = cut, False
        with pytest.raises(LedgerUnavailable, match="cannot be reached"):
            ledger.halts()
        wire[0].open = True
        assert ledger.halts() == ()


def test_whoever_reads_when_the_server_freezes_is_told(own: Server) -> None:
    with own.database() as address, Ledger.open(address, key=KEY, wait=0.2) as ledger:
        kept = ran(ledger, call(1))
        assert ledger.settled(kept.key) is not None  # there is a connection that reads
        with own.frozen(), pytest.raises(LedgerUnavailable, match="no answer within"):
            ledger.settled(kept.key)
        assert ledger.settled(kept.key) is not None
