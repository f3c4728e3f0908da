"""`docs/cli.md` tells what the commands do: its blocks are run in order, in one empty folder."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import Result

from guardrail.cli.app import app
from guardrail.config import Config

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def blocks() -> Iterator[tuple[str, str]]:
    """What follows the opening fence, and the block."""
    yield from re.findall(r"^```(console|python \S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, with what it is said to print."""
    for part in block.split("$ ")[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def as_pattern(printed: str) -> re.Pattern[str]:
    """`…` stands for anything in a line; alone in a line, for any lines."""
    lines = [
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r" *\n"
        for line in printed.splitlines()
    ]
    return re.compile("".join(lines))


def ids() -> dict[str, str]:
    """What the placeholders of the page stand for at this moment."""
    if not Config.load().ledger_path.exists():
        return {}
    with Config.load().open_ledger() as ledger:
        calls = [call for run in ledger.runs() for call in ledger.calls(run.id)]
        approvals = ledger.approvals()
    found = {"APPROVAL": approval.id for approval in approvals}  # noqa: B035  (the last one stays)
    for call in calls:
        found |= {"CALL": call.reference} if call.state == "asked" else {}
        found |= {"UNKNOWN": call.reference} if call.state == "unknown" else {}
    return found


def test_the_page_tells_what_the_commands_print(
    guardrail: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("GUARDRAIL_CONFIG", "GUARDRAIL_MODE", "FORCE_COLOR", "RUST_BACKTRACE"):
        monkeypatch.delenv(name, raising=False)
    for kind, block in blocks():
        if kind != "console":
            (tmp_path / kind.removeprefix("python ")).write_text(block, encoding="utf-8")
            continue
        for command, printed in commands(block):
            program, *arguments = shlex.split(command)
            if program == "python":
                subprocess.run([sys.executable, *arguments], check=False, timeout=60)
                continue
            known = ids() if {"APPROVAL", "CALL", "UNKNOWN"} & set(arguments) else {}
            output = guardrail(*(known.get(word, word) for word in arguments)).output
            assert as_pattern(printed).fullmatch(output), f"{command} printed:\n{output}"


@pytest.mark.parametrize("name", typer.main.get_group(app).commands)
def test_the_page_names_every_command_and_option(name: str):
    command: Any = typer.main.get_group(app).commands[name]
    common = {"--config", "--json", "--color", "--no-color", "--as", "--help"}
    options = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = {option for option in options - common if option.startswith("-")}
    missing = {option for option in named if not re.search(rf"`[^`]*{re.escape(option)}\b", PAGE)}
    assert (f"`{name}" in PAGE, missing) == (True, set())
