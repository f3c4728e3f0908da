"""A deployment in a folder of its own: configuration, policy, tokens, keys, and real processes over them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail.cli.service import application
from guardrail.config import Config
from guardrail.grants import SigningKey
from guardrail.guard import Guardrail
from guardrail.ledger.connection import Place
from guardrail.outcomes import explain
from guardrail.tokens import Tokens
from tests.service.agent import attempt

CONFIG = """
[policies]
paths = ["policies"]

[masking]
hide = ["/password"]

[agents.payer]
tools = ["bank/pay"]

[tools."bank/pay"]
effect = "write"

[people.anna]
principals = ["user:anna"]

[people.ben]
roles = ["operations"]

[people.eve]

[people.mia]

[serve]
port = 0
operators = ["role:operations"]
body_within = "1s"
"""

RULE = """package guardrail.rules.pay

ask contains {"rule": "pay.ask", "message": "people decide on payments", "quorum": QUORUM, "expires_in": "10m"} if {
	input.tool.name == "pay"
}
"""


def environment(path: Path | None = None) -> dict[str, str]:
    """That of this process, with a folder in which modules are found."""
    paths = [str(path or ""), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class Instance:
    """One running process of the service: `guardrail serve`, or another command that comes to the same."""

    def __init__(
        self, folder: Path, number: int, path: Path | None = None, command: Sequence[str] = ()
    ) -> None:
        self.log_path = folder / f"serve-{number}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(command or ("guardrail.cli",)), "serve"],
                cwd=folder,
                stderr=log,
                stdout=log,
                env=environment(path),
            )
        self.url = f"http://127.0.0.1:{self._port()}"

    def _port(self) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in self.log:
                if line["event"] == "listening":
                    return int(line["port"])
            assert self.process.poll() is None, self.log_path.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log_path.read_text())

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines that are whole."""
        return [
            json.loads(line)
            for line in self.log_path.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]

    def client(self, token: str | None = None, **settings: Any) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **settings)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


class Deployment:
    """The folder, and what may be done in it; the ledger is a file there, unless a place of it is given."""

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        self.folder = folder
        self._ledger = "" if place is None else f'[ledger]\npath = "{place}"\nkey = "guardrail.key"\n'
        self.instances: list[Instance] = []
        self._tokens: dict[str, str] = {}

    def configure(self, text: str = CONFIG, *, quorum: int = 1, grants: bool = False) -> None:
        (self.folder / "guardrail.toml").write_text(self._ledger + text)
        (self.folder / "policies").mkdir(exist_ok=True)
        (self.folder / "policies" / "pay.rego").write_text(RULE.replace("QUORUM", str(quorum)))
        if grants:
            self.require_grants()

    @property
    def config(self) -> Config:
        return Config.load(self.folder / "guardrail.toml")

    def require_grants(self) -> None:
        text = (self.folder / "guardrail.toml").read_text()
        (self.folder / "guardrail.toml").write_text(
            text.replace("[serve]\n", '[serve]\nsigning_key = "service.key"\n')
            + '[approvals]\ngrants = "required"\npublic_keys = ["service.pub"]\n'
        )
        SigningKey.generate().write(self.folder / "service.key")

    def command(self, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The command line, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "guardrail.cli", *arguments], cwd=self.folder, capture_output=True, text=True,
            timeout=120, check=False, env=environment(path),
        )  # fmt: skip

    def serve(self, *, path: Path | None = None) -> Instance:
        instance = Instance(self.folder, len(self.instances), path)
        self.instances.append(instance)
        return instance

    def token(self, person: str) -> str:
        if person not in self._tokens:
            self._tokens[person] = Tokens(self.folder / "tokens.json").create(person)
        return self._tokens[person]

    def guard(self) -> Guardrail:
        return Guardrail.from_config(self.folder / "guardrail.toml")

    def send(self, number: int = 1, **arguments: Any) -> str:
        """One call of an agent; the same number and arguments are the same call. Says what the agent reads."""
        with self.guard() as guard:
            tried = attempt(guard, self.folder, number, **arguments)
            outcome = guard.perform(tried, waiting="answer")
        return outcome.value if outcome.status == "returned" else explain(tried.call, outcome)

    def ask(self, number: int = 1, **arguments: Any) -> str:
        """Ask people for a payment; answers the request's id."""
        answer = self.send(number, **arguments)
        assert answer.startswith("WAITING"), answer
        return answer.rpartition("approval ")[2]

    @property
    def effects(self) -> list[str]:
        path = self.folder / "effects"
        return path.read_text().split() if path.exists() else []

    def close(self) -> None:
        for instance in self.instances:
            if instance.process.poll() is None:
                instance.kill()


@pytest.fixture(name="deployment")
def _deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    deployment.configure()
    yield deployment
    deployment.close()


@pytest.fixture(name="serving")
def _serving(deployment: Deployment) -> Iterator[Callable[[str], httpx.Client]]:
    """A client for a person, of the application in this process: for what needs no second one."""
    from starlette.testclient import TestClient

    with application(deployment.config) as app, TestClient(app, raise_server_exceptions=False) as client:

        def as_person(person: str) -> httpx.Client:
            client.headers["Authorization"] = f"Bearer {deployment.token(person)}"
            return client

        yield as_person
