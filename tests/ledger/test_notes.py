"""What an adapter remembers about a run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from guardrail.errors import LedgerError
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place


def test_a_note_outlives_the_process_and_the_last_one_counts(path: Place) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.recall("r", "chain") is None
        ledger.remember("r", "chain", ["boss"])
        ledger.remember("r", "chain", ["boss", "payer"])
        ledger.remember("other", "chain", {"of": None})
    with Ledger.open(path) as ledger:
        assert ledger.recall("r", "chain") == ["boss", "payer"]
        assert ledger.recall("other", "chain") == {"of": None}
        assert ledger.recall("r", "other") is None
        assert ledger.verify().ok


def test_a_note_that_is_no_json_is_refused(path: Place) -> None:
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError):
            ledger.remember("r", "chain", object())
        assert ledger.recall("r", "chain") is None


def test_what_is_added_to_a_note_is_kept_once_whoever_adds_meanwhile(path: Place) -> None:
    with Ledger.open(path) as ledger:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: ledger.remember_also("r", "list", [n % 16], limit=20), range(64)))
        assert sorted(ledger.recall("r", "list")) == [[number] for number in range(16)]
        for number in range(16, 36):
            ledger.remember_also("r", "list", [number], limit=20)
        assert ledger.recall("r", "list") == [[number] for number in range(16, 36)]
        with pytest.raises(LedgerError):
            ledger.remember_also("r", "list", object(), limit=20)
