"""`guardrail packages`: a look, the history of looks, and the snapshot, against a stand-in over HTTP."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from guardrail.registry.testing import RegistryStandIn


@pytest.fixture(name="stand_in")
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryStandIn]:
    monkeypatch.chdir(tmp_path)
    with RegistryStandIn() as server:
        text = f'[registry]\npypi = "{server.url}"\nnpm = "{server.npm_url}"\ntimeout = "2s"\nfresh_missing = "1ms"\n'
        Path("guardrail.toml").write_text(text)
        yield server


def test_a_look_says_what_rules_would_see_and_no_where_one_is_missing(
    guardrail: Callable[..., Result], stand_in: RegistryStandIn
):
    stand_in.publish("requests", days_ago=100.5, versions=2)
    stand_in.publish("left-pad", ecosystem="npm")
    answer = guardrail("packages", "look", "Requests", "left-pad")
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [
        "PACKAGE        STATE    SAID BY  DAYS  RELEASES  RANK  REMARKS",
        "pypi/requests  there    pypi     100   2         6",
        "pypi/left-pad  missing  pypi                           is on npm",
    ]
    answer = guardrail("packages", "look", "left-pad", "--ecosystem", "npm", "--json")
    (found,) = json.loads(answer.output)["packages"]
    assert (answer.exit_code, found["known"], found["registry"]) == (0, True, "npm")


def test_a_package_may_be_named_as_rules_name_it(guardrail: Callable[..., Result], stand_in: RegistryStandIn):
    stand_in.publish("requests")
    stand_in.publish("@types/node", ecosystem="npm")
    answer = guardrail("packages", "look", "pypi/requests", "npm/@types/node", "--json")
    named = [(fact["ecosystem"], fact["name"]) for fact in json.loads(answer.output)["packages"]]
    assert (answer.exit_code, named) == (0, [("pypi", "requests"), ("npm", "@types/node")])
    for name in ("", "x y"):
        assert guardrail("packages", "look", name).exit_code == 2


def test_the_history_tells_that_a_package_was_missing_before(
    guardrail: Callable[..., Result], stand_in: RegistryStandIn
):
    guardrail("packages", "look", "flask-gpt-helper")
    stand_in.publish("flask-gpt-helper", days_ago=0)
    answer = guardrail("packages", "look", "flask-gpt-helper")
    assert "was missing before" in answer.output
    seen = json.loads(guardrail("packages", "history", "flask-gpt-helper", "--json").output)["observations"]
    assert [one["state"] for one in seen if one["ecosystem"] == "pypi"] == ["missing", "there"]
    lines = guardrail("packages", "history", "flask-gpt-helper").output.splitlines()
    assert lines[0].split() == ["ECOSYSTEM", "INDEX", "STATE", "FIRST", "SEEN", "SO", "LAST", "SEEN", "SO"]


def test_a_snapshot_is_built_from_the_index_and_then_used(
    guardrail: Callable[..., Result], stand_in: RegistryStandIn
):
    for name in ("requests", "Six", "tabular-oddities"):
        stand_in.publish(name)
    answer = guardrail("packages", "snapshot")
    assert answer.exit_code == 0
    assert "3 names of pypi in " in answer.output
    assert 'To use it: snapshot = "packages-snapshot" under [registry]' in answer.output
    Path("guardrail.toml").write_text('[registry]\nsnapshot = "packages-snapshot"\n')
    answer = guardrail("packages", "look", "six", "invented", "--json")
    found = json.loads(answer.output)["packages"]
    assert [(one["known"], one["registry"].partition(":")[0]) for one in found] == [
        (True, "snapshot"),
        (False, "snapshot"),
    ]


def test_a_snapshot_of_npm_is_built_from_names_in_a_file(
    guardrail: Callable[..., Result], stand_in: RegistryStandIn
):
    answer = guardrail("packages", "snapshot", "--ecosystem", "npm")
    assert (answer.exit_code, "no index is declared that lists all names of npm" in answer.output) == (
        2,
        True,
    )
    Path("names.txt").write_text("react\n@types/node\n../x\n")
    answer = guardrail("packages", "snapshot", "--ecosystem", "npm", "--names", "names.txt", "--to", "there")
    assert (answer.exit_code, "2 names of npm in there" in answer.output) == (0, True)


def test_what_cannot_be_done_is_said(guardrail: Callable[..., Result], stand_in: RegistryStandIn):
    assert guardrail("packages", "look", "a", "--ecosystem", "gem").exit_code == 2
    assert guardrail("packages", "snapshot", "--names", "none.txt").exit_code == 2
    Path("guardrail.toml").write_text('[registry]\npypi = "http://127.0.0.1:1/"\n')
    answer = guardrail("packages", "snapshot")
    assert (answer.exit_code, "gives no list of its names" in answer.output) == (4, True)
