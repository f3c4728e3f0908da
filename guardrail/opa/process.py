"""An OPA server as a process of one's own, on this machine: for comparing engines, and for tests."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import httpx

from guardrail.bundles import Bundle
from guardrail.errors import ConfigError, PolicyError
from guardrail.opa.archive import archive

VERSION: Final = "1.22.2"
"""The version of OPA that everything here was compared with."""
BUILT: Final = Path(__file__).parents[2] / ".tools" / "opa"
"""Where `make opa` builds it in a checkout."""
START: Final = 30.0
"""Seconds for a server to be ready."""
_FIX: Final = f"put opa on PATH, or build it: go install github.com/open-policy-agent/opa@v{VERSION}"


def executable() -> str:
    """The executable `opa`: that on PATH, else the one that `make opa` has built.

    Raises:
        ConfigError: there is none.
    """
    found = shutil.which("opa") or (str(BUILT) if os.access(BUILT, os.X_OK) else None)
    if found is None:
        raise ConfigError("there is no OPA on this machine", fix=_FIX)
    return found


class Process:
    """`opa run --server` with a bundle, on a port of this machine. Use it as a context.

    Args:
        bundle: what it decides by; None = nothing.
        as_files: it gets modules and data one by one, so that its data can be changed while it runs.
        options: more options of `opa run`.
        port: where it listens; 0 = wherever there is room.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        as_files: bool = False,
        options: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self._bundle = bundle
        self._as_files = as_files
        self._options = tuple(options)
        self._folder = tempfile.TemporaryDirectory(prefix="guardrail-opa-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or _free_port()

    @property
    def url(self) -> str:
        """Where it listens."""
        secure = any(option.startswith("--tls-cert-file") for option in self._options)
        return f"{'https' if secure else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it, and wait until its port is open.

        Raises:
            PolicyError: it ended, or was not ready in time; says what it printed.
        """
        command = [
            executable(),
            "run",
            "--server",
            "--addr",
            f"127.0.0.1:{self.port}",
            "--log-level",
            "error",
        ]
        command += ["--skip-version-check", *self._options]
        folder = Path(self._folder.name)
        command += self._loaded(folder)
        printed = folder / "printed"
        with printed.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + START
        while not self._is_open():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise PolicyError(
                    f"the OPA server did not start: {printed.read_text(errors='replace')[-2_000:]}"
                )
            time.sleep(0.02)
        return self

    def _loaded(self, folder: Path) -> list[str]:
        """Write what it decides by, and give the arguments that name it."""
        if self._bundle is None:
            return []
        packed = archive(self._bundle)
        if not self._as_files:
            (folder / "bundle.tar.gz").write_bytes(packed)
            return ["--bundle", "bundle.tar.gz"]
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(folder / "files", filter="data")
        (folder / "files" / ".manifest").unlink()
        return ["files"]

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Keep its port open and let it do nothing (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._folder.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def _signal(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(what)

    def _is_open(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True


class Questions:
    """Asks a server for the value of rules, one after the other, without any of the care that a decision needs."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=60.0)

    def ask(self, rule: str, given: bytes) -> tuple[Any, str]:
        """The value of a rule, and what was wrong.

        Args:
            rule: with `data`.
            given: the input, as JSON text.

        Returns:
            `(value, "")`; `(None, "undefined")`; `(None, what it raised)`.
        """
        path = rule.removeprefix("data.").replace(".", "/")
        content = b'{"input":' + given + b"}"
        answer = self._client.post(f"/v1/data/{path}?strict-builtin-errors=true", content=content)
        said: dict[str, Any] = answer.json()
        if answer.status_code != 200:
            error: dict[str, Any] = (said.get("errors") or [said])[0]
            at: dict[str, Any] = error.get("location") or {}
            place = f"{at['file'].removeprefix('files/')}:{at['row']}: " if at.get("file") else ""
            return None, f"{place}{error.get('message')}"
        return (said["result"], "") if "result" in said else (None, "undefined")

    def put_data(self, data: Mapping[str, Any]) -> None:
        """Put documents in the place of what stands at the top of `data`."""
        for name, value in data.items():
            self._client.put(f"/v1/data/{name}", json=value).raise_for_status()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
