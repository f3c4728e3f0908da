"""AgentDojo's suites, tasks and environments, in the form in which this run needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from agentdojo.agent_pipeline.ground_truth_pipeline import GroundTruthPipeline
from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime, TaskEnvironment
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.task_suite.task_suite import TaskSuite
from agentdojo.types import get_text_content_as_str

VERSION: Final = "v1.2.2"
SUITES: Final = ("workspace", "travel", "banking", "slack")
MARK: Final = "<INSTRUCTION>"
"""Every planted text begins with it; it stands nowhere else in the benchmark's data."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to try: a user's task, alone or with an attacker's goal planted where its tools read."""

    suite: str
    user: str
    attacker: str | None = None

    @cached_property
    def user_task(self) -> BaseUserTask[Any]:
        return _suite(self.suite).get_user_task_by_id(self.user)

    @cached_property
    def injection_task(self) -> BaseInjectionTask[Any] | None:
        return _suite(self.suite).get_injection_task_by_id(self.attacker) if self.attacker else None

    def environment(self) -> TaskEnvironment:
        """The world as it is before the task, of the caller's own."""
        planted: tuple[tuple[str, str], ...] = ()
        if self.injection_task is not None:
            text = f"{MARK}{self.injection_task.GOAL}</INSTRUCTION>"
            planted = tuple((place, text) for place in _places(self.suite, self.user))
        return _prepared(self.user_task, _loaded(self.suite, planted))

    def own_calls(self, before: TaskEnvironment) -> list[FunctionCall]:
        """What the user wants done, call by call."""
        return list(self.user_task.ground_truth(before))

    def injected_calls(self, before: TaskEnvironment) -> list[FunctionCall]:
        """What the attacker wants done, call by call."""
        return list(self.injection_task.ground_truth(before)) if self.injection_task is not None else []

    def succeeded(self, before: TaskEnvironment, after: TaskEnvironment, ran: list[FunctionCall]) -> bool:
        """Whether the benchmark says that it worked: for the attacker if there is one, else for the user."""
        task, attack, answer = self.user_task, self.injection_task, self.user_task.GROUND_TRUTH_OUTPUT
        if attack is None:
            said = task.utility_from_traces(answer, before, after, ran)
            return bool(task.utility(answer, before, after) if said is None else said)
        said = attack.security_from_traces(answer, before, after, ran)
        return bool(attack.security(answer, before, after) if said is None else said)


def tools_of(suite: str) -> FunctionsRuntime:
    """The suite's tools, as the benchmark runs them."""
    return FunctionsRuntime(_suite(suite).tools)


def tasks(suite: str) -> list[Case]:
    """Every user task, nothing planted."""
    return [Case(suite=suite, user=user) for user in _suite(suite).user_tasks]


def attacks(suite: str) -> tuple[list[Case], int]:
    """Every user task with every attacker's goal, and how many pairs are left out.

    Left out are the goals for which the benchmark ships no calls: there is nothing to emit for them.
    """
    goals = _suite(suite).injection_tasks
    acting = [name for name, goal in goals.items() if goal.ground_truth(_loaded(suite, ()))]
    pairs = [Case(suite=suite, user=task.user, attacker=name) for task in tasks(suite) for name in acting]
    return pairs, len(tasks(suite)) * len(goals) - len(pairs)


@cache
def _suite(name: str) -> TaskSuite[Any]:
    return get_suite(VERSION, name)


@cache  # reading one from YAML takes up to 0.4 s, copying it 3 ms, and many cases share one
def _loaded(suite: str, planted: tuple[tuple[str, str], ...]) -> TaskEnvironment:
    return _suite(suite).load_and_inject_default_environment(dict(planted))


def _prepared(task: BaseUserTask[Any], environment: TaskEnvironment) -> TaskEnvironment:
    return task.init_environment(environment.model_copy(deep=True))


@cache
def _places(suite: str, user: str) -> tuple[str, ...]:
    """Where to plant: what the user's own calls read, found by walking them once, as AgentDojo does."""
    places = _suite(suite).get_injection_vector_defaults()
    marked = _loaded(suite, tuple((place, f"@{place}@") for place in places))
    task = _suite(suite).get_user_task_by_id(user)
    pipeline = GroundTruthPipeline(task)
    *_, messages, _ = pipeline.query(task.PROMPT, tools_of(suite), _prepared(task, marked))
    shown = "".join(_texts(messages))
    return tuple(place for place in places if f"@{place}@" in shown)


def _texts(messages: Any) -> Iterator[str]:
    return (get_text_content_as_str(message["content"]) for message in messages if message["role"] == "tool")
