"""Guardrail for LangGraph: `wrap` puts every tool call of every agent in a compiled graph under a guard.

`guard_tool` is for tools that functions call themselves, `coverage` says what is guarded and what is not,
`GuardrailMiddleware` is for agents whose graph is not at hand. `testing` has a scripted chat model.
"""

from typing import TYPE_CHECKING, Any

from guardrail_langgraph.codec import MessageCodec
from guardrail_langgraph.coverage import Coverage, Item, coverage
from guardrail_langgraph.tools import guard_tool
from guardrail_langgraph.wrap import unwrap, wrap

if TYPE_CHECKING:
    from guardrail_langgraph.middleware import GuardrailMiddleware

__all__ = [
    "Coverage",
    "GuardrailMiddleware",
    "Item",
    "MessageCodec",
    "coverage",
    "guard_tool",
    "unwrap",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """`GuardrailMiddleware` needs the package `langchain`; the rest does not."""
    if name == "GuardrailMiddleware":
        from guardrail_langgraph.middleware import GuardrailMiddleware  # noqa: PLC0415

        return GuardrailMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
