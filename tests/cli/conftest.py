"""A project in a folder of its own: a configuration, and a ledger that the real runtime has filled."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli.app import app
from guardrail.config import Config
from guardrail.errors import Denied, UnknownOutcome
from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy, decision

CONFIG = """
[masking]
hide = ["/login/password"]

[agents.payer]
tools = ["bank/send_money", "balance"]

[tools."bank/send_money"]
effect = "write"

[tools.balance]
effect = "read"
"""

CRASH = """
import os
from guardrail.config import Config
from guardrail.guard import Guardrail
from guardrail.testing import ScriptedPolicy

def send_money(to: str) -> str:
    os._exit(3)

guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=Config.load().open_ledger())
with guard.run("crashed", principal="user:bob"):
    guard.tool(send_money, agent="payer", server="bank")("bob")
"""


def judged(given: PolicyInput) -> Any:
    """Mallory gets nothing, small sums go, large ones are asked for."""
    arguments = given.call.arguments
    if arguments.get("to") == "mallory":
        return decision("deny", rule="payments.stranger", message="mallory is nobody's supplier")
    if arguments.get("amount", 0) > 100:
        return decision("ask", rule="payments.large", message="more than 100", **arguments.get("ask", {}))
    return "allow"


class Project:
    """The folder, and what may be done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[tuple[str, int]] = []
        self.configure(CONFIG)

    @property
    def configured(self) -> str:
        return (self.folder / "guardrail.toml").read_text(encoding="utf-8")

    def configure(self, text: str) -> None:
        (self.folder / "guardrail.toml").write_text(text, encoding="utf-8")

    @contextmanager
    def guard(self, script: Any = judged) -> Iterator[Guardrail]:
        config = Config.load()
        with config.open_ledger() as ledger:
            yield Guardrail(
                policy=ScriptedPolicy(script),
                ledger=ledger,
                boundaries=config.boundaries(),
                tools=config.tools,
                mode=config.mode,
                hide=config.masking.hide,
            )

    def send(
        self, to: str, amount: int = 1, *, password: str | None = None, ask: dict[str, Any] | None = None
    ) -> str:
        """Send money, as the agent `payer` in the run `run-1`; says what the agent reads."""

        def send_money(to: str, amount: int, login: dict[str, str], ask: dict[str, Any]) -> str:
            """Send money."""
            if to == "nobody":
                raise ValueError("there is no such account")
            self.sent.append((to, amount))
            return f"sent {amount} to {to}"

        with self.guard() as guard, guard.run("run-1", principal="user:anna", task="pay the bills"):
            tool = guard.tool(send_money, agent="payer", server="bank", waiting="answer")
            try:
                return tool(to, amount, {} if password is None else {"password": password}, ask or {})
            except (Denied, UnknownOutcome, ValueError) as error:
                return str(error)

    def ask(self, amount: int = 500, *, to: str = "bob", password: str | None = None, **asked: Any) -> str:
        """Ask people for a payment; answers the approval's id."""
        return self.send(to, amount, password=password, ask=asked).rpartition("approval ")[2]

    def crash(self) -> str:
        """A process that dies inside its tool; answers the call that nobody knows the end of."""
        ended = run([sys.executable, "-c", CRASH], cwd=self.folder, check=False)
        assert ended.returncode == 3
        with Config.load().open_ledger() as ledger:
            (call,) = ledger.calls("crashed")
        return call.reference


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    for name in ("GUARDRAIL_CONFIG", "GUARDRAIL_MODE", "FORCE_COLOR", "NO_COLOR", "RUST_BACKTRACE"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path)


@pytest.fixture(name="guardrail")
def _guardrail() -> Callable[..., Result]:
    """The command, in this process."""

    def invoke(*arguments: str, typed: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=typed, prog_name="guardrail")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture(name="document")
def _document(guardrail: Callable[..., Result]) -> Callable[..., Any]:
    """What the command answers to a program."""

    def ask(*arguments: str) -> Any:
        return json.loads(guardrail(*arguments, "--json").stdout)

    return ask


@pytest.fixture(name="process")
def _process() -> Callable[..., CompletedProcess[str]]:
    """The command, in a process of its own, with its output in pipes."""

    def start(*arguments: str, **settings: Any) -> CompletedProcess[str]:
        command = [sys.executable, "-m", "guardrail.cli", *arguments]
        return run(command, capture_output=True, text=True, check=False, timeout=60, **settings)

    return start
