"""The bank of the demo: accounts and transfers in a SQLite file of its own, apart from the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

OPENING: Final = {"ACC-1000": 1_000_00, "ACC-2001": 0, "ACC-2003": 0, "ACC-6666": 0}
"""The accounts and what they hold at first, in cents: our own, two suppliers', and the swindler's."""

OURS: Final = "ACC-1000"


class Bank:
    """Accounts and transfers. Every method opens the file anew, so threads and processes share it."""

    Error = sqlite3.IntegrityError
    """Raised where an amount is not above zero, or our account does not hold it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def opened(cls, path: Path) -> Bank:
        """A new bank with the opening balances; `path` must not exist yet."""
        bank = cls(path)
        with bank._transaction() as database:
            database.execute(
                "CREATE TABLE accounts (id TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0))"
            )
            database.execute(
                "CREATE TABLE transfers (id INTEGER PRIMARY KEY, payee TEXT NOT NULL REFERENCES accounts,"
                " cents INTEGER NOT NULL CHECK (cents > 0), memo TEXT NOT NULL)"
            )
            database.executemany("INSERT INTO accounts VALUES (?, ?)", OPENING.items())
        return bank

    def balance(self, account: str) -> int:
        """What an account holds, in cents.

        Raises:
            ValueError: there is no such account.
        """
        with self._transaction() as database:
            row = database.execute("SELECT cents FROM accounts WHERE id = ?", (account,)).fetchone()
        if row is None:
            raise ValueError(f"there is no account {account}")
        return int(row[0])

    def balances(self) -> dict[str, int]:
        """What every account holds, in cents."""
        return {account: self.balance(account) for account in OPENING}

    def send(self, payee: str, cents: int, memo: str) -> int:
        """Move money from our account to another one; answers the number of the transfer.

        Raises:
            ValueError: there is no such account.
            Bank.Error: the amount is not above zero, or our account does not hold it.
        """
        with self._transaction() as database:
            database.execute("UPDATE accounts SET cents = cents - ? WHERE id = ?", (cents, OURS))
            found = database.execute("UPDATE accounts SET cents = cents + ? WHERE id = ?", (cents, payee))
            if found.rowcount == 0:
                raise ValueError(f"there is no account {payee}")
            done = database.execute(
                "INSERT INTO transfers (payee, cents, memo) VALUES (?, ?, ?)", (payee, cents, memo)
            )
        return int(done.lastrowid or 0)

    def transfers(self) -> list[tuple[str, int]]:
        """Every transfer that was made: the payee and the cents, oldest first."""
        with self._transaction() as database:
            return list(database.execute("SELECT payee, cents FROM transfers ORDER BY id"))

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """All or nothing; committed when the block ends well."""
        with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
            yield database
