"""Retries, crashes, cancellation and forks: what ran is not run again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import RetryPolicy

from guardrail.guard import Guardrail
from guardrail.testing import ScriptedPolicy
from tests.adapters.graphs import (
    START_MESSAGES,
    Effects,
    first_words,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@BOTH
def test_a_retry_of_the_node_does_not_repeat_a_write(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()

    @tool
    def fail(value: int) -> str:
        """Fail after acting."""
        effects.add(("fail", value))
        raise ValueError("too late")

    guard = guard_that()
    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError)
    script = [calling(("fail", {"value": 1}), ("pay", {"value": 2}))]
    graph = wrap(plain([fail, effects.tool("pay")], script, retry=retry), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert sorted(effects.done) == [("fail", 1), ("pay", 2)]
    first, second = tool_messages(result)
    assert first.text.startswith(
        "Error: ValueError: too late\nThis call ran before and failed; it was not run again."
    )
    assert (first.status, second.text) == ("error", "pay 2: ok")


@BOTH
def test_a_retry_of_the_node_repeats_a_read(ledger: Any, asynchronous: bool) -> None:
    from guardrail.settings import ToolSettings

    tries: list[int] = []

    @tool
    def flaky(value: int) -> str:
        """Read."""
        tries.append(value)
        if len(tries) == 1:
            raise ValueError("once")
        return "read"

    settings = {"local/flaky": ToolSettings(effect="read")}
    guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=ledger, tools=settings)
    retry = RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ValueError)
    graph = wrap(plain([flaky], [calling(("flaky", {"value": 1}))], retry=retry), guard)
    result = run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert tries == [1, 1]
    assert [message.text for message in tool_messages(result)] == ["read"]


@BOTH
def test_a_wrapper_that_tries_again_does_not_repeat_a_write(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()

    @tool
    def fail(value: int) -> str:
        """Fail after acting."""
        effects.add(value)
        raise ValueError("too late")

    def again(request: Any, execute: Any) -> Any:
        for _ in range(3):
            try:
                return execute(request)
            except ValueError:
                continue
        raise AssertionError

    async def aagain(request: Any, execute: Any) -> Any:
        for _ in range(3):
            try:
                return await execute(request)
            except ValueError:
                continue
        raise AssertionError

    graph = plain([fail], [calling(("fail", {"value": 1}))], wrap_tool_call=again, awrap_tool_call=aagain)
    result = run_graph(wrap(graph, guard_that()), START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == [1]
    assert first_words(result) == ["Error:"]


def test_a_crash_of_the_node_is_gone_on_from(guard_that: Any) -> None:
    effects = Effects()
    broken = [True]

    @tool
    def once(value: int) -> str:
        """Break the process's luck once."""
        if broken:
            raise KeyboardInterrupt
        return "never"

    guard = guard_that()
    script = [calling(("pay", {"value": 1}), ("once", {"value": 2}))]
    config = {**thread(), "max_concurrency": 1}
    graph = wrap(plain([effects.tool("pay"), once], script, checkpointer=InMemorySaver()), guard)
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(START_MESSAGES, config)
    assert graph.get_state(config).next == ("tools",)
    broken.clear()
    first, second = tool_messages(graph.invoke(None, config))
    assert effects.done == [("pay", 1)]
    assert first.text == "pay 1: ok"
    assert second.text.startswith(
        "UNKNOWN OUTCOME (started, its end was not seen; it was not run again): once"
    )


def test_a_fork_from_an_older_checkpoint_is_a_new_call(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that()
    graph = wrap(
        plain([effects.tool("pay")], [calling(("pay", {"value": 1}))], checkpointer=InMemorySaver()), guard
    )
    graph.invoke(START_MESSAGES, thread())
    before = next(state for state in graph.get_state_history(thread()) if state.next == ("tools",))
    graph.invoke(None, before.config)
    assert effects.done == [("pay", 1), ("pay", 1)]
    graph.invoke(None, graph.update_state(before.config, {"messages": []}, as_node="llm"))
    assert effects.done == [("pay", 1), ("pay", 1), ("pay", 1)]
    assert len({listed.scope for listed in guard.ledger.calls("t1")}) == 3


def test_the_same_id_in_a_later_turn_is_a_new_call(guard_that: Any) -> None:
    effects = Effects()
    again = [calling(("pay", {"value": 1})), "done", calling(("pay", {"value": 1})), "done"]
    graph = wrap(plain([effects.tool("pay")], again, checkpointer=InMemorySaver()), guard_that())
    graph.invoke(START_MESSAGES, thread())
    graph.invoke(START_MESSAGES, thread())
    assert effects.done == [("pay", 1), ("pay", 1)]


def test_a_cancelled_graph_leaves_nothing_running_and_says_what_is_not_known(guard_that: Any) -> None:
    effects = Effects()

    async def cancelled() -> None:
        begun = asyncio.Event()

        @tool
        async def forever(value: int) -> str:
            """Never end."""
            effects.add(value)
            begun.set()
            await asyncio.Event().wait()
            return "never"

        graph = wrap(plain([forever], [calling(("forever", {"value": 1}))], checkpointer=saver), guard)
        running = asyncio.ensure_future(graph.ainvoke(START_MESSAGES, thread()))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(guard.flights) == 0
        assert [listed.state for listed in guard.ledger.calls("t1")] == ["unknown"]
        assert first_words(await graph.ainvoke(None, thread())) == ["UNKNOWN"]

    guard, saver = guard_that(), InMemorySaver()
    asyncio.run(cancelled())
    assert effects.done == [1]


def test_a_wait_in_place_that_is_cancelled_withdraws_its_request(guard_that: Any) -> None:
    effects = Effects()
    guard = guard_that("ask")
    graph = wrap(
        plain([effects.tool("pay")], [calling(("pay", {"value": 1}))]), guard, without_checkpointer="wait"
    )

    async def cancelled() -> None:
        running = asyncio.ensure_future(graph.ainvoke(START_MESSAGES))
        while not guard.ledger.approvals(state="pending"):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert [approval.state for approval in guard.ledger.approvals()] == ["cancelled"]
    assert effects.done == []


class SlowSaver(InMemorySaver):
    """A checkpointer on a slow disk."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        time.sleep(0.1)
        kept = super().put(config, checkpoint, metadata, new_versions)
        self.kept.append(checkpoint["id"])
        return kept

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)


@BOTH
@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "bare"])
def test_a_tool_runs_once_the_checkpoint_before_it_is_written(
    guard_that: Any, asynchronous: bool, wrapped: bool
) -> None:
    """Else a killed process loses it, and the node makes the same call anew under another id."""
    saver = SlowSaver()
    kept: list[int] = []

    @tool
    def pay(value: int) -> str:
        """Pay."""
        kept.append(len(saver.kept))
        return "paid"

    graph = plain([pay], [calling(("pay", {"value": 1}))], checkpointer=saver)
    if wrapped:
        wrap(graph, guard_that())
    run_graph(graph, START_MESSAGES, thread("t"), asynchronous=asynchronous)
    assert (kept == [3]) is wrapped  # the input's, the start's, and the one with the model's message
