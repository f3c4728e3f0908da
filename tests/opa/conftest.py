"""A real OPA server where there is one: from PATH, or built by `make opa`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.errors import ConfigError
from guardrail.facts import Facts
from guardrail.opa import OpaPolicy, Server
from guardrail.opa.process import Process, executable
from guardrail.policy import PolicyInput, RunState

RULES = """package guardrail.rules.pay

amount := object.get(input.arguments, "amount", null)

allow contains {"rule": "pay.small", "message": "a small payment"} if {
	is_number(amount)
	amount <= 100
	amount != 13
}

deny contains {"rule": "pay.large", "message": sprintf("%v is too much", [amount])} if {
	is_number(amount)
	amount > 100
}

allow contains {"rule": "pay.raises", "message": "never"} if {
	amount == 13
	to_number("thirteen") == 13
}
"""
BUNDLE = Bundle.of({"pay.rego": RULES})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    try:
        executable()
    except ConfigError as error:
        if os.environ.get("GUARDRAIL_NEEDS_OPA") == "1":
            raise
        here = Path(__file__).parent
        for item in items:
            if item.path.is_relative_to(here) and "opa" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=f"{error.message}: {error.fix}"))


def given(amount: Any = 5, **arguments: Any) -> PolicyInput:
    call = Call.of(
        {"amount": amount, **arguments}, run="r", id="c", agent=Agent(id="payer"), tool=Tool(name="pay")
    )
    state = RunState(id="r", started="2026-01-31T12:00:00Z")
    return PolicyInput(call=call, facts=Facts(), run=state, now="2026-01-31T12:00:00Z")


@pytest.fixture(name="opa")
def _opa() -> None:
    """Marks a test that needs the real OPA."""


@pytest.fixture(name="needs_opa", scope="session")
def _needs_opa() -> None:
    """Of what is made for several tests: where there is no OPA, it is not made."""
    try:
        executable()
    except ConfigError as error:
        pytest.skip(error.message)


@pytest.fixture(name="server", scope="module")
def _server(needs_opa: None) -> Iterator[Process]:
    with Process(BUNDLE) as process:
        yield process


@pytest.fixture(name="policy")
def _policy(opa: None, server: Process) -> Iterator[OpaPolicy]:
    policy = OpaPolicy(Server(url=server.url, timeout=20.0), bundle=BUNDLE)
    yield policy
    policy.close()
