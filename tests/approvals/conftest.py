"""Three parties, each with a folder of its own, over one ledger: agents, the approval service, and people.

shared/    the ledger and its key, which agents and service both use
agent/     configuration with the public key, and what happens in the world
service/   configuration with the signing key and the digests of the tokens
people/    their tokens
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail.config import Config
from guardrail.grants import PublicKeys, SigningKey
from guardrail.guard import Guardrail
from guardrail.tokens import Tokens
from tests.service.conftest import Instance

ROOT = Path(__file__).parents[2]
PEOPLE = ("anna", "ben", "eve", "mia")
BOTH = """
[ledger]
path = "../shared/guardrail.db"
key = "../shared/guardrail.key"

[policies]
paths = ["../shared/policies"]

[agents.payer]
tools = ["bank/pay", "bank/transfer"]

[tools."bank/pay"]
effect = "write"

[tools."bank/transfer"]
effect = "write"
idempotent = true

[people.anna]
principals = ["user:anna"]

[people.ben]
roles = ["finance"]
slack = "U0BEN"

[people.eve]
roles = ["finance"]

[people.mia]
"""
GRANTS = """
[approvals]
grants = "required"
public_keys = ["service.pub"]
"""
SERVE = """
[serve]
port = 0
signing_key = "service.key"
"""
RULE = """package guardrail.rules.bank

ask contains {"rule": "bank.ask", "message": "people decide on money", "quorum": QUORUM, "expires_in": "1h"} if {
	input.tool.server == "bank"
}
"""


class Parties:
    """The folders, and the processes that run in them."""

    def __init__(self, folder: Path, *, quorum: int = 1) -> None:
        self.agent, self.service, self.people = (folder / name for name in ("agent", "service", "people"))
        self.shared = folder / "shared"
        self.policies = self.shared / "policies"
        for made in (self.agent, self.service, self.people, self.policies):
            made.mkdir(parents=True)
        self.ask(quorum)
        public = SigningKey.generate().write(self.service / "service.key")
        (self.agent / "service.pub").write_bytes(public.read_bytes())
        self.configure()
        tokens = Tokens(self.service / "tokens.json")
        self.tokens = {person: tokens.create(person) for person in PEOPLE}
        (self.people / "tokens-of-people.json").write_text(json.dumps(self.tokens))
        self.instances: list[Instance] = []
        self._others: list[subprocess.Popen[bytes]] = []

    def configure(self, more: str = "", *, both: str = BOTH) -> None:
        """Write both configurations, with further tables."""
        (self.agent / "guardrail.toml").write_text(both + GRANTS + more)
        (self.service / "guardrail.toml").write_text(both + GRANTS + SERVE + more)

    def ask(self, quorum: int) -> None:
        """Let the policy ask so many people."""
        (self.policies / "bank.rego").write_text(RULE.replace("QUORUM", str(quorum)))

    @property
    def public(self) -> PublicKeys:
        return PublicKeys.read([self.agent / "service.pub"])

    def config(self, party: str = "agent") -> Config:
        return Config.load(getattr(self, party) / "guardrail.toml")

    def guard(self) -> Guardrail:
        """The guard of an agent's process."""
        return Guardrail.from_config(self.agent / "guardrail.toml")

    def serve(self, *command: str) -> Instance:
        """A service, and where it answers for whoever looks."""
        instance = Instance(self.service, len(self.instances), ROOT, command)
        self.instances.append(instance)
        beside = self.people / "url.new"
        beside.write_text(instance.url)
        beside.replace(self.people / "url")
        return instance

    def vote(self, person: str, request: str, answer: str = "approve") -> httpx.Response:
        """What a person says over HTTP, through the service that was started last."""
        with self.instances[-1].client(self.tokens[person]) as client:
            return client.post(f"/v1/requests/{request}/votes", json={"answer": answer, "opened": True})

    def run(self, module: str, *arguments: Any, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """A process of this folder's tests, which is told nothing but its folder."""
        folder = self.people if module == "approver" else self.agent
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "-m", f"tests.approvals.{module}", str(folder), *map(str, arguments)]
        with (folder / f"{module}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=stdout or log, env=environment)
        self._others.append(process)
        return process

    def close(self) -> None:
        for process in (*self._others, *(instance.process for instance in self.instances)):
            if process.poll() is None:
                process.kill()
            process.wait(30)


@pytest.fixture(name="parties")
def _parties(tmp_path: Path) -> Iterator[Parties]:
    parties = Parties(tmp_path)
    yield parties
    parties.close()
