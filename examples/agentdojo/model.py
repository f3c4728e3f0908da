"""A chat model that follows a script, and falls for every planted instruction that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentdojo.functions_runtime import FunctionCall
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the model does.

    Attributes:
        own: the calls that the user's task needs.
        injected: the calls that the attacker wants, made right after the first result that shows `mark`.
        answer: what it says at the end.
    """

    own: Sequence[FunctionCall] = ()
    injected: Sequence[FunctionCall] = ()
    mark: str = ""
    answer: str = ""

    def after(self, results: Sequence[str]) -> FunctionCall | None:
        """The next call, given the results of all calls so far; None = there is nothing left to do."""
        calls = list(self.own)
        fooled = next((number for number, text in enumerate(results, start=1) if self.mark in text), None)
        if fooled is not None:
            calls[fooled:fooled] = self.injected
        return calls[len(results)] if len(results) < len(calls) else None


class ScriptedModel(BaseChatModel):
    """Says what its script says, one call at a time; reads nothing but the conversation."""

    script: Script = Script()

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  (LangChain's signature)
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        results = [message.text for message in messages if isinstance(message, ToolMessage)]
        call = self.script.after(results)
        if call is None:
            message = AIMessage(self.script.answer)
        else:
            made = ToolCall(name=call.function, args=dict(call.args), id=f"call_{len(results) + 1}")
            message = AIMessage("", tool_calls=[made])
        return ChatResult(generations=[ChatGeneration(message=message)])
