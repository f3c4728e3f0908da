"""An agent that sends money and asks for it: what the tests of people and votes walk down the line."""

from collections.abc import Mapping
from typing import Any

from guardrail.approvals import Approval
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.drivers import Waiting
from guardrail.errors import InvalidArguments
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.people import People, Person
from guardrail.policy import PolicyInput
from guardrail.standing import ApprovalPolicy
from guardrail.testing import ScriptedPolicy, decision
from guardrail.voting import Voting

ANNA = Person(id="anna", principals=("user:anna",))
FINANCE = [Person(id=name, roles=("finance",)) for name in ("ben", "eve", "joe")]
PEOPLE = People([ANNA, *FINANCE, Person(id="mia")])


SEND = Tool(name="send_money", server="bank")
PAYER = Agent(id="payer", chain=("supervisor", "payer"))


def checked(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """As a tool's own schema would."""
    if set(arguments) != {"amount"} or not isinstance(arguments["amount"], int):
        raise InvalidArguments("amount: a whole number was expected")
    return arguments


class Payments:
    """An agent that sends money, asks for it, and comes back once people have answered."""

    def __init__(
        self, ledger: Ledger, people: People = PEOPLE, data: Any = None, *, up_to: int = 0, **asked: Any
    ) -> None:
        self.ledger, self.sent = ledger, list[int]()
        self.asked, self.up_to = asked, up_to
        self.voting = Voting(ledger, people, ApprovalPolicy(Bundle.of({}, data)))
        self.guard = Guardrail(policy=ScriptedPolicy(self._decide), ledger=ledger, voting=self.voting)
        self.turn = 0

    def _decide(self, given: PolicyInput) -> Any:
        """Nothing over a million; small amounts go; people are asked about the rest."""
        amount = given.call.arguments["amount"]
        if amount > 1_000_000:
            return "deny"
        return "allow" if amount <= self.up_to else decision("ask", **self.asked)

    def ask(self, amount: int = 5) -> Approval:
        """Ask for a payment by a call of its own."""
        self.turn += 1
        return self.request(amount, self.turn)

    def request(self, amount: int, turn: int) -> Approval:
        """The request that a call waits for when it is walked."""
        outcome = self.walk(amount, turn)
        assert outcome.heading == "WAITING", outcome
        return self.ledger.approval(outcome.approval or "")

    def vote(self, approval: Approval, person: str = "ben", answer: Any = "approve") -> Approval:
        """Answer a request."""
        return self.voting.vote(approval.id, person, answer, channel="test")

    def walk(self, amount: int, turn: int, waiting: Waiting = "answer") -> Outcome:
        """Walk one call down the line, the first time or again, as a resumed graph does."""

        def send(call: Call) -> str:
            self.sent.append(call.arguments["amount"])
            return f"sent {call.arguments['amount']}"

        anna = Principal(id="user:anna")
        call = Call.of(
            {"amount": amount},
            run="run",
            id=f"call-{turn}",
            agent=PAYER,
            tool=SEND,
            principal=anna,
        )
        return self.guard.perform(Attempt(call=call, invoke=send, validate=checked), waiting=waiting)
