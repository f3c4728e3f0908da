"""The table of docs/packages.md, run: agents that are told to install packages, by the shipped rules."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guardrail.boundaries import Boundaries
from guardrail.boundary import Boundary
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.errors import Waiting
from guardrail.guard import Guardrail
from guardrail.policy import PolicyInput
from guardrail.registry import Index, Registry, Snapshot, build
from guardrail.registry.testing import Answer, RegistryStandIn
from guardrail.rego import RegoPolicy
from guardrail.testing import ScriptedPolicy

PAGE = Path(__file__).parents[2] / "docs" / "packages.md"
ROW = re.compile(r"^\| `(.+?)`(?: \(.*?\))? \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = [row for row in ROW.findall(PAGE.read_text()) if "install" in row[0]]
PROGRAMS = ["pip install", "npm install"]


@pytest.fixture(scope="module", name="policy")
def _policy() -> Iterator[RegoPolicy]:
    settings = Bundle.of({}, {"settings": {"programs": PROGRAMS}})
    policy = RegoPolicy(Bundle.join(Bundle.shipped(), settings))
    yield policy
    policy.close()


@pytest.fixture(scope="module", name="stand_in")
def _stand_in() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        server.publish("rekwests", days_ago=90.5)
        server.publish("flask-gpt-helper", days_ago=90.5)
        server.publish("quasarlint", days_ago=7.5)
        server.publish("requests", days_ago=5000)
        server.publish("tabular-oddities", days_ago=1000)
        yield server


def indexes(stand_in: RegistryStandIn) -> tuple[Index, ...]:
    return (
        Index(title="pypi", ecosystem="pypi", url=f"{stand_in.url}simple/"),
        Index(title="npm", ecosystem="npm", url=stand_in.npm_url),
    )


def snapshot(folder: Path) -> Snapshot:
    today = datetime.now(UTC).date()
    old = ["rekwests", "flask-gpt-helper", "requests", "tabular-oddities"]
    build(folder, "pypi", old, day=today - timedelta(days=60), source="test")
    build(folder, "pypi", [*old, "quasarlint"], day=today, source="test")
    build(folder, "npm", ["react"], day=today, source="test")
    return Snapshot.open(folder)


@pytest.fixture(name="registry")
def _registry(
    request: pytest.FixtureRequest, stand_in: RegistryStandIn, tmp_path: Path
) -> Iterator[Registry]:
    if request.param == "registry":
        registry = Registry(indexes=indexes(stand_in))
    elif request.param == "snapshot":
        registry = Registry(snapshot=snapshot(tmp_path / "snapshot"))
    else:
        down = [Index(title=kind, ecosystem=kind, url="http://127.0.0.1:1/") for kind in ("pypi", "npm")]
        registry = Registry(indexes=down)
    yield registry
    registry.close()


def call(command: str) -> Call:
    tool = Tool(name="run", server="local", effect="write", kinds={"command": "command"})
    return Call.of({"command": command}, run="r", id="c", agent=Agent(id="a"), tool=tool)


@pytest.mark.parametrize(
    ("registry", "column"), [("registry", 1), ("snapshot", 2), ("down", 3)], indirect=["registry"]
)
def test_the_table_of_the_page_is_what_happens(
    registry: Registry, column: int, policy: RegoPolicy, tmp_path: Path
):
    boundaries = Boundaries({"a": Boundary(tools=("run",))})
    with Guardrail(
        ledger=tmp_path / "l.db", policy=policy, boundaries=boundaries, registry=registry
    ) as guard:
        found = {row[0]: guard.decide(call(row[0])) for row in ROWS}
    assert len(ROWS) == 12
    for row in ROWS:
        verdict, _, rule = row[column].partition(" ")
        decision = found[row[0]]
        rules = {reason.rule for reason in decision.reasons}
        assert {"denied": "deny", "asked": "ask", "allowed": "allow"}[verdict] == decision.effect, (
            row,
            rules,
        )
        assert not rule or rule.strip("`") in rules, (row, rules)
        assert all(reason.fix for reason in decision.reasons if (reason.rule or "").startswith("packages."))


@pytest.mark.parametrize("word", ["ask", "deny"])
@pytest.mark.parametrize("registry", ["down"], indirect=True)
def test_no_setting_lets_what_could_not_be_looked_up_pass(registry: Registry, word: str, tmp_path: Path):
    data = {"settings": {"programs": PROGRAMS, "unknown_packages": word}}
    policy = RegoPolicy(Bundle.join(Bundle.shipped(), Bundle.of({}, data)))
    boundaries = Boundaries({"a": Boundary(tools=("run",))})
    with Guardrail(
        ledger=tmp_path / "l.db", policy=policy, boundaries=boundaries, registry=registry
    ) as guard:
        assert guard.decide(call("pip install requests")).effect == word
    policy.close()


# -- the line ----------------------------------------------------------------------------------------------


def seen_by(script: list[PolicyInput]) -> ScriptedPolicy:
    def decide(given: PolicyInput) -> Any:
        script.append(given)
        return "allow"

    return ScriptedPolicy(decide)


@pytest.mark.asyncio
async def test_the_event_loop_goes_on_while_a_registry_is_asked(stand_in: RegistryStandIn, tmp_path: Path):
    given: list[PolicyInput] = []
    stand_in_answer, stand_in.answer = stand_in.answer, lambda path: Answer(status=404, pause=0.3)
    registry = Registry(indexes=indexes(stand_in)[:1])
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def run(command: str) -> str:
        """Run."""
        return "ran"

    with Guardrail(ledger=tmp_path / "l.db", policy=seen_by(given), registry=registry) as guard:
        guarded = guard.tool(run, agent="a", kinds={"command": "command"}, waiting="answer")
        ticking = asyncio.create_task(tick())
        with guard.run("r"):
            await guarded("pip install invented")
        ticking.cancel()
    registry.close()
    stand_in.answer = stand_in_answer
    assert [package["known"] for package in given[0].facts.packages] == [False]
    assert len(ticks) > 5


def test_a_call_that_names_no_package_never_reaches_a_registry(stand_in: RegistryStandIn, tmp_path: Path):
    registry = Registry(indexes=indexes(stand_in))
    asked = len(stand_in.asked)
    for text in ("ls -l", "echo pip", "pip list", "hello", "see https://a.example"):
        with Guardrail(ledger=tmp_path / "l.db", policy=seen_by([]), registry=registry) as guard:
            guard.decide(call(text))
    assert (len(stand_in.asked), registry.may_ask(call("ls -l"))) == (asked, False)


@pytest.mark.parametrize(
    "text",
    ["pip install a", "p'i'p install a", 'n"p"m i a', "sh -c 'uv\\\nadd a'", "python -m pip install a"],
)
def test_whatever_may_install_is_decided_outside_of_the_loop(stand_in: RegistryStandIn, text: str):
    assert Registry(indexes=indexes(stand_in)).may_ask(call(text)) is True
    assert Registry().may_ask(call(text)) is False


def test_what_was_found_is_in_the_input_that_is_recorded(stand_in: RegistryStandIn, tmp_path: Path):
    given: list[PolicyInput] = []

    def run(command: str) -> str:
        """Run."""
        return "ran"

    registry = Registry(indexes=indexes(stand_in))
    with Guardrail(ledger=tmp_path / "l.db", policy=seen_by(given), registry=registry) as guard:
        guarded = guard.tool(run, agent="a", kinds={"command": "command"})
        with guard.run("r"):
            guarded("pip install quasarlint")
        details = [record.detail for record in guard.ledger.records("r") if record.detail]
    registry.close()
    assert [package["age_days"] for package in given[0].facts.packages] == [7]
    assert any('"age_days":7' in str(detail).replace("'", '"').replace(" ", "") for detail in details)


def test_the_configuration_names_registries(stand_in: RegistryStandIn, tmp_path: Path):
    (tmp_path / "guardrail.toml").write_text(
        f"""
        [policies]
        shipped = true
        [registry]
        pypi = "{stand_in.url}"
        npm = "{stand_in.npm_url}"
        timeout = "2s"
        [agents.a]
        tools = ["run"]
        [tools.run]
        effect = "write"
        kinds = {{ command = "command" }}
        """
    )

    def run(command: str) -> str:
        """Run."""
        return "ran"

    with Guardrail.from_config(tmp_path / "guardrail.toml") as guard:
        guarded = guard.tool(run, agent="a", waiting="answer")
        with guard.run("r"), pytest.raises(Waiting, match=r"quasarlint is known for 7 days only"):
            guarded("pip install quasarlint")
        assert [seen.known for seen in guard.ledger.observations(["quasarlint"])] == [True]
