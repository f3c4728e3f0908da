"""Programs that ask the service: a deployment that knows one, and what it says."""

from __future__ import annotations

from typing import Any

import httpx

from guardrail.tokens import Tokens
from tests.service.conftest import CONFIG, Deployment

CLIENTS: str = (
    CONFIG.replace('tools = ["bank/pay"]', 'tools = ["bank/pay", "bank/balance", "bank/send"]')
    .replace("[serve]\n", '[serve]\nlease = "LEASE"\n')
    .replace('[tools."bank/pay"]', '[tools."bank/balance"]\neffect = "read"\n\n[tools."bank/pay"]')
    + """
[agents.reader]
tools = ["bank/balance"]

[principals."user:anna"]
attributes = { region = "eu" }

[clients.billing]
agents = ["payer"]
principals = ["anonymous", "user:*"]

[clients.shipping]
agents = ["payer"]
"""
)
RULE = """package guardrail.rules.client

ask contains {"rule": "client.pay", "message": "people decide on payments", "expires_in": "10m"} if {
	input.point == "action"
	input.tool.name == "pay"
}

allow contains {"rule": "client.balance", "message": "looking is free"} if input.tool.name == "balance"

allow contains {"rule": "client.send", "message": "small amounts"} if {
	input.point == "action"
	input.tool.name == "send"
	is_number(input.arguments.amount)
	input.arguments.amount <= 100
}

allow contains {
	"rule": "client.round",
	"message": "rounded",
	"obligations": {"replace": {"/amount": 100}},
} if {
	input.point == "action"
	input.tool.name == "send"
	input.arguments.amount == 101
}

allow contains {"rule": "client.told", "message": "outputs are told"} if input.point == "output"

deny contains {"rule": "client.words", "message": "the bank says no"} if {
	input.point == "output"
	walk(input.output.content, [_, text])
	is_string(text)
	contains(text, "forbidden")
}
"""
SEND: dict[str, Any] = {
    "server": "bank",
    "name": "send",
    "schema": {
        "type": "object",
        "properties": {"amount": {"type": "integer"}, "currency": {"type": "string", "default": "EUR"}},
        "required": ["amount"],
        "additionalProperties": False,
    },
}


def configure(deployment: Deployment, *, lease: str = "30s") -> str:
    """A deployment that knows the client `billing`; answers its token."""
    deployment.configure(CLIENTS.replace("LEASE", lease))
    (deployment.folder / "policies" / "pay.rego").write_text(RULE)
    return Tokens(deployment.folder / "tokens.json").create("billing", kind="client")


def proposal(name: str = "balance", *, call: str = "1", **fields: Any) -> dict[str, Any]:
    """A proposal of the agent `payer`."""
    return {
        "run": "r", "call": call, "agent": "payer", "tool": {"server": "bank", "name": name}, "arguments": {}, **fields
    }  # fmt: skip


def settled(client: httpx.Client, admitted: dict[str, Any], **said: Any) -> httpx.Response:
    """Say how an admitted call ended."""
    return client.post(
        f"/v1/calls/{admitted['call']}/outcome",
        json={"lease": admitted["lease"], "how": "returned", **said},
    )
