"""What the tools of the tests do something to: a file of payments, and a bank."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def append(path: Path, line: str) -> None:
    """Add a line and have it on the disk."""
    with path.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())
        os.fsync(file.fileno())


def awake(folder: Path) -> None:
    """Say that this process is at work."""
    append(folder / "awake", str(os.getpid()))


class World:
    """What tools do something to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._bank() as bank:
            bank.execute("CREATE TABLE IF NOT EXISTS transfers (number INTEGER PRIMARY KEY)")

    def _bank(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / "bank.db", timeout=30)

    def pay(self, number: int) -> str:
        """Pay: twice is twice."""
        append(self._folder / "payments", str(number))
        return f"paid {number}"

    def transfer(self, number: int) -> str:
        """Order a transfer; the bank takes an order of the same number once."""
        with self._bank() as bank:
            bank.execute("INSERT OR IGNORE INTO transfers VALUES (?)", (number,))
        return f"transferred {number}"
