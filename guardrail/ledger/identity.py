"""Who writes: enough about a process to tell later whether it is still the same one, and alive."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One writer.

    Attributes:
        writer: random; one for every open ledger.
        machine: boot id and process namespace: process numbers compare only within one; empty = not known.
        process_started: start time of the process in the kernel's ticks; tells a reused number; empty = not known.
    """

    writer: str
    host: str
    machine: str
    pid: int
    process_started: str

    @classmethod
    def of_this_process(cls) -> Identity:
        """A new writer in this process."""
        pid = os.getpid()
        return cls(
            writer=secrets.token_hex(16), host=socket.gethostname(), machine=_machine(), pid=pid,
            process_started=_started(pid) or "",
        )  # fmt: skip

    def is_alive(self, machine: str, pid: int, process_started: str) -> bool | None:
        """Whether that process is still there. None where only its lease can tell."""
        if not machine or machine != self.machine or not process_started:
            return None
        return _started(pid) == process_started


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux: leases alone decide
        return ""


def _started(pid: int) -> str | None:
    """Start time of a running process; None where there is none with this number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and parentheses
    return None if fields[0] in "ZX" else fields[19]
