"""The packs: what is picked is in the bundle, what is not is not, and every one says what it is."""

import doctest
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from guardrail.bundles import Bundle, shipped_folder
from guardrail.calls import Agent, ArgumentKind, Call, Effect, Tool
from guardrail.facts import extract
from guardrail.ledger.rows import no_usage
from guardrail.packs import ALWAYS, DEFAULT, PackName, packs
from guardrail.policy import PolicyInput, RunState
from guardrail.rego import lint
from guardrail.rego.interpreter import ENTRYPOINT, Interpreter
from guardrail.rego.preflight import VERDICTS

ROOT = Path(__file__).parents[1]
CLOCK = "2026-01-31T12:00:00Z"
NAMES = get_args(PackName)


def folders(bundle: Bundle) -> set[str]:
    return {path.partition("/")[0] for path in bundle.modules if "/" in path}


def test_every_folder_of_rules_is_a_pack():
    rules = {
        file.parent.name
        for file in shipped_folder().glob("*/*.rego")
        if "guardrail.rules." in file.read_text()
    }
    assert rules == set(NAMES)


@pytest.mark.parametrize("picked", [(), ("spending",), DEFAULT, NAMES], ids=len)
def test_what_is_picked_is_in_the_bundle_and_nothing_else(picked: tuple[str, ...]):
    assert folders(Bundle.shipped(picked)) == {*ALWAYS, *picked, "approval", "mask"}


def test_the_default_set_is_picked_where_nothing_is_said():
    assert Bundle.shipped() == Bundle.shipped(DEFAULT)


def test_a_folder_of_ones_own_is_read_whole(tmp_path: Path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "own.rego").write_text("package own\n")
    modules = Bundle.from_directory(shipped_folder(), tmp_path, packs=("shell",)).modules
    assert ("sql/own.rego" in modules, "sql/sql.rego" in modules) == (True, False)


@pytest.mark.parametrize("name", NAMES)
def test_every_pack_stands_by_itself(name: str):
    assert lint(Bundle.shipped((name,))) == []


def test_rules_call_functions_by_an_alias_and_nothing_else():
    """Through one the embedded engine evaluates every rule of the package, for the one that is read."""
    beside = re.compile(r'"(?:\\.|[^"\\])*"|#[^\n]*')
    read = {
        f"{path}: {value}"
        for path, text in Bundle.shipped(NAMES).modules.items()
        for alias in re.findall(r"^import data\.(?:\w+\.)*(\w+)$", text, re.MULTILINE)
        for value in re.findall(rf"(?<![\w.]){alias}\.\w+\b(?!\()", beside.sub("", text))
    }
    assert read == set()


@pytest.mark.parametrize("pack", packs(shipped_folder()), ids=lambda pack: pack.name)
def test_every_pack_says_what_it_is_and_has_a_page(pack):
    page = (ROOT / "docs" / "packs" / f"{pack.name}.md").read_text()
    assert all((pack.title, pack.description, pack.decides, pack.rules))
    assert {rule for rule in pack.rules if f"`{rule}`" not in page} == set()
    assert {name for name in pack.settings if f"`{name}`" not in page} == set()


def test_the_settings_of_a_pack_are_those_that_its_rules_read():
    listed = {pack.name: pack.settings for pack in packs(shipped_folder())}
    assert listed["runaway"] == ("denials", "repeats")
    assert listed["spending"] == ("approval", "spending.budgets", "spending.limits")


class Page:
    """What the examples of a pack's page call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def said(
        self,
        *,
        effect: Effect = "read",
        arguments: Mapping[str, Any] | None = None,
        kinds: Mapping[str, ArgumentKind] | None = None,
        labels: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
        chain: Sequence[str] = ("clerk",),
        checks: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Ask the pack about one call, or about one output, and print what it answers."""
        tool = Tool(name="act", effect=effect, kinds=kinds or {})
        agent = Agent(id=chain[-1], chain=tuple(chain))
        call = Call.of(json.loads(json.dumps(arguments or {})), run="r", id="c1", agent=agent, tool=tool)
        state = RunState(id="r", started=CLOCK, usage={**no_usage(), **(usage or {})})
        facts = extract(call, roots={"work": Path("/srv/work")})
        value = json.loads(PolicyInput(call=call, facts=facts, run=state, now=CLOCK).json)
        value["labels"]["arguments"] = {leaf: label(said) for leaf, said in (labels or {}).items()}
        if checks is not None:
            value |= {"point": "output", "output": {"content": "x", "sink": "agent", "checks": checks}}
        bundle = Bundle.join(Bundle.shipped((self.name,)), Bundle.of({}, {"settings": settings or {}}))
        answer = json.loads(Interpreter(bundle.rules, bundle.data_json).answer(json.dumps(value), ENTRYPOINT))
        for verdict in sorted(VERDICTS):
            for reason in sorted(answer[verdict], key=lambda reason: reason["rule"]):
                if reason["rule"].startswith(f"{self.name}."):
                    print(verdict, f"{reason['rule']}: {reason['message']}")


def label(said: Any) -> Any:
    origin = {"kind": said, "tool": "", "call": "", "field": ""}
    return {"trust": said, "origins": [origin], "readers": None} if isinstance(said, str) else said


def check(name: str, verdict: str, *findings: Mapping[str, Any]) -> dict[str, Any]:
    known = {"version": "1", "required": True, "message": "because", "score": None}
    return {"name": name, "verdict": verdict, **known, "findings": findings}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_pack_shows_what_it_answers(name: str):
    page = ROOT / "docs" / "packs" / f"{name}.md"
    outcome = doctest.testfile(
        str(page), module_relative=False, globs={"said": Page(name).said, "check": check}
    )
    assert (outcome.failed, outcome.attempted > 0) == (0, True)
