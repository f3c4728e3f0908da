"""The scene of every benchmark: one agent with boundaries, the shipped policies, one tool that does nothing.

A run has `RUN_LENGTH` calls, so policies see histories of every length up to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measuring import Stopwatch

from guardrail.boundaries import Boundaries, Boundary, Money
from guardrail.bundles import Bundle
from guardrail.calls import Call
from guardrail.canonical import canonical
from guardrail.config import Durability
from guardrail.decisions import Decision
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger, schema
from guardrail.ledger.connection import Place
from guardrail.ledger.sqlite import driver
from guardrail.policy import Policy, PolicyInput
from guardrail.records import Kind
from guardrail.rego import RegoPolicy
from guardrail.runs import Run
from guardrail.sealing import SealingKey
from guardrail.settings import ToolSettings

AGENT: Final = "payer"
RUN_LENGTH: Final = 20
"""Calls in one run."""
ARGUMENTS: Final[Mapping[str, Any]] = {
    "to": "US133000000121212121212",
    "amount": 125,
    "reference": "Invoice 2026-0117, consulting in January, as agreed in the contract of last November",
}


def send_money(to: str, amount: int, reference: str) -> str:
    """Send money to an account.

    Args:
        to: the account.
        amount: how much, in cents.
        reference: what the recipient reads.
    """
    return f"sent {amount} to {to}: {reference[:12]}"


async def send_money_async(to: str, amount: int, reference: str) -> str:
    """The same as a coroutine."""
    return send_money(to, amount, reference)


MONEY: Final = Money(name="payments", tool="send_money", argument="amount", limit=10_000_000, unit="cent")
BOUNDARIES: Final = Boundaries(
    {AGENT: Boundary(tools=("send_money",), argument_bytes=10_000, calls_per_run=100_000, money=(MONEY,))}
)
"""What the agent may do."""


@contextmanager
def guarded(
    file: Place,
    *,
    outcome: Durability = "buffered",
    policy: Policy | None = None,
    key: SealingKey | None = None,
) -> Iterator[Guardrail]:
    """A guard with a ledger of its own."""
    with closing(RegoPolicy(Bundle.shipped())) as rego, Ledger.open(file, key=key) as ledger:
        yield Guardrail(
            policy=policy or rego,
            boundaries=BOUNDARIES,
            tools={"local/send_money": ToolSettings(effect="write")},
            ledger=ledger,
            outcome=outcome,
        )


def half_way(guard: Guardrail, run: Run) -> Call:
    """Half a run of calls, and the one that is about to be made then."""
    send = guard.tool(send_money, agent=AGENT)
    for _ in range(RUN_LENGTH // 2):
        send(**ARGUMENTS)
    guard.ledger.flush()
    return Call(
        run=run.id,
        id="call",
        principal=run.principal,
        agent=guard.agent(AGENT, (AGENT,)),
        tool=guard.tool_definition(name="send_money", server="local"),
        body=canonical(dict(ARGUMENTS)),
    )


def turn_of(guard: Guardrail) -> Callable[[Stopwatch], None]:
    """One guarded run, its calls timed. That it begins and ends is not part of a call."""
    send = guard.tool(send_money, agent=AGENT)

    def turn(stopwatch: Stopwatch) -> None:
        with guard.run(principal="user:anna"):
            for _ in range(RUN_LENGTH):
                stopwatch.time(lambda: send(**ARGUMENTS))

    return turn


class _Overhearing:
    """A policy that keeps what it was asked."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.heard: list[str] = []

    @property
    def revision(self) -> str:
        return self._policy.revision

    @property
    def bundle(self) -> Mapping[str, Any]:
        return self._policy.bundle

    def decide(self, given: PolicyInput) -> Decision:
        self.heard.append(given.json.decode())
        return self._policy.decide(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One call of a run as the guard went through it: what the raw baseline has to match.

    Attributes:
        given: the policy input.
        row: as many bytes as the guard wrote to admit the call.
        outcome: as many as it wrote to settle it.
    """

    given: str
    row: bytes
    outcome: bytes


def rehearse(folder: Path) -> list[Rehearsed]:
    """Go through one run, and give its policy inputs and the sizes of what was written for each admission."""
    file = folder / "rehearsal.db"
    with closing(RegoPolicy(Bundle.shipped())) as rego:
        overhearing = _Overhearing(rego)
        with guarded(file, policy=overhearing) as guard:
            send = guard.tool(send_money, agent=AGENT)
            with guard.run("rehearsal", principal="user:anna"):
                for _ in range(RUN_LENGTH):
                    send(**ARGUMENTS)
    return [
        Rehearsed(given=given, row=bytes(admitted), outcome=bytes(settled))
        for given, admitted, settled in zip(
            overhearing.heard, _sizes(file, "admitted"), _sizes(file, "settled"), strict=True
        )
    ]


def _sizes(file: Path, kind: Kind) -> list[int]:
    """Bytes of the rows that admit, or settle, each call: its record, what is sealed beside it, its state."""
    columns = " + ".join(f"coalesce(length(c.{column.name}), 0)" for column in schema.calls.columns)
    with closing(driver.connect(file)) as connection:
        rows = connection.execute(
            f"SELECT length(r.body) + length(r.leaf) + length(s.body) + (SELECT max({columns}) FROM calls c)"
            " FROM records r JOIN sealed s ON s.record = r.id WHERE r.kind = ? ORDER BY r.id",
            (kind,),
        )
        return [size for (size,) in rows]
