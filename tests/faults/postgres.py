"""A PostgreSQL server that is down, killed, failing over, full, read-only or slow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

from tests.faults.fault import NO_LEDGER, Fault, Scene
from tests.faults.project import project
from tests.faults.sqlite import fill, make_room, small_disk
from tests.servers import Server, server_or_skip, template


@contextmanager
def _server() -> Iterator[Server]:
    """A server that may be killed."""
    with closing(Server(server_or_skip().binaries)) as server:
        yield server


@contextmanager
def _down(folder: Path) -> Iterator[Scene]:
    with _server() as server, server.database() as address, project(folder, place=address) as (guard, _):
        yield Scene(guard=guard, place=address, strike=server.stop, mend=server.start)


@contextmanager
def _killed(folder: Path) -> Iterator[Scene]:
    with _server() as server, server.database() as address, project(folder, place=address) as (guard, _):
        yield Scene(guard=guard, place=address, strike=server.kill, mend=server.start)


@contextmanager
def _silent(folder: Path) -> Iterator[Scene]:
    with (
        _server() as server,
        server.database() as address,
        project(folder, place=address) as (guard, _),
        ExitStack() as frozen,
    ):
        yield Scene(
            guard=guard,
            place=address,
            strike=lambda: frozen.enter_context(server.frozen()),
            mend=frozen.close,
        )


@contextmanager
def _failing_over(folder: Path) -> Iterator[Scene]:
    """What the first has promised, the second has: commits wait for it (`synchronous_standby_names`)."""
    with _server() as first, closing(Server(first.binaries, of=first)) as second:
        first.run(
            "CREATE DATABASE ledger",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        )
        hosts = f"{first.folder},{second.folder}"
        address = f"postgresql://owner@/ledger?host={hosts}&target_session_attrs=read-write"
        with project(folder, place=address) as (guard, _):
            yield Scene(
                guard=guard, place=address, strike=first.kill, mend=lambda: second.run("SELECT pg_promote()")
            )


@contextmanager
def _read_only(folder: Path) -> Iterator[Scene]:
    server = server_or_skip()
    with server.database(template()) as address, project(folder, place=address) as (guard, _):
        name = address.partition("@/")[2].partition("?")[0]
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

        def turn(to: str) -> None:
            server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = {to}", cut)

        yield Scene(guard=guard, place=address, strike=lambda: turn("on"), mend=lambda: turn("off"))


@contextmanager
def _full(folder: Path) -> Iterator[Scene]:
    server = server_or_skip()
    owner = server.folder.stat()
    with (
        tempfile.TemporaryDirectory(dir=server.folder, ignore_cleanup_errors=True) as place,
        small_disk(Path(place), 48) as disk,
    ):
        os.chown(place, owner.st_uid, owner.st_gid)
        held = disk / "held"
        held.mkdir()
        os.chown(disk, owner.st_uid, owner.st_gid)
        os.chown(held, owner.st_uid, owner.st_gid)
        server.run(
            f"CREATE TABLESPACE small LOCATION '{held}'",
            f"CREATE DATABASE small_ledger TEMPLATE {template()} TABLESPACE small",
        )
        try:
            address = server.address("small_ledger")
            with project(folder, place=address) as (guard, _):
                yield Scene(
                    guard=guard, place=address, strike=lambda: fill(disk), mend=lambda: make_room(disk)
                )
        finally:
            server.run("DROP DATABASE small_ledger WITH (FORCE)", "DROP TABLESPACE small")


@contextmanager
def _slow(folder: Path) -> Iterator[Scene]:
    """Somebody holds what every call needs, and the role waits no longer than that for a statement."""
    server = server_or_skip()
    with server.database(template()) as address:
        name = address.partition("@/")[2].partition("?")[0]
        server.run(f"ALTER DATABASE {name} SET statement_timeout = '150ms'")
        with (
            project(folder, place=address) as (guard, _),
            psycopg.connect(address, options="-c statement_timeout=0") as holder,
        ):
            yield Scene(
                guard=guard,
                place=address,
                strike=lambda: holder.execute("LOCK TABLE calls, controls, logs IN ACCESS EXCLUSIVE MODE"),
                mend=holder.rollback,
            )


def _fault(
    name: str,
    scene: Callable[[Path], AbstractContextManager[Scene]],
    says: str,
    *,
    is_slow: bool = False,
) -> Fault:
    return Fault(
        name=name, part="PostgreSQL", scene=scene, answers=NO_LEDGER, about="ledger", state="down", says=says,
        exit_code=4, is_slow=is_slow,
    )  # fmt: skip


FAULTS = [
    _fault("the server is stopped", _down, "cannot be reached"),
    _fault("the server is killed", _killed, "cannot be reached"),
    _fault("the server says nothing (SIGSTOP)", _silent, "cannot be reached", is_slow=True),
    _fault("the primary is killed, and a standby promoted", _failing_over, "cannot be reached"),
    _fault("the database is read-only", _read_only, "read-only"),
    _fault("the disk of the server is full", _full, "disk of the server is full"),
    _fault("statements take too long", _slow, "took too long"),
]
