"""The configuration loads whole or says what is wrong: file, key, what was expected, what was found."""

import os
import re
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from guardrail import settings as module
from guardrail.boundaries import Boundaries, Boundary, Money
from guardrail.bundles import Bundle, shipped_folder
from guardrail.config import Config, starter
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.opa_settings import OpaSettings
from guardrail.output_settings import CheckSettings, OutputSettings
from guardrail.packs import DEFAULT
from guardrail.policy_settings import KeySettings, PolicySettings
from guardrail.slack_settings import SlackSettings

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("GUARDRAIL_")]:
        monkeypatch.delenv(name)


def load(folder: Path, text: str) -> Config:
    (folder / "guardrail.toml").write_text(text, encoding="utf-8")
    return Config.load(folder / "guardrail.toml")


def mistakes(folder: Path, text: str) -> list[str]:
    """The lines of the error, without the name of the file in front of each."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    lines = caught.value.message.splitlines()
    assert all(line.startswith(f"{folder}/guardrail.toml: ") for line in lines)
    return [line.removeprefix(f"{folder}/guardrail.toml: ") for line in lines]


# --- what loads ---------------------------------------------------------------------------------------


def test_an_empty_file_is_the_defaults(tmp_path: Path):
    config = load(tmp_path, "")
    assert config.model_dump() == {
        "mode": "enforce",
        "outcome": "durable",
        "strict": False,
        "ledger": {"path": "guardrail.db", "key": "guardrail.key", "lease": 30.0, "retention": None},
        "policies": {
            "shipped": False,
            "packs": None,
            "paths": (),
            "source": None,
            "poll": 30.0,
            "keys": {},
            "token": None,
            "authority": None,
            "timeout": 10.0,
            "bundle_bytes": 10_000_000,
            "observe": (),
            "limit": 1.0,
        },
        "masking": {"hide": ()},
        "agents": {},
        "tools": {},
        "outputs": {"checks": ("secrets", "personal", "injection", "size"), "check": {}},
        "principals": {},
        "people": {},
        "clients": {},
        "approvals": {
            "pending_per_run": 20,
            "remember_at_most": 604_800.0,
            "grants": "optional",
            "public_keys": (),
        },
        "serve": {
            "host": "127.0.0.1",
            "port": 8470,
            "behind_proxy": False,
            "certificate": None,
            "certificate_key": None,
            "signing_key": None,
            "tokens": "tokens.json",
            "operators": (),
            "body_bytes": 65_536,
            "body_within": 10.0,
            "connections": 200,
            "lease": 60.0,
            "url": None,
        },
        "resume": {"callable": None},
        "opa": None,
        "slack": None,
        "registry": {
            "pypi": None,
            "npm": None,
            "private": {},
            "snapshot": None,
            "snapshot_age": 30,
            "popular": {},
            "fresh": 86_400.0,
            "fresh_missing": 600.0,
            "timeout": 5.0,
            "answer_bytes": 20_000_000,
            "at_once": 4,
        },
        "checkpoints": None,
        "names": {"resolve": False, "timeout": 2.0},
    }


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/guardrail.toml").write_text(
        '[ledger]\npath = "data/g.db"\nkey = "/keys/k"\n[policies]\npaths = ["rules", "../shared"]\n'
        '[agents.a]\npaths = ["work", "/srv/x"]\n'
    )
    monkeypatch.chdir(tmp_path)
    config = Config.load("project/guardrail.toml")
    monkeypatch.chdir("/")
    project = tmp_path / "project"
    assert (config.folder, config.ledger_path, config.key_path, config.policy_paths) == (
        project,
        project / "data/g.db",
        Path("/keys/k"),
        (project / "rules", project / "../shared"),
    )
    assert config.boundaries().roots(("a",)) == {"work": project.resolve() / "work", "/srv/x": Path("/srv/x")}


def test_the_shipped_rules_stand_before_the_own_ones(tmp_path: Path):
    paths = load(tmp_path, '[policies]\nshipped = true\npaths = ["rules"]\n').policy_paths
    assert paths == (shipped_folder(), tmp_path / "rules")


@pytest.mark.parametrize(
    ("policies", "picked"),
    [
        ("", None),
        ("shipped = false", None),
        ("shipped = true", DEFAULT),
        ("shipped = true\npacks = []", ()),
        ('packs = ["dataflow", "sql"]', ("dataflow", "sql")),
    ],
)
def test_packs_are_picked_by_name(tmp_path: Path, policies: str, picked: tuple[str, ...] | None):
    config = load(tmp_path, f"[policies]\n{policies}\n")
    bundle = config.bundle()
    assert config.policies.picked == picked
    if picked is None:
        assert bundle is None
    else:
        assert bundle == Bundle.shipped(picked)


def test_packs_that_are_turned_off_and_picked_are_a_mistake(tmp_path: Path):
    (line,) = mistakes(tmp_path, '[policies]\nshipped = false\npacks = ["sql"]\n')
    assert line == "policies: expected packs only where the shipped rules are not turned off; found a table"


def test_a_pack_that_does_not_exist_is_named(tmp_path: Path):
    (line,) = mistakes(tmp_path, '[policies]\npacks = ["file_system"]\n')
    assert line.startswith("policies.packs[0]: ")
    assert "'filesystem'" in line
    assert "found 'file_system'" in line


def test_an_agent_becomes_the_boundary_that_it_declares(tmp_path: Path):
    text = """
        [agents.b]
        [agents.a]
        tools = ["bank/*"]
        delegate_tools = ["read"]
        paths = ["work"]
        hosts = ["a.example"]
        delegates = ["b"]
        depth = 3
        hours = "08:00-18:00 UTC"
        argument_bytes = 10
        attributes = { team = "x" }
        [agents.a.budgets]
        calls_per_run = 1
        calls_per_minute = 2
        [[agents.a.budgets.money]]
        name = "m"
        tool = "bank/pay"
        argument = "/amount"
        limit = 12.5
        per = "day"
        unit = "EUR"
    """
    declared = Boundary(
        tools=("bank/*",),
        delegate_tools=("read",),
        paths={"work": tmp_path / "work"},
        hosts=("a.example",),
        delegates=("b",),
        depth=3,
        hours=("08:00-18:00 UTC",),
        argument_bytes=10,
        calls_per_run=1,
        calls_per_minute=2,
        money=(Money(name="m", tool="bank/pay", argument="/amount", limit=12.5, per="day", unit="EUR"),),
    )
    config = load(tmp_path, text)
    assert config.boundaries().bundle == Boundaries({"b": Boundary(), "a": declared}).bundle
    assert config.agents["a"].attributes == {"team": "x"}


def test_no_paths_and_an_empty_list_of_paths_are_kept_apart(tmp_path: Path):
    agents = load(tmp_path, "[agents.a]\n[agents.b]\npaths = []\nhosts = []\n").agents
    assert [(agents[name].paths, agents[name].hosts) for name in ("a", "b")] == [(None, None), ((), ())]


def test_tools_are_found_by_server_and_name(tmp_path: Path):
    config = load(
        tmp_path, '[tools.read]\neffect = "read"\n[tools."bank/pay"]\ndeadline = "2m"\nretries = true\n'
    )
    assert {title: tool.model_dump(exclude_defaults=True) for title, tool in config.tools.items()} == {
        "local/read": {"effect": "read"},
        "bank/pay": {"deadline": 120.0, "retries": True},
    }


def test_the_starter_loads_as_it_stands(tmp_path: Path):
    config = load(tmp_path, starter())
    assert (list(config.agents), list(config.tools), config.policies.paths) == (
        ["assistant"],
        ["local/read_file", "local/write_file"],
        ("policies",),
    )


def test_what_the_starter_has_in_comments_loads_too(tmp_path: Path):
    lines = starter().splitlines()
    settings = [re.sub(r"^# (?=[a-z_]+ = |\[\[)", "", line) for line in lines]
    assert settings != lines
    config = load(tmp_path, "\n".join([*settings, "[agents.researcher]"]))
    (money,) = config.agents["assistant"].budgets.money
    assert (money.limit, config.agents["assistant"].delegates) == ("500.00", ("researcher",))


# --- the document -------------------------------------------------------------------------------------


def example(document: Path = DOCUMENT) -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    return found


def models() -> dict[str, type[BaseModel]]:
    return {
        "Top level": Config,
        "`[ledger]`": module.LedgerSettings,
        "`[policies]`": PolicySettings,
        "`[policies.keys.ID]`": KeySettings,
        "`[opa]`": OpaSettings,
        "`[masking]`": module.MaskingSettings,
        "`[names]`": module.NameSettings,
        "`[agents.NAME]`": module.AgentSettings,
        "`[agents.NAME.budgets]`": module.BudgetSettings,
        "`[[agents.NAME.budgets.money]]`": module.MoneySettings,
        '`[tools."SERVER/NAME"]`': module.ToolSettings,
        "`[outputs]`": OutputSettings,
        "`[outputs.check.NAME]`": CheckSettings,
        '`[principals."ID"]`': module.PrincipalSettings,
        "`[people.ID]`": module.PersonSettings,
        "`[approvals]`": module.ApprovalSettings,
        "`[serve]`": module.ServeSettings,
        "`[resume]`": module.ResumeSettings,
        "`[slack]`": SlackSettings,
    }


def test_the_example_of_the_document_loads_and_uses_every_key(tmp_path: Path):
    config = load(tmp_path, example())
    used = config.model_dump(exclude_unset=True)
    # Policies are read from folders, or taken from a source: the page on bundles has the other example.
    served = load(tmp_path, example(DOCUMENT.with_name("bundles.md"))).model_dump(exclude_unset=True)[
        "policies"
    ]
    agents = used["agents"].values()
    budgets = [agent["budgets"] for agent in agents if "budgets" in agent]
    tables: dict[str, list[dict[str, Any]]] = {
        "Top level": [used],
        "`[ledger]`": [used["ledger"]],
        "`[policies]`": [used["policies"], served],
        "`[policies.keys.ID]`": list(served["keys"].values()),
        "`[opa]`": [used["opa"]],
        "`[masking]`": [used["masking"]],
        "`[names]`": [used["names"]],
        "`[agents.NAME]`": list(agents),
        "`[agents.NAME.budgets]`": budgets,
        "`[[agents.NAME.budgets.money]]`": [money for budget in budgets for money in budget.get("money", ())],
        '`[tools."SERVER/NAME"]`': list(used["tools"].values()),
        "`[outputs]`": [used["outputs"]],
        "`[outputs.check.NAME]`": list(used["outputs"]["check"].values()),
        '`[principals."ID"]`': list(used["principals"].values()),
        "`[people.ID]`": list(used["people"].values()),
        "`[approvals]`": [used["approvals"]],
        "`[serve]`": [used["serve"]],
        "`[resume]`": [used["resume"]],
        "`[slack]`": [used["slack"]],
    }
    found = {title: {key for table in each for key in table} for title, each in tables.items()}
    assert found == {title: set(model.model_fields) for title, model in models().items()}
    assert config.boundaries().bundle


def test_the_document_lists_every_key_and_no_other():
    text = DOCUMENT.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^##+ (.*?)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    for title, model in models().items():
        rows = re.findall(r"^\| `(\w+)` \|", sections[title], re.MULTILINE)
        keys = [
            key
            for key, field in model.model_fields.items()
            if model is not Config
            or field.annotation in (str, bool)
            or get_origin(field.annotation) is Literal
        ]
        keys = [key for key in keys if key != "budgets"]
        assert sorted(rows) == sorted(keys), title


# --- what is refused ----------------------------------------------------------------------------------


def mistakes_by_example() -> list[tuple[str, str]]:
    """What is written wrong, and the line that says so: pairs from the file beside this one."""
    text = Path(__file__).with_name("config_mistakes.txt").read_text(encoding="utf-8")
    return [
        (wrong, line) for wrong, _, line in (pair.partition("\n→ ") for pair in text.strip().split("\n\n"))
    ]


@pytest.mark.parametrize(("text", "line"), mistakes_by_example())
def test_a_mistake_is_told_with_its_place(text: str, line: str, tmp_path: Path):
    assert mistakes(tmp_path, text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        'on_timeout = "allow"',
        "[approvals]\non_timeout = 'approve'",
        "[policies]\non_error = 'allow'",
        "[policies]\ndefault = 'allow'",
        "[agents.a]\nauto_approve = true",
        "[tools.a]\nfail_open = true",
        "[people.anna]\nauto_approve = true",
    ],
)
def test_no_setting_turns_silence_into_a_yes(text: str, tmp_path: Path):
    (line,) = mistakes(tmp_path, text)
    assert ": there is no such key; " in line


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    assert mistakes(tmp_path, 'mode = "off"\n[agents.a]\ntool = []\ndepth = -1\n') == [
        "mode: expected 'enforce' or 'observe'; found 'off'",
        "agents.a.depth: expected greater than or equal to 0; found -1",
        "agents.a.tool: there is no such key; did you mean 'tools'?",
    ]


def test_what_was_found_is_shortened(tmp_path: Path):
    (line,) = mistakes(tmp_path, f'mode = "{"x" * 1000}"')
    assert line == f"mode: expected 'enforce' or 'observe'; found '{'x' * 56}…"


def test_a_missing_file_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        Config.load(tmp_path / "guardrail.toml")
    assert (caught.value.message, caught.value.fix) == (
        f"{tmp_path}/guardrail.toml: there is no such file",
        "write one with `guardrail init`",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = ", "this is not TOML: "),  # what follows is the parser's own word
        (b"mode = 'enforce'\nmode = 'observe'", "this is not TOML: "),
        (b"mode = '\xff'", "this is not UTF-8 text: invalid start byte at byte 8"),
        (
            b"x = " + b"[" * 100_000,
            "this is n",
        ),  # nested too deeply, or no TOML, as the version of Python has it
    ],
)
def test_what_is_no_text_or_no_toml_is_refused(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "guardrail.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.load(tmp_path / "guardrail.toml")
    assert caught.value.message.startswith(f"{tmp_path}/guardrail.toml: {message}")


KEYS = st.sampled_from(
    ["mode", "agents", "tools", "a", "local/a", "paths", "hosts", "budgets", "money", "limit", "_x", ""]
)
TREES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-2, 2), st.floats(), st.sampled_from(["a", "/a", "30s", "read", "*", ""])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=15,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@settings(deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_whatever_stands_in_the_file_it_loads_or_is_a_config_error(
    tmp_path_factory: Any, tree: dict[str, Any]
):
    text = "\n".join(f'"{key}" = {toml(value)}' for key, value in tree.items())
    try:
        config = load(tmp_path_factory.getbasetemp(), text)
    except ConfigError:
        return
    assert config.boundaries().revision


# --- environment --------------------------------------------------------------------------------------


def test_three_settings_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GUARDRAIL_MODE", "observe")
    monkeypatch.setenv("GUARDRAIL_OUTCOME", "buffered")
    monkeypatch.setenv("GUARDRAIL_STRICT", "true")
    config = load(tmp_path, 'mode = "enforce"\nstrict = false')
    assert (config.mode, config.outcome, config.strict) == ("observe", "buffered", True)


def test_what_an_agent_may_do_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("AGENTS", "TOOLS", "POLICIES", "LEDGER", "MASKING", "PEOPLE", "PRINCIPALS"):
        monkeypatch.setenv(f"GUARDRAIL_{name}", '{"a": {"tools": ["*/*"]}}')
    assert load(tmp_path, "") == load(tmp_path, "# nothing")
    assert load(tmp_path, "").agents == {}


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GUARDRAIL_MODE", "off")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, 'mode = "enforce"')
    assert caught.value.message == "environment: GUARDRAIL_MODE: expected 'enforce' or 'observe'; found 'off'"


# --- ledger -------------------------------------------------------------------------------------------


def test_the_ledger_and_its_key_are_made_together_and_found_again(tmp_path: Path):
    config = load(tmp_path, '[ledger]\npath = "g.db"\nkey = "g.key"\n')
    for _ in range(2):
        with config.open_ledger() as ledger:
            assert isinstance(ledger, Ledger)
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in {".db", ".key"}) == [
            "g.db",
            "g.key",
        ]


def test_a_ledger_whose_key_is_gone_is_not_given_a_new_one(tmp_path: Path):
    config = load(tmp_path, "")
    config.open_ledger().close()
    (tmp_path / "guardrail.key").unlink()
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        config.open_ledger()
    assert not (tmp_path / "guardrail.key").exists()


def test_a_secret_that_was_pasted_into_the_file_is_not_repeated(tmp_path: Path):
    file = tmp_path / "guardrail.toml"
    file.write_text('[slack]\nteam = "T1"\napp = "A1"\nchannel = "C1"\ntoken = "xoxb-hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert "slack.token: expected where the secret is found" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_who_has_outputs_checked_has_a_pack_that_decides_about_them(tmp_path: Path):
    checked = load(tmp_path, '[policies]\nshipped = true\n[outputs]\nchecks = ["secrets"]\n').bundle()
    plain = load(tmp_path, "[policies]\nshipped = true\n").bundle()
    picked = load(
        tmp_path, '[policies]\nshipped = true\npacks = []\n[outputs]\nchecks = ["secrets"]\n'
    ).bundle()
    assert checked is not None
    assert plain is not None
    assert picked is not None
    found = ["outputs/outputs.rego" in bundle.modules for bundle in (checked, plain, picked)]
    assert found == [True, False, False]
