"""What the service is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guardrail.delivery import Delivery
from guardrail.ledger import Ledger
from guardrail.ledger.listings import ApprovalArguments
from guardrail.showing import Shown
from guardrail.tokens import Tokens
from guardrail.voting import Voting


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
    """

    ledger: Ledger
    voting: Voting
    tokens: Tokens
    show: Callable[[str], Shown]
    delivery: Delivery
    operators: tuple[str, ...] = ()

    def arguments(self, approval: str) -> ApprovalArguments:
        """The arguments of a request in the clear.

        Raises:
            Conflict: there is no such request, or they were erased.
        """
        return self.ledger.approval_arguments(approval)
