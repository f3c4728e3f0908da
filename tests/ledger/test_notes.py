"""What an adapter remembers about a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import LedgerError
from guardrail.ledger import Ledger


def test_a_note_outlives_the_process_and_the_last_one_counts(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        assert ledger.recall("r", "chain") is None
        ledger.remember("r", "chain", ["boss"])
        ledger.remember("r", "chain", ["boss", "payer"])
        ledger.remember("other", "chain", {"of": None})
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        assert ledger.recall("r", "chain") == ["boss", "payer"]
        assert ledger.recall("other", "chain") == {"of": None}
        assert ledger.recall("r", "other") is None
        assert ledger.verify().ok


def test_a_note_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "guardrail.db") as ledger:
        with pytest.raises(LedgerError):
            ledger.remember("r", "chain", object())
        assert ledger.recall("r", "chain") is None
