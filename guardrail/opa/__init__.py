"""Policies in Rego, decided by an OPA server (extra `opa`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardrail.opa.policy import OpaPolicy
    from guardrail.opa.server import Server

__all__ = ["OpaPolicy", "Server"]

_HOMES: Final = {"OpaPolicy": "guardrail.opa.policy", "Server": "guardrail.opa.server"}


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is asked for: who replays what OPA has decided needs no client of it."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
