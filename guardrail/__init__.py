"""Guardrail: validate, bound, approve and record every tool call of your AI agents, before it happens."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from guardrail.version import __version__

if TYPE_CHECKING:
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
    "__version__",
]

_MODULES: Final = (
    "errors", "calls", "decisions", "outcomes", "policy", "boundaries", "config", "rego", "ledger", "guard",
)  # fmt: skip
"""Where the names above are at home, light modules first."""


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is asked for: the help of the command line needs no database."""
    if name in __all__:
        for module in _MODULES:
            home = import_module(f"{__name__}.{module}")
            if name in vars(home):
                return vars(home)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
