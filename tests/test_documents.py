"""The documents say what is so: their examples run, their commands exist."""

import doctest
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
] + sorted((ROOT / "docs").rglob("*.md"))


def commands() -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-m", "guardrail.cli", "--help"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^\W*([a-z]+)  +\S", answer.stdout, re.MULTILINE))


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert named - targets == set()


def test_every_guardrail_command_that_a_document_names_exists():
    known = commands()
    named = {
        (document.name, command)
        for document in DOCUMENTS
        for command in re.findall(r"(?:^|`)guardrail ([a-z]+)", document.read_text(), re.MULTILINE)
    }
    assert {pair for pair in named if pair[1] not in known} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(document: Path):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_quickstart_does_what_its_page_shows(tmp_path: Path):
    folder = tmp_path / "quickstart"
    shutil.copytree(ROOT / "examples" / "quickstart", folder, ignore=shutil.ignore_patterns("*.db*", "*.key"))
    answer = subprocess.run(
        [sys.executable, folder / "plain_function.py"], capture_output=True, text=True, check=True, timeout=60
    )
    lines = answer.stdout.splitlines()
    assert lines[:4] == [
        "sent 20.0 to bob",
        "DENIED (nothing was executed): send_money amount=2000 to=mallory",
        "Reason: payments over 100 are made by people [amounts.large]",
        "You may: pay at most 100, or ask the accounting team",
    ]
    checked = subprocess.run(
        [sys.executable, "-m", "guardrail.cli", "check"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("page", ["facts.md", "outputs.md"])
def test_the_examples_of_a_page_print_what_it_says(page: str):
    outcome = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert (outcome.failed, outcome.attempted > 0) == (0, True)


def test_the_readme_tells_the_figures_of_agentdojo_as_the_example_does():
    def rows(page: Path) -> list[str]:
        lines = page.read_text(encoding="utf-8").splitlines()
        begin = next(number for number, line in enumerate(lines) if line.startswith("| suite |"))
        return lines[begin : begin + 7]

    assert rows(ROOT / "README.md") == rows(ROOT / "examples" / "agentdojo" / "README.md")
