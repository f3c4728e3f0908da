"""The application's role: it does everything that an application does, and cannot touch what was recorded."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from guardrail.admission import Ticket
from guardrail.cli.app import app
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.ledger import Ledger, schema
from guardrail.ledger.granting import Asking
from guardrail.ledger.rights import RIGHTS, granting_to
from guardrail.ledger.session import Session
from guardrail.sealing import SealingKey
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit, admit_asking, budget, call, ran, settle
from tests.servers import server_or_skip, template

KEY = SealingKey(bytes(32))


@pytest.fixture(name="address")
def _address() -> Iterator[str]:
    """A ledger, as its application may use it."""
    server = server_or_skip()
    with server.database(template()) as address:
        owner = Session.to(address, within=5.0, reading=False)
        owner.run("DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        owner.run(granting_to("app"))
        owner.close()
        yield address.replace("//owner@", "//app@")


def test_it_does_what_an_application_does(address: str) -> None:
    clock = Clock()
    asking = Asking(channels=("slack",))
    with Ledger.open(address, key=KEY, clock=clock, asking=asking) as ledger:
        ledger.store_policy("rev-1", b"{}")
        ran(ledger, call(1))
        ticket = ledger.write(admit(call(2), budget(5)), alone=True)
        assert isinstance(ticket, Ticket)
        ledger.write(settle(call(2), ticket, "blocked"), alone=True)
        pending = ledger.write(admit_asking(call(3)), alone=True)
        ledger.vote(pending.approval.id, "bob", "approve", channel="test")  # type: ignore[union-attr]
        assert isinstance(ledger.write(admit_asking(call(3)), alone=True), Ticket)
        (notice, *_) = ledger.outbox.claim("slack")
        assert ledger.outbox.delivered(notice, {"ts": 1})
        ledger.remember("run", "name", 1)
        ledger.remember("run", "name", 2)
        ledger.halt("agent:x", "olaf")
        ledger.unhalt("agent:x", "olaf")
        ledger.checkpoints.append()
        clock.forward(days=40)  # another month
        ran(ledger, call(4))
        assert ledger.verify().ok
        assert ledger.status().records > 10


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET kind = 'x'",
        "DELETE FROM records",
        "TRUNCATE records",
        "INSERT INTO records SELECT * FROM records ON CONFLICT (id, month) DO UPDATE SET kind = 'x'",
        "DROP TABLE records",
        "ALTER TABLE records DISABLE TRIGGER ALL",
        "DROP TRIGGER records_written_once ON records",
        "UPDATE records_202601 SET kind = 'x'",
        "DELETE FROM records_202601",
        "TRUNCATE records_202601",
        "DROP TABLE records_202601",
        "ALTER TABLE records DETACH PARTITION records_202601",
        "SET session_replication_role = replica",
        "DELETE FROM sealed",
        "UPDATE sealed SET body = ''",
        "DELETE FROM calls",
        "DELETE FROM votes",
        "UPDATE votes SET answer = 'approve'",
        "DELETE FROM approvals",
        "DELETE FROM logs",
        "DELETE FROM checkpoints",
        "UPDATE policies SET bundle = ''",
        "UPDATE alembic_version SET version_num = ''",
        "CREATE TABLE mine (id int)",
        "SELECT setval('commits', 1)",
    ],
)
def test_it_cannot_change_what_was_recorded(address: str, statement: str) -> None:
    with Ledger.open(address, key=KEY, clock=Clock()) as ledger:
        ran(ledger, call(1))
        session = Session.to(address, within=5.0, reading=False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.run(statement)
        session.close()
        assert ledger.verify().ok


def test_the_owner_is_stopped_by_a_trigger_at_least(address: str) -> None:
    with Ledger.open(address, key=KEY) as ledger:
        ran(ledger, call(1))
    owner = Session.to(address.replace("//app@", "//owner@"), within=5.0, reading=False)
    for statement in ("UPDATE records SET kind = 'x'", "DELETE FROM records"):
        with pytest.raises(psycopg.errors.RaiseException, match="records are written once"):
            owner.run(statement)
    owner.close()


def test_it_is_told_what_it_lacks_where_there_is_no_ledger_yet(address: str) -> None:
    server = server_or_skip()
    with server.database() as empty, pytest.raises(LedgerUnavailable, match="does not let this role do that"):
        Ledger.open(empty.replace("//owner@", "//app@"), key=KEY)


def test_every_table_has_its_rights() -> None:
    assert RIGHTS.keys() == {*schema.metadata.tables, "alembic_version"}


def test_a_name_that_needs_quotes_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not the name of a role"):
        granting_to("app; DROP TABLE records")


def test_the_command_prints_it() -> None:
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["database", "roles", "app"]).output == granting_to("app")
