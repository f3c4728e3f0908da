"""What the ledger's tests write: calls, decisions and the writes made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from guardrail.admission import Admit, Refuse, Settle, Ticket
from guardrail.budgets import Reservation
from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.decisions import Ask, Decision, Reason, Verdict, refuse
from guardrail.ledger import Ledger
from guardrail.outcomes import Status

SQLITE = pytest.mark.parametrize("path", ["sqlite"], indirect=True)
"""Only what SQLite does, or has."""
SEND = Tool(name="send_money", server="bank")
READ = Tool(name="read_file", server="files", effect="read")
RETRIED = Tool(name="post", server="web", effect="write", retries=True)
IDEMPOTENT = Tool(name="charge", server="card", effect="write", idempotent=True)
PAYER = Agent(id="payer", chain=("supervisor", "payer"))
ANNA = Principal(id="user:anna")


def call(
    number: int | str = 1, *, run: str = "run", tool: Tool = SEND, agent: Agent = PAYER, amount: int = 5
) -> Call:
    return Call.of(
        {"to": "DE12", "amount": amount}, run=run, id=f"c{number}", tool=tool, agent=agent, principal=ANNA
    )


def decision(effect: Verdict = "allow", asks: Sequence[Ask] = (), mask: Sequence[str] = ()) -> Decision:
    reasons = (Reason(rule="pay.limit", message="the amount of 5 is fine"),)
    return Decision(effect=effect, reasons=reasons, asks=tuple(asks), mask=tuple(mask), revision="rev-1")


def ask(*approvers: str, quorum: int = 1, expires_in: float = 900.0) -> Ask:
    return Ask(
        rule="pay.ask",
        message="a person has to agree",
        approvers=approvers,
        quorum=quorum,
        expires_in=expires_in,
    )


def admit(
    of: Call, *reservations: Reservation, version: int = 0, observe: bool = False, **more: Any
) -> Admit:
    decided = more.pop("decided", None) or decision(**more)
    return Admit(
        call=of, decision=decided, given=given(of), version=version,
        reservations=reservations, observe=observe,
    )  # fmt: skip


def admit_asking(of: Call, *asks: Ask, version: int = 0, reservations: Sequence[Reservation] = ()) -> Admit:
    return admit(of, *reservations, version=version, effect="ask", asks=asks or (ask(),))


def deny(of: Call) -> Refuse:
    return Refuse(call=of, decision=refuse("boundary", "not yours"), given=given(of))


def settle(
    of: Call, ticket: Ticket, status: Status = "returned", result: bytes | None = b'"ok"', **more: Any
) -> Settle:
    return Settle(call=of, ticket=ticket, status=status, result=result, **more)


def given(of: Call) -> bytes:
    return orjson.dumps({"schema": 1, "arguments": orjson.Fragment(of.body)})


def budget(
    limit: int, amount: int = 1, *, scope: str = "run/payer/calls", unit: str = "calls"
) -> Reservation:
    return Reservation(scope=scope, amount=amount, limit=limit, name=f"payer: {unit} per run", unit=unit)


def admitted(ledger: Ledger, of: Call, *reservations: Reservation, **more: Any) -> Ticket:
    answer = ledger.write(admit(of, *reservations, **more), alone=True)
    assert isinstance(answer, Ticket), answer
    return answer


def ran(ledger: Ledger, of: Call, status: Status = "returned", **more: Any) -> Ticket:
    ticket = admitted(ledger, of)
    assert ledger.write(settle(of, ticket, status, **more), alone=True) == "settled"
    return ticket
