"""What the service is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guardrail.client_settings import ClientSettings
from guardrail.delivery import Delivery
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.listings import ApprovalArguments
from guardrail.showing import Shown
from guardrail.tokens import Tokens
from guardrail.voting import Voting


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What answers programs.

    Attributes:
        guard: judges, admits and records.
        mark: a keyed digest of a text, the same in every instance: what leases are known by.
        lease: how long one is, in seconds.
        places: how many of the programs may wait at once.
    """

    guard: Guardrail
    mark: Callable[[str], str]
    lease: float
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the service is made of.

    Attributes:
        ledger: where everything is.
        voting: how people answer.
        tokens: who is asking.
        show: what a person is shown of a request, by its id.
        delivery: what tells people; started and closed with the application.
        operators: who may lift halts: ids of people, and `role:NAME`.
        decisions: what answers programs; None = the service asks people and nothing else.
        clients: those programs, by name.
        principals: what policies may know of those whom agents act for, by their id.
        url: where clients reach the service; None = as each of them has called it.
        source: where the policies are handed out, as activations name it; None = they are read once.
    """

    ledger: Ledger
    voting: Voting
    tokens: Tokens
    show: Callable[[str], Shown]
    delivery: Delivery
    operators: tuple[str, ...] = ()
    decisions: Decisions | None = None
    clients: Mapping[str, ClientSettings] = field(default_factory=dict[str, ClientSettings])
    principals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    url: str | None = None
    source: str | None = None

    def arguments(self, approval: str) -> ApprovalArguments:
        """The arguments of a request in the clear.

        Raises:
            Conflict: there is no such request, or they were erased.
        """
        return self.ledger.approval_arguments(approval)
