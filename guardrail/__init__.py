"""Guardrail: validate, bound, approve and record every tool call of your AI agents, before it happens."""

from guardrail.boundaries import Boundaries
from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.config import Config
from guardrail.decisions import Decision, Reason
from guardrail.errors import Denied, GuardrailError, Rejected, ResultNotKept, UnknownOutcome, Waiting
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.outcomes import Outcome
from guardrail.policy import Policy, PolicyInput
from guardrail.rego import RegoPolicy

from guardrail.version import __version__

__all__ = [
    "Agent",
    "Boundaries",
    "Call",
    "Config",
    "Decision",
    "Denied",
    "Guardrail",
    "GuardrailError",
    "Ledger",
    "Outcome",
    "Policy",
    "PolicyInput",
    "Principal",
    "Reason",
    "RegoPolicy",
    "Rejected",
    "ResultNotKept",
    "Tool",
    "UnknownOutcome",
    "Waiting",
]
