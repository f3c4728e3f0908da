"""A worker process that is asked one thing at a time, and replaced where it dies or takes too long."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

_WORKER: Final = Path(__file__).with_name("worker.py")
_MAX_LINE: Final = 4_000_000
"""The longest reply, in bytes."""


class WorkerError(Exception):
    """The worker did not answer; the message says why, without what it was asked."""


class Worker:
    """Starts a process and asks it; a process that died, or was too slow, is replaced at the next question.

    Args:
        python: the interpreter.
        validators: what it is to load, as `worker.py` takes it.
        environment: its environment variables, all of them: it gets to see outputs, and need not see more.
        starting: seconds until it has to be ready, once started.
    """

    def __init__(
        self,
        python: str,
        validators: Sequence[Mapping[str, Any]],
        *,
        environment: Mapping[str, str],
        starting: float = 60.0,
    ) -> None:
        self._command = [python, "-P", str(_WORKER)]
        self._validators = list(validators)
        self._environment = dict(environment)
        self._starting = starting
        self._asking = threading.Lock()
        self._process: _Process | None = None
        self.ready = ""

    def start(self) -> None:
        """Start the process, and do not wait for it: what it loads may take seconds."""
        with self._asking:
            self._started()

    def ask(self, text: str, within: float) -> list[dict[str, Any]]:
        """What the validators say of a text.

        Args:
            text: what they are shown.
            within: seconds for the answer, once the process is ready and nobody else asks.

        Raises:
            WorkerError: there is no answer.
        """
        with self._asking:
            process = self._started()
            try:
                if not process.ready:
                    self._get_ready(process)
                process.say({"text": text})
                said: Any = process.hear(within).get("said")
            except WorkerError:
                self._end()
                raise
            return cast("list[dict[str, Any]]", said)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._end()

    def _started(self) -> _Process:
        if (
            self._process is None or self._process.of != os.getpid()
        ):  # a fork shares the pipes with its parent
            self._process = _Process(self._command, self._environment)
            self._process.say(
                self._validators
            )  # not as arguments, which every process of the machine can read
        return self._process

    def _get_ready(self, process: _Process) -> None:
        first = process.hear(max(process.began + self._starting - time.monotonic(), 0.0))
        if "ready" not in first:
            raise WorkerError(f"its validators cannot be loaded: {first.get('failed')}")
        self.ready = str(first["ready"])
        process.ready = True

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.of == os.getpid():
            process.end()


class _Process:
    """One process, and what it has said."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.of = os.getpid()
        self.began = time.monotonic()
        self.ready = False
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise WorkerError(f"its interpreter cannot be started: {error.strerror}") from error
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        output = cast("IO[bytes]", self._process.stdout)
        threading.Thread(
            target=self._listen, args=(output,), name="guardrail validators", daemon=True
        ).start()

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            while line := output.readline(_MAX_LINE):
                self._lines.put(line)
        self._lines.put(b"")

    def say(self, request: object) -> None:
        pipe = cast("IO[bytes]", self._process.stdin)
        try:
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
        except OSError as error:
            raise WorkerError(self._ending()) from error

    def hear(self, within: float) -> dict[str, Any]:
        """The next line of it."""
        try:
            line = self._lines.get(timeout=within)
        except queue.Empty:
            raise WorkerError(f"its worker gave no answer within {within:g} s, and was ended") from None
        if not line:
            raise WorkerError(self._ending())
        try:
            value: object = json.loads(line)
        except ValueError as error:
            raise WorkerError("its worker said what is no answer") from error
        if not isinstance(value, dict):
            raise WorkerError("its worker said what is no answer")
        return cast("dict[str, Any]", value)

    def _ending(self) -> str:
        status = self._process.wait()
        return (
            f"its worker ended by itself (signal {-status})" if status < 0 else f"its worker ended ({status})"
        )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        cast("IO[bytes]", self._process.stdin).close()
