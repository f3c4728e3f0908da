"""`[clients.NAME]`: programs that ask the service for decisions, and for whom they may speak."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from guardrail.scopes import matches
from guardrail.settings import Table


class ClientSettings(Table):
    """A program that asks, in the name of agents; what it says of them is believed as far as this table goes.

    Attributes:
        agents: whose calls it may propose, as ids; every agent of a chain has to be among them.
        principals: for whom those may act, as ids; `*` stands for any text, as in `user:*`.
    """

    agents: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    principals: Annotated[tuple[str, ...], Field(strict=False)] = ("anonymous",)

    def speaks_for(self, chain: Iterable[str]) -> bool:
        """Whether these agents are its own."""
        return set(chain) <= set(self.agents)

    def acts_for(self, principal: str) -> bool:
        """Whether its agents may act for somebody."""
        return any(matches(principal, pattern) for pattern in self.principals)
