"""Files change after people have said yes: the call is refused or asked about again, where grants are required.

What changes in memory is tested in `tests/test_after_the_vote.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from guardrail.cli.service import application
from guardrail.grants import SigningKey
from guardrail.outcomes import Outcome
from tests.approvals.calls import payment
from tests.approvals.conftest import BOTH, Parties
from tests.approvals.world import World

Answer = Callable[..., Any]
WRITES = '[tools."bank/pay"]\neffect = "write"\n'
BEN = '[people.ben]\nroles = ["finance"]\nslack = "U0BEN"\n'
ANNA = '[people.anna]\nprincipals = ["user:anna"]\n\n[people.ben]\n'
BEN_IS_ANNA = '[people.anna]\nprincipals = ["user:else"]\n\n[people.ben]\nprincipals = ["user:anna"]\n'


@pytest.fixture(name="answer")
def _answer(parties: Parties) -> Iterator[Answer]:
    """What people say over HTTP; the service's application in this process."""
    with application(parties.config("service")) as app, TestClient(app) as client:

        def answer(person: str, request: str) -> Any:
            said = client.post(
                f"/v1/requests/{request}/votes",
                json={"answer": "approve", "opened": True},
                headers={"Authorization": f"Bearer {parties.tokens[person]}"},
            )
            return said.json()

        yield answer


def pay(parties: Parties, **definition: Any) -> Outcome:
    """The same call each time, made by an agent's process that has just started."""
    with parties.guard() as guard:
        call = payment(guard, World(parties.agent).pay, 1, **definition)
        return guard.perform(call, waiting="answer")


def paid(parties: Parties) -> list[str]:
    path = parties.agent / "payments"
    return path.read_text().split() if path.exists() else []


def configure(before: str, after: str) -> Callable[[Parties], None]:
    """Change the configuration of the agent's process and the service."""
    assert before in BOTH
    return lambda parties: parties.configure(both=BOTH.replace(before, after))


def more_people(parties: Parties) -> None:
    parties.ask(2)


def other_approvers(parties: Parties) -> None:
    text = (parties.policies / "bank.rego").read_text()
    (parties.policies / "bank.rego").write_text(
        text.replace('"quorum": 1', '"quorum": 1, "approvers": ["role:audit"]')
    )


def another_key(parties: Parties) -> None:
    key = SigningKey.generate().write(parties.people / "other.key")
    (parties.agent / "service.pub").write_bytes(key.read_bytes())


def same_again(parties: Parties) -> None:
    text = (parties.policies / "bank.rego").read_text()
    (parties.policies / "bank.rego").write_text(f"# The same in other words.\n{text}")


def nothing(_: Parties) -> None:
    pass


ASKED = "people decide on money"
"""Why people are asked, the first time and again."""
CHANGES: dict[str, tuple[Callable[[Parties], None], dict[str, Any], str, str]] = {
    "tool's schema": (nothing, {"schema": {"type": "object"}}, "WAITING", ASKED),
    "tool's effect": (configure(WRITES, WRITES.replace("write", "irreversible")), {}, "WAITING", ASKED),
    "policy asks others": (other_approvers, {}, "WAITING", ASKED),
    "boundary": (configure('["bank/pay", "bank/transfer"]', '["bank/transfer"]'), {}, "DENIED", "bank/pay"),
    "approver is gone": (configure(BEN, ""), {}, "WAITING", ASKED),
    "approver is whom the agents act for": (configure(ANNA, BEN_IS_ANNA), {}, "WAITING", ASKED),
    "key of the service": (another_key, {}, "REJECTED", "signed with a key that is not trusted here"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_after_the_vote_is_refused_or_asked_about_again(
    parties: Parties, answer: Answer, what: str
) -> None:
    change, definition, heading, why = CHANGES[what]
    request = pay(parties).approval or ""
    assert answer("ben", request)["state"] == "approved"
    change(parties)
    outcome = pay(parties, **definition)
    assert (outcome.heading, paid(parties)) == (heading, [])
    assert any(why in reason.message for reason in outcome.reasons), outcome
    assert (heading != "WAITING") or outcome.approval != request


@pytest.mark.parametrize(
    "change", [nothing, same_again], ids=["nothing changed", "the same policy in other words"]
)
def test_what_changed_nothing_runs_once(
    parties: Parties, answer: Answer, change: Callable[[Parties], None]
) -> None:
    request = pay(parties).approval or ""
    assert answer("ben", request)["state"] == "approved"
    change(parties)
    assert [pay(parties).value, pay(parties).value, paid(parties)] == ["paid 1", "paid 1", ["1"]]


def test_where_more_people_are_asked_now_nothing_that_was_signed_before_counts(
    parties: Parties, answer: Answer
) -> None:
    first = pay(parties).approval or ""
    answer("ben", first)
    more_people(parties)
    second = pay(parties).approval or ""
    with parties.config().open_ledger() as ledger:
        assert (ledger.approval(first).state, ledger.approval(second).votes) == ("superseded", ())
    assert "already" in answer("eve", first)["error"]["message"]
    assert [answer(person, second)["state"] for person in ("eve", "ben")] == ["pending", "approved"]
    assert (pay(parties).value, paid(parties)) == ("paid 1", ["1"])
