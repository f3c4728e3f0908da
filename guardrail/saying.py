"""What the guard says: to users, once it was reviewed, and to models in place of a result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from guardrail.calls import Agent, Call, Principal
from guardrail.canonical import canonical, compact
from guardrail.errors import CallError, ConfigError, Denied, InvalidArguments, Withheld
from guardrail.execution import Attempt
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome, explain
from guardrail.policy import AllOf
from guardrail.releasing import EMIT
from guardrail.runs import Run, chain_to, current_run, fresh_call_id
from guardrail.walks import Waiting


class Saying(ABC):
    """The part of the guard that says something; see `guard.Guardrail`."""

    ledger: Ledger
    policy: AllOf
    _hide: Sequence[str]

    @abstractmethod
    def agent(self, name: str, chain: tuple[str, ...]) -> Agent:
        """An agent as the boundaries describe it."""

    @abstractmethod
    def perform(self, attempt: Attempt, *, waiting: Waiting = "wait") -> Outcome:
        """Walk the whole line in this thread."""

    @abstractmethod
    async def perform_async(self, attempt: Attempt, *, waiting: Waiting = "wait") -> Outcome:
        """Walk the whole line in this task."""

    def emit(
        self,
        content: Any,
        *,
        agent: str,
        run: Run | None = None,
        id: str | None = None,  # noqa: A002  (the word of the design)
        waiting: Waiting = "wait",
    ) -> Any:
        """Review what an agent says to the user, and give back what may be told: as it is, or with changes.

        The same id again gives back the same: it is neither reviewed nor asked about a second time.

        Args:
            content: a JSON value.
            agent: who speaks, as named in the configuration.
            run: in which run; None = the one that this code is in.
            id: what sets it apart from others with the same content; None = it is another one.
            waiting: while people decide whether it is told, `wait` in place, or `answer` at once by raising `Withheld`.

        Raises:
            Withheld: the user is not to be told this, or not yet.
            Denied: the agent may not speak now: it is halted, or the content has no JSON form.
            ConfigError: no policy has anything to say of outputs, or there is no run.
        """
        said = self._attempt(content, agent, run, id)
        return self._told(said, self.perform(said, waiting=waiting))

    async def emit_async(
        self,
        content: Any,
        *,
        agent: str,
        run: Run | None = None,
        id: str | None = None,  # noqa: A002
        waiting: Waiting = "wait",
    ) -> Any:
        """The same for asyncio; see `emit`."""
        said = self._attempt(content, agent, run, id)
        return self._told(said, await self.perform_async(said, waiting=waiting))

    def explain(self, call: Call, outcome: Outcome) -> str:
        """What a model reads in place of a result."""
        return explain(call, replace(outcome, mask=(*outcome.mask, *self._hide)))

    def _attempt(self, content: Any, agent: str, run: Run | None, call_id: str | None) -> Attempt:
        run = run or current_run()
        if run is None:
            raise ConfigError(
                "nothing is said outside of a run", fix="open one with guard.run(…), or name it"
            )
        if not self.policy.reviews:
            raise ConfigError(
                "no policy has anything to say of outputs, so this would not be reviewed",
                fix='write rules for input.point == "output", or use the shipped ones',
            )
        principal: Principal = run.principal
        try:
            body = canonical({"content": content})
        except CallError as error:
            raise InvalidArguments(f"this cannot be told: {error.message}", fix=error.fix) from error
        call = Call(
            run=run.id,
            id=call_id or fresh_call_id(),
            principal=principal,
            agent=self.agent(agent, chain_to(agent)),
            tool=EMIT,
            body=body,
        )
        return Attempt(call=call, invoke=lambda judged: judged.arguments["content"])

    def _told(self, said: Attempt, outcome: Outcome) -> Any:
        """What may be told, remembered for sinks; or why not."""
        call = said.call
        if outcome.status == "returned" and outcome.heading is None:
            self.ledger.emissions.release(call.run, compact(outcome.value), call=call.reference)
            return outcome.value
        text = self.explain(call, replace(outcome, mask=("",)))  # what is not told stands in no text either
        raise (Withheld if outcome.status == "returned" else Denied)(text, outcome=outcome)
