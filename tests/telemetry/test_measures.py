"""What is counted and measured, by names of which there are never more than so many."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import Denied, LedgerUnavailable
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver
from guardrail.telemetry import measures
from guardrail.telemetry.names import OTHER, Bounded, plain
from guardrail.testing import ScriptedPolicy, decision
from guardrail.version import __version__
from tests.telemetry import sdk
from tests.telemetry.test_spans import answered, attempt, fail, send


def tried(guard: Guardrail, tool: Any, times: int = 1) -> None:
    for _ in range(times):
        try:
            guard.tool(tool, agent="payer", waiting="answer")("bob")
        except (Denied, LookupError):
            pass


def test_calls_and_decisions_are_counted_and_every_step_is_measured(guard_that: Callable[..., Guardrail]):
    tried(guard_that(), send, 3)
    tried(guard_that("deny"), send, 2)
    tried(guard_that(), fail)
    tried(guard_that("deny", mode="observe"), send)
    tried(guard_that("ask"), send)
    found = sdk.measured()
    assert found["guardrail.calls"] == {
        "name=send mode=enforce outcome=returned": 3,
        "name=send mode=enforce outcome=blocked": 3,
        "name=fail mode=enforce outcome=raised": 1,
        "name=send mode=observe outcome=returned": 1,
    }
    assert found["gen_ai.execute_tool.duration"] == {
        "name=execute_tool name=send": 4,
        "type=guardrail.denied name=execute_tool name=send": 2,
        "type=LookupError name=execute_tool name=fail": 1,
        "type=guardrail.waiting name=execute_tool name=send": 1,
    }
    assert found["guardrail.decisions"] == {
        "name=send effect=allow mode=enforce point=action rule=scripted": 3,
        "name=send effect=deny mode=enforce point=action rule=scripted": 2,
        "name=fail effect=allow mode=enforce point=action rule=scripted": 1,
        "name=send effect=deny mode=observe point=action rule=scripted": 1,
        "name=send effect=ask mode=enforce point=action rule=scripted": 1,
    }
    assert found["guardrail.observed"] == {"name=send mode=observe point=action rule=scripted": 1}
    assert found["guardrail.decision.duration"] == {"point=action": 8}
    assert found["guardrail.admission.duration"] == {"admission=admitted": 5, "admission=pending": 1}
    assert found["guardrail.execution.duration"] == {
        "name=send outcome=returned": 4,
        "name=fail outcome=raised": 1,
    }


def test_a_repeat_is_no_second_outcome(guard_that: Callable[..., Guardrail]):
    guard = guard_that()
    for _ in range(2):
        guard.perform(attempt(guard))
    assert sdk.measured()["guardrail.calls"] == {
        "name=send mode=enforce outcome=returned": 1,
        "name=send mode=enforce outcome=repeated": 1,
    }


def test_answers_of_people_are_counted_and_measured(guard_that: Callable[..., Guardrail]):
    guard = guard_that("ask")
    guard.perform(attempt(guard), waiting="answer")
    answered(guard, "reject", opened=False)
    found = sdk.measured()
    assert found["guardrail.votes"] == {"answer=reject channel=http": 1}
    assert found["guardrail.approval.duration"] == {"channel=http opened=False state=rejected": 1}


def test_commits_are_measured_by_how_many_wrote_together(guard_that: Callable[..., Guardrail]):
    guard = guard_that()

    async def many() -> None:
        await asyncio.gather(*(guard.perform_async(attempt(guard, number)) for number in range(16)))

    asyncio.run(many())
    data = sdk.READER.get_metrics_data()
    [batch] = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "guardrail.ledger.batch.size"
        for point in metric.data.data_points
    ]
    assert (batch.sum, batch.max >= 8, batch.count < 32) == (32 + 1, True, True)  # and the policy, once


def test_requests_that_wait_are_counted_where_they_are_and_as_of_now(tmp_path: Path):
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    with Ledger.open(tmp_path / "guardrail.db", clock=lambda: now[0]) as ledger:
        guard = Guardrail(policy=ScriptedPolicy(lambda _: decision("ask", expires_in=60.0)), ledger=ledger)
        for number in (1, 2, 3):
            guard.perform(attempt(guard, number), waiting="answer")
        assert sdk.measured()["guardrail.approvals.pending"][""] == 3
        request = ledger.approvals(state="pending")[0]
        ledger.vote(request.id, "ben", "reject", channel="test")
        assert sdk.measured()["guardrail.approvals.pending"][""] == 2
        now[0] = datetime(2026, 1, 2, tzinfo=UTC)
        assert sdk.measured()["guardrail.approvals.pending"][""] == 0
    del guard, ledger
    gc.collect()
    assert "guardrail.approvals.pending" not in sdk.measured()


def test_what_waits_for_a_commit_is_counted_with_its_age(tmp_path: Path):
    with Ledger.open(tmp_path / "guardrail.db", wait=0.05) as ledger:
        guard = Guardrail(policy=ScriptedPolicy("allow"), ledger=ledger, outcome="buffered")
        locked = driver.connect(str(tmp_path / "guardrail.db"), isolation_level=None)

        def lock(_: Any) -> str:
            locked.execute("BEGIN IMMEDIATE")
            return "done"

        guard.perform(attempt(guard))  # the run has its labels from here on: what adds some is not buffered
        ledger.flush()
        sdk.forget()
        guard.perform(attempt(guard, 2, invoke=lock))
        with pytest.raises(LedgerUnavailable):
            ledger.flush()
        with pytest.raises(LedgerUnavailable):
            ledger.flush()
        found = sdk.measured()
        assert found["guardrail.ledger.queue"][""] == 1
        assert found["guardrail.ledger.lag"][""] >= 0.1  # two waits of the ledger
        assert found["guardrail.ledger.failures"][""] >= 2
        locked.close()
        ledger.flush()
        found = sdk.measured()
        assert (found["guardrail.ledger.queue"][""], found["guardrail.ledger.lag"][""]) == (0, 0.0)


def test_the_active_policies_are_told_with_their_mode(guard_that: Callable[..., Guardrail]):
    loud, quiet = guard_that("deny", mode="observe"), guard_that()
    told = sdk.measured()["guardrail.policy.info"]
    for guard in (loud, quiet):
        line = f"mode={guard.mode} revision={guard.policy.revision} version={__version__}"
        assert told[line] == 1


def test_only_so_many_names_are_let_in():
    bounded = Bounded(2)
    assert [bounded(word) for word in ("a", "b", "c", "a", "two words", "b", "d")] == [
        "a", "b", OTHER, "a", OTHER, "b", OTHER
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["", "two words", "a\nb", "ü", "x" * 129, "100€", '{"a":1}'])
def test_what_does_not_read_like_a_name_is_told_to_nobody(word: str):
    assert plain(word) == OTHER


def test_rules_that_a_policy_makes_up_do_not_make_series_without_end(guard_that: Callable[..., Guardrail]):
    numbers = iter(range(1_000))
    guard = guard_that(lambda _: decision("deny", rule=f"made.up.{next(numbers)}"))
    for number in range(300):
        measures.decision(
            guard.decide(attempt(guard, number).call), "send", point="action", mode="enforce", seconds=0.001
        )
    rules = {line.rpartition("rule=")[2] for line in sdk.measured()["guardrail.decisions"]}
    assert (OTHER in rules, len(rules) <= 201) == (True, True)
