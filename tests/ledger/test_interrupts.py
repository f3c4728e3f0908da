"""A caller that is interrupted while others commit for it leaves nothing behind that nobody can settle."""

import signal
import threading
from pathlib import Path

import pytest

from guardrail.admission import Settled, Ticket
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver
from tests.ledger.lines import admit, call


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """All of this is about SQLite's file."""
    return tmp_path / "ledger.db"


def test_an_interrupted_admission_reads_unknown_once_it_is_committed(ledger: Ledger, path: Path) -> None:
    """Ctrl-C in a thread that waits for the writer thread, which waits for another process's transaction."""
    ledger.start_run("run", principal=call().principal)
    other = driver.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    # To this very thread: a signal that another thread gets does not end a wait here, and the answer may come first.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    alarm = threading.Timer(1.0, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    alarm.start()
    with pytest.raises(KeyboardInterrupt):
        ledger.write(admit(call()), alone=False)
    signal.signal(signal.SIGINT, before)
    other.execute("ROLLBACK")
    assert ledger.write(admit(call()), alone=False) == Settled(status="unknown")
    assert ledger.resolve(call().reference, ran=False, by="op") == "blocked"
    assert isinstance(ledger.write(admit(call()), alone=True), Ticket)
    assert ledger.verify().ok
    other.close()
