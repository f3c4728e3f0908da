"""A scripted chat model for tests of agents: it says what it is told to, and needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SkipValidation

Script = Sequence[AIMessage | str] | Callable[[list[BaseMessage]], AIMessage | str]
"""What a `ScriptedModel` says: its messages in order, or a function from the conversation to the next."""


class ScriptedModel(BaseChatModel):
    """A chat model that follows a script.

    A list is followed by counting the model's messages in the conversation, so it goes on where it was
    after a restart; past its end the model says "done".

    Args:
        script: see `Script`.
    """

    script: Annotated[Script, SkipValidation]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Take tools as every chat model does; the script decides which are called."""
        shown: list[Any] = [
            tool if isinstance(tool, dict) else convert_to_openai_tool(tool) for tool in tools
        ]
        return self.bind(tools=shown, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  (the interface's names)
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        said = self._next(messages)
        message = AIMessage(said) if isinstance(said, str) else said.model_copy(deep=True)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _next(self, messages: list[BaseMessage]) -> AIMessage | str:
        if callable(self.script):
            return self.script(messages)
        spoken = sum(isinstance(message, AIMessage) for message in messages)
        return self.script[spoken] if spoken < len(self.script) else "done"


def calling(
    *calls: tuple[str, Mapping[str, Any]], ids: Sequence[str] | None = None, text: str = ""
) -> AIMessage:
    """A message of a model that calls tools.

    Args:
        calls: tool names with their arguments, in order.
        ids: the tool-call ids; `call_1`, `call_2`, … where left out.
        text: what the model says beside.
    """
    named = ids if ids is not None else [f"call_{number}" for number in range(1, len(calls) + 1)]
    return AIMessage(
        text,
        tool_calls=[
            {"name": name, "args": dict(arguments), "id": call_id, "type": "tool_call"}
            for (name, arguments), call_id in zip(calls, named, strict=True)
        ],
    )
