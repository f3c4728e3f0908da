"""The checks that a configuration names, and no others, are made: its own mistakes are refused with what is known."""

from pathlib import Path
from typing import Any

import pytest

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.outputs import Output, Wanted, checks_of, default_checks, run_checks


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that brings checks, installed."""
    (tmp_path / "somebodys_checks.py").write_text(
        "from guardrail.outputs import Answer\n"
        "class Short:\n"
        "    version = '3'\n"
        "    def __init__(self, longest): self.longest = longest\n"
        "    def look(self, output): return Answer(verdict='pass' if len(output.body) <= self.longest else 'fail')\n"
        "def short(options, folder): return Short(options['longest'])\n"
        "def nothing(options, folder): return object()\n"
    )
    info = tmp_path / "somebodys_checks-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-checks\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[guardrail.checks]\nshort = somebodys_checks:short\nnothing = somebodys_checks:nothing\n"
        "gone = somebodys_checks:gone\nbroken = somebodys_missing:x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_check_of_another_distribution_is_made_with_its_options(brought: Path):
    wanted = Wanted(name="brief", use="short", limit=5.0, tools=("bank/*",), options={"longest": 6})
    (check,) = checks_of([wanted], brought)
    (result,) = run_checks(Output.of("12345", tool="bank/pay"), [check])
    assert (result.name, result.version, result.verdict, result.required) == ("brief", "3", "fail", True)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted(name="secert"), "there is no check 'secert'"),
        (Wanted(name="gone"), "the check 'gone' cannot be loaded"),
        (Wanted(name="broken"), "the check 'broken' cannot be loaded"),
        (Wanted(name="nothing"), "the check 'nothing' has no version or no look"),
        (Wanted(name="secrets", options={"x": 1}), "there is no option 'x' of this check"),
        (Wanted(name="size", options={"bytes": 0}), "bytes: expected a whole number from 1 on; found 0"),
        (
            Wanted(name="size", options={"bytes": True}),
            "bytes: expected a whole number from 1 on; found True",
        ),
        (Wanted(name="personal", options={"kinds": "iban"}), "kinds: expected a list of card_number"),
        (Wanted(name="personal", options={"kinds": ["x"]}), "kinds: expected a list of card_number"),
        (Wanted(name="json-schema"), "schema: expected a table with a JSON Schema"),
        (Wanted(name="json-schema", options={"schema": "no.json"}), "schema: no.json cannot be read"),
        (Wanted(name="json-schema", options={"schema": {"type": 3}}), "this is no JSON Schema"),
    ],
)
def test_what_cannot_be_made_is_refused(brought: Path, wanted: Wanted, why: str):
    with pytest.raises(ConfigError, match=why):
        checks_of([wanted], brought)


def names(folder: Path, text: str) -> list[tuple[str, Any, Any]]:
    (folder / "guardrail.toml").write_text(text)
    checks = Config.load(folder / "guardrail.toml").output_checks()
    return [(check.name, check.required, check.limit) for check in checks]


def test_the_configuration_names_the_checks(tmp_path: Path):
    assert names(tmp_path, "") == [
        ("secrets", True, None),
        ("personal", True, None),
        ("injection", False, None),
        ("size", True, None),
    ]
    assert names(tmp_path, "[outputs]\nchecks = []\n") == []
    (tmp_path / "form.json").write_text('{"type": "object"}')
    assert names(
        tmp_path,
        '[outputs]\nchecks = ["size", "form"]\n[outputs.check.size]\nrequired = false\nlimit = "2s"\n'
        '[outputs.check.form]\nuse = "json-schema"\noptions = { schema = "form.json" }\n',
    ) == [("size", False, 2.0), ("form", True, 1.0)]


def test_the_default_checks_are_those_of_an_empty_configuration(tmp_path: Path):
    assert [check.name for check in default_checks()] == [name for name, _, _ in names(tmp_path, "")]
