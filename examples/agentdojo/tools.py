"""AgentDojo's tools as LangChain tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentdojo.functions_runtime import Function, FunctionCall, FunctionsRuntime, TaskEnvironment
from langchain_core.tools import StructuredTool, ToolException
from pydantic import TypeAdapter

_ANYTHING: Final = TypeAdapter(object)
"""Writes what a tool returns as JSON: which part of it is whose word can be said by pointer."""


class Desk:
    """A suite's tools, acting on whatever environment lies on the desk.

    Attributes:
        environment: what the tools read and change.
        ran: the calls that really acted on it, in order; what a guard stopped is not among them.
    """

    def __init__(self, runtime: FunctionsRuntime) -> None:
        self._runtime = runtime
        self.tools = [self._tool(function) for function in runtime.functions.values()]
        self.clear(TaskEnvironment())

    def clear(self, environment: TaskEnvironment) -> None:
        """Begin with another environment."""
        self.environment = environment
        self.ran: list[FunctionCall] = []

    def shown(self, call: FunctionCall) -> tuple[str, Mapping[str, Any]]:
        """A call as a person gets to see it: validated, with defaults filled in."""
        parameters = self._runtime.functions[call.function].parameters
        return call.function, parameters.model_validate(call.args).model_dump(mode="json")

    def _tool(self, function: Function[..., Any]) -> StructuredTool:
        def act(**arguments: Any) -> str:
            self.ran.append(FunctionCall(function=function.name, args=arguments))
            result, error = self._runtime.run_function(self.environment, function.name, arguments)
            if error:
                raise ToolException(error)
            return result if isinstance(result, str) else _ANYTHING.dump_json(result).decode()

        return StructuredTool(
            name=function.name,
            description=function.description,
            args_schema=function.parameters,
            func=act,
            handle_tool_error=True,
        )
