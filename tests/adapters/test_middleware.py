"""Other wrappers around the guard, and the guard as middleware: it is always the innermost."""

from __future__ import annotations

from typing import Any

import pytest
from guardrail_langgraph import GuardrailMiddleware, coverage, wrap
from guardrail_langgraph.testing import calling
from langchain.agents.middleware import AgentMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.errors import ConfigError
from tests.adapters.graphs import (
    START_MESSAGES,
    Effects,
    agent,
    answer_all,
    plain,
    run_graph,
    thread,
    tool_messages,
)

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


class Edit(AgentMiddleware):
    """Changes every call."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(tool_call={**request.tool_call, "args": {"value": 999}}))

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(tool_call={**request.tool_call, "args": {"value": 999}}))


def at_most_500(given: Any) -> str:
    return "allow" if given.call.arguments["value"] <= 500 else "deny"


@BOTH
def test_what_other_middleware_makes_of_a_call_is_judged(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    graph = agent([effects.tool("pay")], [calling(("pay", {"value": 1}))], middleware=[Edit()])
    wrap(graph, guard_that(at_most_500))
    (message,) = tool_messages(run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous))
    assert message.text.startswith("DENIED (nothing was executed): pay value=999")
    assert effects.done == []


@BOTH
def test_the_middleware_guards_as_the_last_one(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that(at_most_500)
    script = [calling(("pay", {"value": 1}))]
    tools = [effects.tool("pay")]
    alone = agent(tools, script, middleware=[GuardrailMiddleware(guard, agent="payer")])
    assert [
        message.text
        for message in tool_messages(run_graph(alone, START_MESSAGES, None, asynchronous=asynchronous))
    ] == ["pay 1: ok"]
    last = agent(tools, script, middleware=[Edit(), GuardrailMiddleware(guard, agent="payer")])
    (message,) = tool_messages(run_graph(last, START_MESSAGES, None, asynchronous=asynchronous))
    assert message.text.startswith("DENIED")
    assert effects.done == [("pay", 1)]


@BOTH
def test_the_middleware_refuses_to_stand_anywhere_else(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    middleware = [GuardrailMiddleware(guard_that(), agent="payer"), Edit()]
    graph = agent([effects.tool("pay")], [calling(("pay", {"value": 1}))], middleware=middleware)
    with pytest.raises(ConfigError, match="another middleware stands between"):
        run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert effects.done == []


@BOTH
def test_the_middleware_in_a_wrapped_graph_judges_once(guard_that: Any, asynchronous: bool) -> None:
    judged: list[int] = []

    def policy(given: Any) -> str:
        judged.append(given.call.arguments["value"])
        return "allow"

    guard = guard_that(policy)
    middleware = [GuardrailMiddleware(guard, agent="payer"), Edit()]
    graph = wrap(
        agent([Effects().tool("pay")], [calling(("pay", {"value": 1}))], middleware=middleware), guard
    )
    with pytest.raises(ConfigError, match="another middleware stands between"):
        run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    last = [Edit(), GuardrailMiddleware(guard, agent="payer")]
    graph = wrap(agent([Effects().tool("pay")], [calling(("pay", {"value": 1}))], middleware=last), guard)
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert judged == [999]


def test_coverage_knows_the_middleware(guard_that: Any) -> None:
    middleware = [Edit(), GuardrailMiddleware(guard_that(), agent="payer")]
    report = coverage(agent([Effects().tool("pay")], [], name="other", middleware=middleware))
    assert [(item.tools, item.agent, item.guarded) for item in report.items] == [(("pay",), "payer", True)]
    assert not report.net


@BOTH
def test_the_middleware_pauses_and_goes_on(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    guard = guard_that("ask")
    script = [calling(("pay", {"value": 1}), ("pay", {"value": 2}))]
    middleware = [GuardrailMiddleware(guard, agent="payer")]
    graph = agent([effects.tool("pay")], script, middleware=middleware, checkpointer=InMemorySaver())
    assert len(run_graph(graph, START_MESSAGES, thread(), asynchronous=asynchronous)["__interrupt__"]) == 2
    answer_all(guard)
    run_graph(graph, None, thread(), asynchronous=asynchronous)
    assert sorted(effects.done) == [("pay", 1), ("pay", 2)]


@BOTH
def test_the_middleware_refuses_tools_that_the_provider_runs(guard_that: Any, asynchronous: bool) -> None:
    tools = [Effects().tool("pay"), {"type": "web_search"}]
    graph = agent(tools, ["hello"], middleware=[GuardrailMiddleware(guard_that(), agent="payer")])
    with pytest.raises(ConfigError, match="past every guard: web_search"):
        run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    allowed = [GuardrailMiddleware(guard_that(), agent="payer", provider_tools=True)]
    run_graph(agent(tools, ["hello"], middleware=allowed), START_MESSAGES, None, asynchronous=asynchronous)


def wrappers(seen: list[Any]) -> tuple[Any, Any]:
    def blocking(request: Any, execute: Any) -> Any:
        seen.append(("sync", request.tool_call["args"]))
        return execute(request)

    async def awaiting(request: Any, execute: Any) -> Any:
        seen.append(("async", request.tool_call["args"]))
        return await execute(request)

    return blocking, awaiting


def test_a_node_with_one_kind_of_wrapper_is_guarded_in_both_modes(guard_that: Any) -> None:
    seen: list[Any] = []
    blocking, awaiting = wrappers(seen)
    effects = Effects()
    guard = guard_that("deny")
    script = [calling(("pay", {"value": 1}))]
    only_async = wrap(plain([effects.tool("pay")], script, awrap_tool_call=awaiting), guard)
    assert tool_messages(run_graph(only_async, START_MESSAGES, None, asynchronous=False))[0].status == "error"
    assert tool_messages(run_graph(only_async, START_MESSAGES, None, asynchronous=True))[0].status == "error"
    only_sync = wrap(plain([effects.tool("pay")], script, wrap_tool_call=blocking), guard)
    assert tool_messages(run_graph(only_sync, START_MESSAGES, None, asynchronous=False))[0].status == "error"
    with pytest.raises(NotImplementedError, match="no awrap_tool_call"):
        run_graph(only_sync, START_MESSAGES, None, asynchronous=True)
    assert (seen, effects.done) == ([("async", {"value": 1}), ("sync", {"value": 1})], [])


@BOTH
def test_wrappers_that_were_there_still_wrap(guard_that: Any, asynchronous: bool) -> None:
    seen: list[Any] = []
    blocking, awaiting = wrappers(seen)
    effects = Effects()
    node = {"wrap_tool_call": blocking, "awrap_tool_call": awaiting}
    graph = wrap(plain([effects.tool("pay")], [calling(("pay", {"value": "1"}))], **node), guard_that())
    run_graph(graph, START_MESSAGES, None, asynchronous=asynchronous)
    assert seen == [("async" if asynchronous else "sync", {"value": "1"})]
    assert effects.done == [("pay", 1)]


@BOTH
def test_a_tool_that_a_wrapper_brings_is_judged_as_what_it_is(guard_that: Any, asynchronous: bool) -> None:
    effects = Effects()
    erase = effects.tool("erase")
    judged: list[str] = []

    def policy(given: Any) -> str:
        judged.append(given.call.tool.name)
        return "deny"

    def swap(request: Any, execute: Any) -> Any:
        return execute(request.override(tool=erase))

    async def aswap(request: Any, execute: Any) -> Any:
        return await execute(request.override(tool=erase))

    graph = plain(
        [effects.tool("look")],
        [calling(("look", {"value": 1}), ("dynamic", {"value": 2}))],
        wrap_tool_call=swap,
        awrap_tool_call=aswap,
    )
    run_graph(wrap(graph, guard_that(policy)), START_MESSAGES, None, asynchronous=asynchronous)
    assert judged == ["erase", "erase"]
    assert effects.done == []
