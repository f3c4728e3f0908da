"""Everything that there are spans and measurements of, once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from guardrail.calls import Agent, Call, Principal
from guardrail.cli.service import application
from guardrail.decisions import Reason
from guardrail.errors import LedgerUnavailable
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.granting import Asking
from guardrail.ledger.sqlite import driver
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedApprover, ScriptedPolicy, decision
from tests.service.conftest import Deployment
from tests.telemetry import sdk


class Both(ScriptedPolicy):
    """Has something to say of outputs, too."""

    reviews = True


def decide(given: PolicyInput) -> Any:
    if given.point == "output":
        return "allow"
    name = given.call.tool.name
    observed = (Reason(rule="urls.open", message="an open redirect"),)
    return {
        "deny": "deny",
        "ask": "ask",
        "watched": replace(decision("allow"), observed=observed),
    }.get(name, "allow")


def attempt(guard: Guardrail, name: str, number: int = 1, invoke: Any = lambda _: "done") -> Attempt:
    tool = guard.tool_definition(name=name, server="local")
    call = Call.of(
        {"number": number}, run="r1", id=f"{name}{number}", tool=tool, agent=Agent(id="payer"),
        principal=Principal(id="user:anna"),
    )  # fmt: skip
    return Attempt(call=call, invoke=invoke)


def fails(_: Any) -> None:
    raise LookupError("no such account")


def calls(guard: Guardrail, database: Path) -> None:
    """Calls that end in every way."""
    for name in ("allow", "deny", "watched"):
        guard.perform(attempt(guard, name))
    guard.perform(attempt(guard, "allow", 2, fails))
    with ScriptedApprover(guard.ledger):
        guard.perform(attempt(guard, "ask"))
    guard.perform(attempt(guard, "ask", 2), waiting="answer")
    [request] = guard.ledger.approvals(state="pending")
    guard.voting.vote(request.id, "ben", "approve", channel="http")
    with pytest.raises(Exception, match="already approved"):
        guard.voting.vote(request.id, "eve", "approve", channel="http")
    guard.perform(attempt(guard, "ask", 2), waiting="answer")
    guard.perform(attempt(guard, "ask", 3), waiting="answer")
    [request] = guard.ledger.approvals(state="pending")
    guard.voting.vote(request.id, "ben", "approve", channel="http", opened=False)
    guard.perform(attempt(guard, "ask", 4), waiting="answer")
    with pytest.raises(KeyboardInterrupt):
        guard.perform(attempt(guard, "cut", 1, cut))
    joined(guard)
    locked(guard, database)


def cut(_: Any) -> None:
    raise KeyboardInterrupt


def joined(guard: Guardrail) -> None:
    """The same call twice at once: one runs, the other one waits for it."""
    begun, end = threading.Event(), threading.Event()

    def slow(_: Any) -> str:
        begun.set()
        end.wait(30)
        return "done"

    async def both() -> None:
        first = asyncio.create_task(asyncio.to_thread(guard.perform, attempt(guard, "slow", 1, slow)))
        await asyncio.to_thread(begun.wait, 30)
        second = asyncio.create_task(guard.perform_async(attempt(guard, "slow", 1, slow)))
        await asyncio.sleep(0)  # it has come as far as it can: to waiting for the first
        end.set()
        await asyncio.gather(first, second)

    asyncio.run(both())


def locked(guard: Guardrail, database: Path) -> None:
    """A commit that cannot be made."""
    other = driver.connect(str(database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable):
        guard.ledger.halt("all", "ben")
    other.close()


def everything(folder: Path) -> None:
    """See the module. What is measured stays measured as long as the folder's ledgers are open: read it at once."""
    database = folder / "guardrail.db"
    with Ledger.open(database, wait=0.05, asking=Asking(channels=("slack",))) as ledger:
        guard = Guardrail(policy=Both(decide), ledger=ledger)
        calls(guard, database)
        Guardrail(policy=ScriptedPolicy("deny"), ledger=ledger, mode="observe").perform(
            attempt(guard, "watch", 9)
        )
        served(folder / "service")
        sdk.keep()


def served(folder: Path) -> None:
    """One request to the service, and one that fails."""
    folder.mkdir()
    deployment = Deployment(folder)
    deployment.configure()
    with application(deployment.config) as app, TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/health").status_code == 200
        (folder / "tokens.json").write_text("no JSON")
        client.headers["Authorization"] = "Bearer x"
        assert client.get("/v1/me").status_code == 503
