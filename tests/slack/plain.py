"""Requests to be shown, made of plain values."""

from typing import Any

from guardrail.approvals import Approval, ApprovalState, Vote
from guardrail.canonical import canonical
from guardrail.decisions import Ask
from guardrail.showing import Shown

ID = "0123456789abcdef" * 2


def approval(**fields: Any) -> Approval:
    made: dict[str, Any] = {
        "id": ID,
        "key": "k" * 64,
        "digest": "d" * 64,
        "run": "run-1",
        "agent": "payer",
        "chain": ("supervisor", "payer"),
        "principal": "user:anna",
        "tool": "bank/send_money",
        "asks": (Ask(rule="payments.large", message="more than 100"),),
        "revision": "r",
        "state": "pending",
        "requested_at": "2026-01-31T12:00:00.000Z",
        "expires_at": "2026-01-31T12:15:00.000Z",
    }
    return Approval(**made | fields)


def shown(arguments: dict[str, Any] | None = None, *, hidden: tuple[str, ...] = (), **fields: Any) -> Shown:
    arguments = {"to": "bob", "amount": 500} if arguments is None else arguments
    own = {name: fields.pop(name) for name in ("changes", "claimed", "ended", "instead") if name in fields}
    return Shown(
        approval=approval(**fields),
        arguments=arguments,
        size=len(canonical(arguments)),
        hidden=hidden,
        **own,
    )


def vote(person: str = "ben", answer: Any = "approve", **fields: Any) -> Vote:
    return Vote(person=person, answer=answer, channel="slack", at="2026-01-31T12:01:00.000Z", **fields)


STATES: tuple[ApprovalState, ...] = (
    "pending", "approved", "consumed", "rejected", "expired", "cancelled", "superseded",
)  # fmt: skip
