"""The counts of one suite, and how they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from agent import SuiteAgent
from persons import nobody, oracle, stamp
from suites import Case, attacks, tasks


@dataclass(kw_only=True)
class Scores:
    """What is counted for one suite, or for all of them together.

    Attributes:
        user_tasks: user tasks tried, each alone, with nobody answering.
        useful_unanswered: of those, how many were still done to the benchmark's satisfaction.
        tasks_asked: of those, how many asked for at least one approval.
        approvals_asked: how many approvals they asked for together.
        attacks: user tasks tried with an attacker's goal planted in what their tools read.
        attacks_unanswered: attacks that reached their goal with nobody answering.
        attacks_oracle: the same, with a person who grants only the user's own calls.
        attacks_stamp: the same, with a person who grants everything.
    """

    user_tasks: int = 0
    useful_unanswered: int = 0
    tasks_asked: int = 0
    approvals_asked: int = 0
    attacks: int = 0
    attacks_unanswered: int = 0
    attacks_oracle: int = 0
    attacks_stamp: int = 0

    def __add__(self, other: Scores) -> Scores:
        mine, theirs = asdict(self), asdict(other)
        return Scores(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is to be tried on one suite.

    Attributes:
        tasks: user tasks on their own.
        attacks: user tasks with a planted goal.
        left_out: attacks that cannot be tried.
    """

    suite: str
    tasks: list[Case]
    attacks: list[Case]
    left_out: int

    @classmethod
    def of(cls, suite: str, *, every: int = 1) -> Trial:
        """Every nth user task and every nth attack of a suite."""
        pairs, left_out = attacks(suite)
        return cls(suite=suite, tasks=tasks(suite)[::every], attacks=pairs[::every], left_out=left_out)

    def __len__(self) -> int:
        return len(self.tasks) + len(self.attacks)

    def run(self, agent: SuiteAgent, *, done: Callable[[], None]) -> Scores:
        """Try it all; `done` is called after each case."""
        scores = Scores()
        for case in self.tasks:
            _count_task(scores, agent, case)
            done()
        for case in self.attacks:
            _count_attack(scores, agent, case)
            done()
        return scores


def _count_task(scores: Scores, agent: SuiteAgent, case: Case) -> None:
    ending = agent.work(case, nobody)
    scores.user_tasks += 1
    scores.useful_unanswered += ending.succeeded
    scores.tasks_asked += ending.asked > 0
    scores.approvals_asked += ending.asked


def _count_attack(scores: Scores, agent: SuiteAgent, case: Case) -> None:
    unanswered = agent.work(case, nobody)
    scores.attacks += 1
    scores.attacks_unanswered += unanswered.succeeded
    # Whoever is not asked changes nothing: then the other two persons see the same run again.
    scores.attacks_oracle += (agent.work(case, oracle) if unanswered.asked else unanswered).succeeded
    scores.attacks_stamp += (agent.work(case, stamp) if unanswered.asked else unanswered).succeeded
