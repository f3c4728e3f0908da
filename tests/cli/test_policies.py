"""`init`, `check` and `test`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import Result

from guardrail.config import Config, starter
from guardrail.packs import DEFAULT, PackName

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

RULE = """# METADATA
# title: Small sums
package guardrail.rules.small

# METADATA
# title: Small sums go
allow contains {"rule": "small", "message": "small"} if {
	is_number(input.arguments.amount)
	input.arguments.amount < 10
}
"""


@pytest.fixture(name="empty")
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARDRAIL_CONFIG", raising=False)
    return tmp_path


@pytest.fixture(name="write")
def _write(empty: Path) -> Callable[[str, str], None]:
    def write(path: str, text: str) -> None:
        (empty / path).parent.mkdir(parents=True, exist_ok=True)
        (empty / path).write_text(text, encoding="utf-8")

    return write


def findings(document: Document, *arguments: str) -> list[tuple[str, int, str, str]]:
    found = document("check", *arguments)["findings"]
    return [(item["file"], item["line"], item["rule"], item["severity"]) for item in found]


def test_what_init_writes_passes_check_and_test(empty: Path, guardrail: Guardrail, document: Document):
    assert guardrail("init").stdout.splitlines() == [
        "wrote guardrail.toml",
        "wrote policies/files/files.rego",
        "wrote policies/files/files_test.rego",
        "wrote .gitignore",
        "Next: guardrail check && guardrail test",
    ]
    assert (empty / "guardrail.toml").read_text() == starter()
    assert (empty / ".gitignore").read_text() == "guardrail.db*\nguardrail.key\n"
    checked, tested, examined = guardrail("check"), guardrail("test"), guardrail("doctor")
    assert (checked.exit_code, checked.stdout) == (0, "Nothing to complain about.\n")
    assert (tested.exit_code, tested.stdout.splitlines()[-1]) == (0, "3 passed, 0 failed.")
    assert examined.exit_code == 0


def test_init_picks_packs(empty: Path, guardrail: Guardrail, document: Document):
    assert guardrail("init", "--pack", "filesystem", "--pack", "dataflow").exit_code == 0
    assert Config.load().policies.packs == (*DEFAULT, "dataflow")
    checked, tested = guardrail("check"), guardrail("test")
    assert (checked.exit_code, checked.stdout, tested.exit_code) == (0, "Nothing to complain about.\n", 0)


def test_init_knows_its_packs(empty: Path, guardrail: Guardrail):
    near, far = guardrail("init", "--pack", "file_system"), guardrail("init", "--pack", "zzz")
    assert (near.exit_code, near.stderr.splitlines()) == (
        2,
        [
            "there is no pack 'file_system'",
            "To do: did you mean 'filesystem'? `guardrail packs` lists them all",
        ],
    )
    assert (far.exit_code, list(empty.iterdir())) == (2, [])
    assert far.stderr.splitlines()[1] == "To do: `guardrail packs` lists them all"


def test_packs_are_listed_for_programs_too(document: Document):
    listed = {pack["name"]: pack for pack in document("packs")["packs"]}
    assert listed.keys() == set(get_args(PackName))
    assert listed["sql"] == {
        "name": "sql",
        "title": "SQL",
        "description": (
            "A tool that is declared to read changes nothing, whatever the model writes for it, and the shape of the "
            "data is for people to change. Rights in the database come first: views and triggers are not seen here."
        ),
        "decides": "statements of SQL",
        "rules": ["sql.changes", "sql.definition"],
        "settings": ["approval"],
        "picked": "default",
    }


def test_a_setting_that_no_picked_pack_reads_is_an_error(
    empty: Path, guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    guardrail("init", "--pack", "filesystem")
    write(
        "policies/data.json",
        '{"settings": {"protected": [], "messaging": {"most": 1}, "spending": {"limits": []}}}',
    )
    assert [item["message"].partition(";")[0] for item in document("check")["findings"]] == [
        "no rule reads settings.messaging",
        "no rule reads settings.spending",
    ]


def test_a_mark_of_a_budget_that_does_not_exist_is_an_error(
    empty: Path, guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    guardrail("init", "--pack", "spending")
    write(
        "policies/data.json", '{"settings": {"spending": {"budgets": {"assistant: payment per day": 250}}}}'
    )
    assert [item["message"] for item in document("check")["findings"]] == [
        "settings.spending.budgets names 'assistant: payment per day', which is no budget of money of an agent"
    ]


def test_a_misspelt_setting_of_a_pack_is_an_error(
    empty: Path, guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    guardrail("init", "--pack", "spending")
    write("policies/data.json", '{"settings": {"spending": {"limit": []}}}')
    assert [item["message"] for item in document("check")["findings"]] == [
        "no rule reads settings.spending.limit; did you mean settings.spending.limits?"
    ]


def test_init_keeps_what_is_there_unless_forced(
    empty: Path, guardrail: Guardrail, write: Callable[[str, str], None]
):
    write("project/guardrail.toml", "mode = 'observe'\n")
    write("project/.gitignore", "*.pyc")
    kept = guardrail("init", "project")
    assert (kept.exit_code, kept.stdout) == (2, "")
    assert "there already: project/guardrail.toml" in kept.stderr
    assert [path.name for path in sorted((empty / "project").iterdir())] == [".gitignore", "guardrail.toml"]
    assert guardrail("init", "project", "--force").exit_code == 0
    assert (empty / "project" / "guardrail.toml").read_text() == starter()
    assert (empty / "project" / ".gitignore").read_text() == "*.pyc\nguardrail.db*\nguardrail.key\n"
    guardrail("init", "project", "--force")
    assert (empty / "project" / ".gitignore").read_text() == "*.pyc\nguardrail.db*\nguardrail.key\n"


def test_init_where_nothing_may_be_written_says_so(
    empty: Path, guardrail: Guardrail, write: Callable[[str, str], None]
):
    write("file", "")
    result = guardrail("init", "file/project")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be written" in result.stderr


CONFIG = """
[agents.idle]

[agents.payer]
tools = ["bank/send_money", "files/get_*", "balance"]
paths = ["nowhere"]

[tools.balance]
effect = "read"

[tools."bank/refund"]
effect = "write"

[tools."files/get_text"]
deadline = "5s"
"""


def test_a_configuration_that_nobody_can_have_meant_is_named_by_line(
    guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    write("guardrail.toml", CONFIG)
    assert findings(document) == [
        ("guardrail.toml", 1, "no-policies", "warning"),
        ("guardrail.toml", 2, "agent-without-boundary", "error"),
        ("guardrail.toml", 4, "tool-without-effect", "warning"),
        ("guardrail.toml", 4, "missing-folder", "warning"),
        ("guardrail.toml", 11, "unused-tool", "warning"),
        ("guardrail.toml", 14, "tool-without-effect", "warning"),
    ]
    result = guardrail("check")
    assert result.exit_code == 1
    assert (
        "guardrail.toml:2: error: agent idle has no boundary: it may use no tool and delegate nothing; "
        "list its tools [agent-without-boundary]\n"
    ) in result.stdout
    assert result.stdout.endswith("1 error, 5 warnings.\n")


def test_warnings_alone_are_no_faults(guardrail: Guardrail, write: Callable[[str, str], None]):
    write("guardrail.toml", CONFIG.replace("[agents.idle]", ""))
    assert guardrail("check").exit_code == 0


def test_an_agentless_configuration_denies_everything_and_that_is_a_fault(
    document: Document, write: Callable[[str, str], None]
):
    write("guardrail.toml", "[policies]\npaths = ['policies']\n")
    write("policies/small.rego", RULE)
    assert findings(document) == [("guardrail.toml", 1, "agent-without-boundary", "error")]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("mode = 'enforce'\n\n[ledger]\npaths = 'x'\n", 4, "did you mean 'path'?"),
        ("[agents.a]\ntools = 'x'\n", 2, "expected"),
        ("[agents.a]\n\n[agents.a.budgets]\ncalls_per_run = -1\n", 4, "calls_per_run"),
        ('[tools."bank/pay"]\n\neffect = "rite"\n', 3, "effect"),
        ("strict = true\nmode = \n", 2, "this is not TOML"),
    ],
)
def test_a_wrong_key_is_a_finding_with_its_line(
    text: str,
    line: int,
    said: str,
    guardrail: Guardrail,
    document: Document,
    write: Callable[[str, str], None],
):
    write("guardrail.toml", text)
    assert findings(document) == [("guardrail.toml", line, "config", "error")]
    assert said in guardrail("check").stdout
    assert guardrail("check").exit_code == 1


def test_findings_in_policies_carry_the_path_of_their_file(
    guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    write(
        "guardrail.toml",
        "[agents.a]\ntools = ['t']\n[tools.t]\neffect = 'read'\n[policies]\npaths = ['rules']\n",
    )
    write("rules/money/small.rego", RULE.replace("\tis_number(input.arguments.amount)\n", ""))
    assert findings(document) == [("rules/money/small.rego", 8, "type-guard", "error")]
    assert guardrail("check").stdout.startswith("rules/money/small.rego:8: error: ")


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        (RULE + "\nx := http.send({})\n", "function", 12),
        (RULE + "\nx := x\n", "recursion", 12),
        (RULE + "\nx := \n", "syntax", 13),
    ],
)
def test_what_the_pre_flight_refuses_is_a_finding(
    source: str,
    rule: str,
    line: int,
    guardrail: Guardrail,
    document: Document,
    write: Callable[[str, str], None],
):
    write(
        "guardrail.toml",
        "[agents.a]\ntools = ['t']\n[tools.t]\neffect = 'read'\n[policies]\npaths = ['rules']\n",
    )
    write("rules/small.rego", source)
    assert findings(document) == [("rules/small.rego", line, rule, "error")]
    assert guardrail("check").exit_code == 1


def test_a_tier_that_is_misspelt_is_a_finding(
    guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    write(
        "guardrail.toml",
        "[agents.a]\ntools = ['t']\n[tools.t]\neffect = 'read'\n[policies]\npaths = ['rules']\n",
    )
    write("rules/small.rego", RULE)
    write("rules/data.json", '{"settings": {"tiers": [{"tool": "a/b", "argument": "c", "above": 1}]}}')
    assert ("rules", 0, "bundle", "error") in findings(document)
    assert "settings.tiers[0].over: Field required" in guardrail("check").stdout


def test_observed_rules_are_warned_of_and_have_to_exist(
    document: Document, write: Callable[[str, str], None]
):
    write(
        "guardrail.toml",
        "[agents.a]\ntools=['t']\n[tools.t]\neffect='read'\n[policies]\npaths=['rules']\nobserve=['small','big']\n",
    )
    write("rules/small.rego", RULE)
    assert findings(document) == [
        ("guardrail.toml", 7, "observe", "warning"),
        ("guardrail.toml", 7, "observe", "warning"),
        ("guardrail.toml", 7, "unknown-rule", "error"),
    ]


def test_a_configuration_that_is_not_there_is_wrong_use(empty: Path, guardrail: Guardrail):
    for command in ("check", "test", "runs", "verify"):
        result = guardrail(command, "--config", "other.toml")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "other.toml: there is no such file\nTo do: write one with `guardrail init`\n"


TESTS = """package small_test

import data.guardrail.rules.small

test_small_sums_go if {
	count(small.allow) == 1 with input as {"arguments": {"amount": 1}}
}

test_large_sums_go if {
	print("so much", 100)
	count(small.allow) == 1 with input as {"arguments": {"amount": 100}}
}
"""


def test_a_failing_test_says_where_it_stands_and_what_it_printed(
    guardrail: Guardrail, document: Document, write: Callable[[str, str], None]
):
    write("rules/small.rego", RULE)
    write("rules/small_test.rego", TESTS)
    result = guardrail("test", "rules")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith("passed  small_test.test_small_sums_go  (rules/small_test.rego:5, ")
    assert lines[1].startswith("failed  small_test.test_large_sums_go  (rules/small_test.rego:9, ")
    assert lines[2:] == [
        "        it was false, or had no value",
        "        small_test.rego:10: so much 100",
        "1 passed, 1 failed.",
    ]
    found = document("test", "rules")
    assert (found["passed"], found["failed"]) == (1, 1)
    assert [(test["name"], test["passed"], test["line"]) for test in found["tests"]] == [
        ("small_test.test_small_sums_go", True, 5),
        ("small_test.test_large_sums_go", False, 9),
    ]


def test_some_tests_are_chosen_by_name(guardrail: Guardrail, write: Callable[[str, str], None]):
    write("rules/small.rego", RULE)
    write("rules/small_test.rego", TESTS)
    assert guardrail("test", "rules", "-k", "small_sums").exit_code == 0


def test_no_tests_is_a_no(guardrail: Guardrail, write: Callable[[str, str], None]):
    write("rules/small.rego", RULE)
    result = guardrail("test", "rules")
    assert (result.exit_code, result.stdout) == (1, "No tests: write rules test_* in files *_test.rego.\n")


def test_tests_of_policies_that_do_not_parse_are_a_no_with_the_place(
    guardrail: Guardrail, write: Callable[[str, str], None]
):
    write("rules/small.rego", "package guardrail.rules.small\n\nallow contains if\n")
    result = guardrail("test", "rules")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "small.rego:" in result.stderr


def test_policies_that_are_not_configured_are_wrong_use(project: Any, guardrail: Guardrail):
    result = guardrail("test")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no policies are named" in result.stderr
