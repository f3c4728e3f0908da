"""`guardrail demo`: three guarded agents in a LangGraph graph, on real files, accounts and HTTP."""

from guardrail_langgraph.demo.story import run

__all__ = ["run"]
