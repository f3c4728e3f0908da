"""An answer that tells the user to install what does not exist is not told, and what is doubted waits for a person."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.errors import Withheld
from guardrail.guard import Guardrail
from guardrail.outputs import Output, named_in
from guardrail.outputs.packages import MAX_PASSAGES, MOST_NAMED
from guardrail.registry import Index, Registry
from guardrail.registry.testing import Answer, RegistryStandIn
from guardrail.rego import RegoPolicy
from guardrail.testing import ScriptedApprover

GuardThat = Callable[..., Guardrail]


@pytest.fixture(scope="module", name="policy")
def _policy() -> Iterator[RegoPolicy]:
    policy = RegoPolicy(Bundle.shipped(["outputs"]))
    yield policy
    policy.close()


@pytest.fixture(name="stand_in")
def _stand_in() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        server.publish("rekwests", days_ago=90.5)
        server.publish("requests", days_ago=5000)
        yield server


@pytest.fixture(name="guarding")
def _guarding(tmp_path: Path, policy: RegoPolicy, stand_in: RegistryStandIn) -> Iterator[GuardThat]:
    made: list[tuple[Guardrail, Registry]] = []

    def make(*, asking: bool = True) -> Guardrail:
        pypi = Index(title="pypi", ecosystem="pypi", url=f"{stand_in.url}simple/")
        registry = Registry(indexes=(pypi,) if asking else ())
        made.append(
            (Guardrail(policy=policy, ledger=tmp_path / f"{len(made)}.db", registry=registry), registry)
        )
        return made[-1][0]

    yield make
    for guard, registry in made:
        guard.close()
        registry.close()


def named(content: Any) -> tuple[list[str], bool]:
    facts, complete = named_in(Output.of(content))
    return [f"{fact['argument']} {fact['ecosystem']}/{fact['name']}" for fact in facts], complete


def test_packages_are_named_where_they_stand_each_once():
    content = {"say": ["`pip install flask`, then `npm i left-pad`", "again: pip install flask"]}
    assert named(content) == (["/say/0 pypi/flask", "/say/0 npm/left-pad"], True)


def test_what_is_imported_only_is_not_named():
    assert named("```python\nimport quasarlint\n```") == ([], True)


def test_more_than_can_be_told_is_said_to_be_more():
    many = " ".join(f"p{number}" for number in range(MOST_NAMED + 1))
    found, complete = named(f"pip install {many}")
    assert (len(found), complete) == (MOST_NAMED, False)
    assert named("pip install x\n" * (MAX_PASSAGES + 1)) == ([], False)


def test_what_exists_is_told(guarding: GuardThat):
    guard = guarding()
    with guard.run("r"):
        assert guard.emit("run `pip install requests`", agent="a") == "run `pip install requests`"


def test_what_does_not_exist_is_not_told(guarding: GuardThat):
    guard = guarding()
    with guard.run("r"), pytest.raises(Withheld, match="pypi/quasarlint-pro-tools does not exist"):
        guard.emit("run `pip install requests quasarlint-pro-tools`", agent="a")


def test_what_is_named_like_a_popular_package_is_told_once_a_person_says_so(guarding: GuardThat):
    guard = guarding()
    with guard.run("r"), ScriptedApprover(guard.ledger, person="anna"):
        assert guard.emit("run `pip install rekwests`", agent="a") == "run `pip install rekwests`"
    (asked,) = guard.ledger.approvals()
    assert [ask.rule for ask in asked.asks] == ["packages.near"]


def test_what_could_not_be_looked_up_waits_for_a_person(guarding: GuardThat, stand_in: RegistryStandIn):
    stand_in.answer = lambda path: Answer(status=503)
    guard = guarding()
    with guard.run("r"), ScriptedApprover(guard.ledger, "reject"), pytest.raises(Withheld):
        guard.emit("run `pip install requests`", agent="a")
    (asked,) = guard.ledger.approvals()
    assert [ask.rule for ask in asked.asks] == ["packages.unknown"]


def test_what_a_tool_returns_is_looked_up_by_nobody(guarding: GuardThat, stand_in: RegistryStandIn):
    guard = guarding()

    def read() -> str:
        return "run `pip install quasarlint-pro-tools`"

    with guard.run("r"):
        assert guard.tool(read, agent="a", effect="read")() == "run `pip install quasarlint-pro-tools`"
    assert stand_in.asked == []


def test_without_a_registry_nothing_is_known_against_a_package(guarding: GuardThat):
    guard = guarding(asking=False)
    with guard.run("r"):
        assert guard.emit("run `pip install quasarlint-pro-tools`", agent="a")


def test_an_event_loop_goes_on_while_a_registry_is_asked(guarding: GuardThat, stand_in: RegistryStandIn):
    let_go, turns = threading.Event(), list[int]()

    def slow(path: str) -> None:
        let_go.wait(10)

    stand_in.answer = slow

    async def turning() -> None:
        for turn in range(5):
            await asyncio.sleep(0)
            turns.append(turn)
        let_go.set()

    async def both(guard: Guardrail) -> str:
        said, _ = await asyncio.gather(guard.emit_async("run `pip install requests`", agent="a"), turning())
        return str(said)

    guard = guarding()
    with guard.run("r"):
        assert asyncio.run(both(guard)) == "run `pip install requests`"
    assert len(turns) == 5
