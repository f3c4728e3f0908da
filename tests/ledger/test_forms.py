"""The form of the tables goes down to that of every earlier version and up again, with what is in them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from guardrail.admission import Pending
from guardrail.cli.app import app
from guardrail.errors import Conflict, LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.forms import downgrade, upgrade
from guardrail.ledger.migrations import OLDEST
from guardrail.ledger.pruning import Wish
from guardrail.ledger.schema import REVISION
from tests.ledger.conftest import Clock
from tests.ledger.lines import admit_asking, call, ran
from tests.ledger.test_migrations import form as form_of_sqlite
from tests.ledger.test_postgres_form import form as form_of_postgres
from tests.servers import stranger


def form(path: Place) -> dict[str, Any]:
    """Everything that a database says of its tables."""
    return form_of_sqlite(path) if isinstance(path, Path) else form_of_postgres(path)


def filled(ledger: Ledger) -> None:
    """Calls, and people who were asked: what every form has a place for."""
    ran(ledger, call(1))
    asked = ledger.write(admit_asking(call(2)), alone=True)
    assert isinstance(asked, Pending)
    ledger.vote(asked.approval.id, "bob", "reject", channel="test", reason="no")


def test_every_form_is_gone_down_to_and_up_from(ledger: Ledger, path: Place, clock: Clock):
    filled(ledger)
    calls, approvals = ledger.calls("run"), ledger.approvals()
    ledger.close()
    whole = form(path)
    oldest = OLDEST["sqlite" if isinstance(path, Path) else "postgresql"]
    forms = [f"{number:04}" for number in range(int(oldest), int(REVISION))]
    seen = [whole]
    for to in reversed(forms):
        assert downgrade(path, to) == (REVISION, to)
        assert form(path) not in seen
        seen.append(form(path))
        assert upgrade(path) == (to, REVISION)
        assert form(path) == whole
        assert upgrade(path) == (REVISION, REVISION)
    with Ledger.open(path, clock=clock) as again:
        assert (again.calls("run"), again.approvals(), again.verify().faults) == (calls, approvals, ())


def test_nothing_is_lost_unless_somebody_says_so(ledger: Ledger, path: Place, clock: Clock):
    filled(ledger)
    clock.now = datetime(2026, 8, 15, tzinfo=UTC)
    ran(ledger, call(3, run="new"))
    before = datetime(2026, 2, 1, tzinfo=UTC)
    ledger.pruning.declare(Wish(by="olga", before=before, without_checkpoint=True))
    ledger.pruning.finish()
    ledger.close()
    whole = form(path)
    with pytest.raises(Conflict, match="form 0008 has no place for what is here: 1 logs that were pruned"):
        downgrade(path, "0008")
    assert form(path) == whole
    assert downgrade(path, "0008", lose=True) == (REVISION, "0008")
    upgrade(path)
    with stranger(path) as connection:
        assert connection.execute("SELECT count(*) FROM pruned").fetchone()[0] == 0


def test_there_is_nothing_below_the_oldest_form_or_above_ones_own(ledger: Ledger, path: Place):
    ledger.close()
    oldest = int(OLDEST["sqlite" if isinstance(path, Path) else "postgresql"])
    for to in (f"{oldest - 1:04}", "9999", "base", "-1"):
        with pytest.raises(Conflict, match="there is no form"):
            downgrade(path, to)
    downgrade(path, "0007")
    with pytest.raises(Conflict, match="this ledger has 0007"):
        downgrade(path, "0008")
    with stranger(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for way in (lambda: upgrade(path), lambda: downgrade(path, "0007")):
        with pytest.raises(LedgerUnavailable, match="newer version of guardrail"):
            way()


def test_the_commands_say_what_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("guardrail.toml").write_text("")
    none = CliRunner().invoke(app, ["database", "upgrade"])
    assert (none.exit_code, "there is no ledger at" in none.stderr) == (4, True)
    Ledger.open(tmp_path / "guardrail.db").close()
    said = [
        CliRunner().invoke(app, ["database", *words]).output
        for words in (("upgrade",), ("downgrade", "0007"), ("upgrade",), ("downgrade", "0008", "--json"))
    ]
    assert said == [
        f"The tables have form {REVISION} already.\n",
        f"The tables have form 0007; they had {REVISION}.\n",
        f"The tables have form {REVISION}; they had 0007.\n",
        f'{{\n  "from": "{REVISION}",\n  "to": "0008"\n}}\n',
    ]
