"""Who speaks for the agents: the script, or a real model."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from langchain_core.language_models import BaseChatModel

from guardrail.errors import ConfigError
from guardrail_langgraph.demo.graph import PROMPTS
from guardrail_langgraph.demo.script import Script
from guardrail_langgraph.testing import ScriptedModel

PATIENCE: Final = 60.0
"""Seconds until a real model's first answer is given up."""


def scripted_models(script: Script) -> Mapping[str, BaseChatModel]:
    """One scripted model per agent."""
    return {agent: ScriptedModel(script=partial(script.answer, agent)) for agent in PROMPTS}


def real_models(name: str) -> Mapping[str, BaseChatModel]:
    """One real model for all agents.

    Args:
        name: `provider:model`, as LangChain's `init_chat_model` takes it.

    Raises:
        ConfigError: LangChain or the provider's package is missing, or there is no such provider.
    """
    try:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415  only --model needs langchain

        model: BaseChatModel = init_chat_model(name, temperature=0)
    except (ImportError, ValueError) as error:
        package = f"langchain-{name.partition(':')[0]}"
        raise ConfigError(
            f"the model {name!r} cannot be used: {error}",
            fix=f"name it as provider:model and install its package: pip install langchain {package}",
        ) from error
    return dict.fromkeys(PROMPTS, model)


def check_answers(name: str) -> None:
    """Ask a real model once, before the story begins.

    Raises:
        ConfigError: it cannot be used, or does not answer.
    """
    model = next(iter(real_models(name).values()))
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
    asked = pool.submit(model.invoke, "Answer with the one word: ready")
    pool.shutdown(wait=False)
    try:
        error = asked.exception(timeout=PATIENCE)
    except TimeoutError:
        error = TimeoutError(f"no answer within {PATIENCE:g} seconds")
    if error is not None:
        reason = f"{type(error).__name__}: {error}"[:500]
        raise ConfigError(
            f"the model {name!r} does not answer: {reason}", fix="check its name, its key and the network"
        ) from error
