"""A SQLite file that is locked, gone, replaced or read-only, on a disk that is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from guardrail.ledger.sqlite import driver
from tests.faults.fault import NO_LEDGER, Fault, Scene
from tests.faults.project import project

_LEDGER = "ledger.db"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own, of that size; the test is skipped where none may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "guardrail-faults", str(disk))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield disk
    finally:
        while disk.is_mount():
            _unmount(disk)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _unmount(disk: Path) -> None:
    subprocess.run(["umount", "--lazy", str(disk)], check=True, capture_output=True)


def fill(disk: Path) -> None:
    """Leave no room."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        size = 1 << 16
        while size:
            try:
                while ballast.write(bytes(size)):
                    pass
            except OSError:
                size //= 2


def make_room(disk: Path) -> None:
    """Take away what fills it."""
    (disk / "ballast").unlink()


@contextmanager
def _full(folder: Path) -> Iterator[Scene]:
    with (
        small_disk(folder, 24) as disk,
        project(folder, place=disk / _LEDGER) as (guard, ledger),
    ):
        yield Scene(guard=guard, place=ledger.path, strike=lambda: fill(disk), mend=lambda: make_room(disk))


@contextmanager
def _locked(folder: Path) -> Iterator[Scene]:
    with project(folder) as (guard, ledger):
        holder: Any = driver.connect(
            str(ledger.path), isolation_level=None, check_same_thread=False, timeout=60
        )
        try:
            yield Scene(
                guard=guard,
                place=ledger.path,
                strike=lambda: holder.execute("BEGIN EXCLUSIVE"),
                mend=lambda: holder.execute("ROLLBACK"),
            )
        finally:
            holder.close()


@contextmanager
def _read_only(folder: Path) -> Iterator[Scene]:
    """Root may write every file, but not where nobody may; and a host that forks opens its files anew."""
    with small_disk(folder, 24) as disk, project(folder, place=disk / _LEDGER) as (guard, ledger):

        def strike() -> None:
            _mount("--bind", str(disk), str(disk))
            _mount("-o", "remount,bind,ro", str(disk))
            if (child := os.fork()) == 0:
                os._exit(0)
            os.waitpid(child, 0)

        yield Scene(guard=guard, place=ledger.path, strike=strike, mend=lambda: _unmount(disk))


@contextmanager
def _gone(folder: Path) -> Iterator[Scene]:
    away = folder / "away"
    with project(folder) as (guard, ledger):
        place = Path(ledger.path)
        yield Scene(
            guard=guard, place=place, strike=lambda: place.rename(away), mend=lambda: away.rename(place)
        )


def _fault(name: str, scene: Callable[[Path], AbstractContextManager[Scene]], says: str) -> Fault:
    return Fault(
        name=name, part="SQLite", scene=scene, answers=NO_LEDGER, about="ledger", state="down", says=says,
        exit_code=4,
    )  # fmt: skip


FAULTS = [
    _fault("the disk is full", _full, "disk is full"),
    _fault("the disk is read-only", _read_only, "ead-only"),
    _fault("another process holds the file", _locked, "locked by another process"),
    _fault("the file is gone", _gone, "is gone"),
]
