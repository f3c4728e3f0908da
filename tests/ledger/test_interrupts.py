"""A caller that is interrupted while others commit for it leaves nothing behind that nobody can settle."""

import signal
import threading
from pathlib import Path

import pytest

from guardrail.admission import Settled, Ticket
from guardrail.ledger import Ledger
from guardrail.ledger.connection import driver
from tests.ledger.lines import admit, call


def test_an_interrupted_admission_reads_unknown_once_it_is_committed(ledger: Ledger, path: Path) -> None:
    """Ctrl-C in a thread that waits for the writer thread, which waits for another process's transaction."""
    ledger.start_run("run", principal=call().principal)
    other = driver.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    alarm = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    release = threading.Timer(0.8, lambda: other.execute("ROLLBACK"))
    alarm.start()
    release.start()
    with pytest.raises(KeyboardInterrupt):
        ledger.write(admit(call()), alone=False)
    release.join()
    assert ledger.write(admit(call()), alone=False) == Settled(status="unknown")
    assert ledger.resolve(call().reference, ran=False, by="op") == "blocked"
    assert isinstance(ledger.write(admit(call()), alone=True), Ticket)
    assert ledger.verify().ok
    other.close()
