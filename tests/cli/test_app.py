"""The command as a whole, in processes of its own: help, versions, exit codes, pipes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
from rich.markup import render
from typer.main import get_command
from typer.testing import Result

import guardrail as package
from guardrail.cli.app import app

Process = Callable[..., CompletedProcess[str]]
Guardrail = Callable[..., Result]
COMMANDS = [
    "init", "demo", "check", "test", "runs", "show", "approvals", "doctor", "approve", "reject",
    "halt", "unhalt", "settle", "verify",
]  # fmt: skip


def test_the_version_is_printed(process: Process):
    ended = process("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"guardrail {package.__version__}\n", "")


def helps(command: Any, name: str = "guardrail") -> Iterator[tuple[str, str]]:
    """Every text of the help pages, with the command that it is of."""
    yield name, command.help or ""
    yield from ((name, getattr(parameter, "help", None) or "") for parameter in command.params)
    for each, other in getattr(command, "commands", {}).items():
        yield from helps(other, f"{name} {each}")


def test_the_help_swallows_no_name_in_brackets():
    """What stands in brackets is taken for a style, and `[serve]` for one that nobody knows."""
    swallowed = [
        (command, text)
        for command, text in helps(get_command(app))
        if render(text).plain != text.replace("\\[", "[")
    ]
    assert swallowed == []


HELP = """
import sys
from guardrail.cli import main

sys.argv = ["guardrail", "--help"]
try:
    main()
finally:
    heavy = {"sqlalchemy", "regorus", "pydantic_settings", "cryptography", "langgraph", "langchain_core"}
    print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def test_help_names_every_command_and_loads_no_heavy_part():
    ended = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
    assert [name for name in COMMANDS if f" {name} " not in ended.stdout] == []


def test_every_public_name_is_there():
    assert [name for name in package.__all__ if getattr(package, name, None) is None] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, guardrail: Guardrail):
    result = guardrail(command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"guardrail {command} " in result.stdout


@pytest.mark.parametrize(
    "arguments", [("frobnicate",), ("runs", "--frobnicate"), ("show",), ("runs", "--last", "x")]
)
def test_wrong_use_ends_with_two(arguments: tuple[str, ...], guardrail: Guardrail, project: Any):
    result = guardrail(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_known_errors_end_with_their_code_and_what_to_do(process: Process, project: Any):
    project.configure("modus = 1")
    ended = process("runs")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "guardrail.toml: modus: there is no such key; did you mean 'mode'?\n"
        "To do: correct it and run `guardrail check`\n"
    )


def test_the_environment_names_the_configuration(process: Process, project: Any):
    project.send("bob")
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    named = {**os.environ, "GUARDRAIL_CONFIG": str(project.folder / "guardrail.toml")}
    found = json.loads(process("runs", "--json", cwd=elsewhere, env=named).stdout)
    assert [run["id"] for run in found["runs"]] == ["run-1"]
    assert list(elsewhere.iterdir()) == []


def test_colours_and_whole_lines_survive_a_pipe(process: Process, project: Any):
    project.send("mallory" * 100)
    plain = process("show", "run-1")
    forced = process("show", "run-1", env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "40", "TERM": "dumb"})
    asked = process("show", "run-1", "--color")
    assert "\x1b" not in plain.stdout
    assert forced.stdout == asked.stdout
    assert "\x1b[32mreturned" in asked.stdout
    assert max(map(len, plain.stdout.splitlines())) > 200


def test_letters_that_a_stream_cannot_carry_are_spelled_out(process: Process, project: Any):
    with project.guard() as guard, guard.run("run-1", task="größer → 日本"):
        pass
    ended = process("runs", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert r"gr\xf6\xdfer \u2192 \u65e5\u672c" in ended.stdout


def test_a_reader_that_goes_away_is_no_traceback(project: Any):
    with project.guard() as guard:
        for number in range(200):
            with guard.run(f"r{number}", task="x" * 2000):
                pass
    with subprocess.Popen(
        [sys.executable, "-m", "guardrail.cli", "runs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        assert "Traceback" not in command.stderr.read()


def test_approving_from_a_script_is_one_vote_by_the_named_person(process: Process, project: Any):
    approval = project.ask()
    no = process("approve", approval[:10], "--as", "anna", input="I do NOT approve\n")
    yes = process("approve", approval[:10], "--as", "anna", input="approve\n")
    late = process("reject", approval[:10], "--as", "bob")
    assert (no.returncode, yes.returncode, late.returncode) == (1, 0, 1)
    assert late.stderr == f"approval {approval} is already approved by anna\n"


def test_the_demo_without_its_adapter_names_the_extra(process: Process, project: Any, tmp_path: Any):
    (tmp_path / "langgraph.py").write_text("raise ModuleNotFoundError('No module named langgraph')")
    ended = process("demo", "--yes", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install 'guardrail-runtime[langgraph]'" in ended.stderr
