"""A guard for `create_agent` as middleware, where an agent's graph is not at hand to be wrapped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langgraph.prebuilt.tool_node import ToolCallRequest

from guardrail.errors import ConfigError
from guardrail.guard import Guardrail
from guardrail_langgraph.binding import SERVER, Binding, WithoutCheckpointer
from guardrail_langgraph.interception import GuardedExecute
from guardrail_langgraph.siblings import Sibling
from guardrail_langgraph.walk import is_provider_tool


class GuardrailMiddleware(AgentMiddleware[Any, Any, Any]):
    """Guards the tool calls of one agent made by `create_agent`. It has to be the last of the middleware.

    The last one is innermost: nobody can change a call after it was judged. This is checked whenever a
    tool is called. Tools that functions call past the agent's tool node are not seen; `wrap` sees them.

    Args:
        guard: what judges.
        agent: who acts, as named in the configuration.
        server: whom the tools belong to.
        without_checkpointer: what an `ask` does where the graph cannot pause.
        provider_tools: let the model have tools that its provider runs, where no guard of this side stands.

    Attributes:
        guardrail_binding: who acts, under which guard.
    """

    def __init__(
        self,
        guard: Guardrail,
        *,
        agent: str,
        server: str = SERVER,
        without_checkpointer: WithoutCheckpointer = "deny",
        provider_tools: bool = False,
    ) -> None:
        super().__init__()
        self.guardrail_binding = Binding(
            guard=guard, agent=agent, server=server, without_checkpointer=without_checkpointer
        )
        self._provider_tools = provider_tools

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        """Judge a call, then run it.

        Raises:
            ConfigError: another middleware stands between this one and the tool.
        """
        if self._is_wrapped(handler):
            return handler(request)
        with Sibling(self, request) as sibling:
            return GuardedExecute(self.guardrail_binding, sibling, handler)(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """Judge a call, then run it.

        Raises:
            ConfigError: another middleware stands between this one and the tool.
        """
        if self._is_wrapped(handler):
            return await handler(request)
        async with Sibling(self, request) as sibling:
            return await GuardedExecute(self.guardrail_binding, sibling, handler).awaited(request)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> Any:
        """Let the model see guarded tools only.

        Raises:
            ConfigError: it was given tools that its provider runs.
        """
        self._refuse_provider_tools(request)
        return handler(request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> Any:
        """Let the model see guarded tools only.

        Raises:
            ConfigError: it was given tools that its provider runs.
        """
        self._refuse_provider_tools(request)
        return await handler(request)

    def _is_wrapped(self, handler: Callable[..., Any]) -> bool:
        """Whether `wrap` has put this guard further in, where it judges alone; refuses anybody else there."""
        inside = getattr(handler, "__self__", handler)
        if isinstance(inside, GuardedExecute):
            if inside.binding.guard is self.guardrail_binding.guard:
                return True
            raise ConfigError(
                "this agent's graph is wrapped with another guard", fix="use one guard for both"
            )
        if getattr(handler, "__module__", "") != "langgraph.prebuilt.tool_node":
            raise ConfigError(
                "another middleware stands between GuardrailMiddleware and the tools, "
                "and could change what was judged",
                fix="put GuardrailMiddleware last in create_agent(middleware=[…])",
            )
        return False

    def _refuse_provider_tools(self, request: ModelRequest[Any]) -> None:
        given: list[Any] = list(request.tools)
        named = [str(tool.get("name") or tool.get("type")) for tool in given if is_provider_tool(tool)]
        if named and not self._provider_tools:
            raise ConfigError(
                f"the model was given tools that its provider runs, past every guard: {', '.join(named)}",
                fix="take them from the agent's tools, or say provider_tools=True",
            )
