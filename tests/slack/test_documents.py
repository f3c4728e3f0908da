"""`docs/slack.md` tells what is so: its configurations load, its program runs, its picture is that of the blocks."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from guardrail_slack.manifest import manifest
from typer.testing import CliRunner, Result

from guardrail.cli.app import app
from guardrail.config import Config

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "slack.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(name="guardrail")
def _guardrail() -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, list(arguments), prog_name="guardrail")


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_configuration_of_the_page_loads(tmp_path: Path, text: str):
    (tmp_path / "guardrail.toml").write_text(text, encoding="utf-8")
    assert Config.load(tmp_path / "guardrail.toml").slack is not None


def test_the_manifest_of_the_page_is_what_the_command_prints(guardrail: Callable[..., Result]):
    ((command, printed),) = [block.split("\n", 1) for block in blocks("console")]
    assert guardrail(*command.removeprefix("$ guardrail ").split()).stdout == printed


def test_the_manifest_asks_for_no_more_than_posting():
    made = manifest("https://guardrail.example.com/", name="Gate")
    assert made["oauth_config"] == {"scopes": {"bot": ["chat:write"]}}
    assert (
        made["settings"]["interactivity"]["request_url"] == "https://guardrail.example.com/slack/interactions"
    )
    assert made["features"]["bot_user"]["display_name"] == made["display_information"]["name"] == "Gate"
    assert "event_subscriptions" not in json.dumps(made)


def test_slack_posts_to_https_only(guardrail: Callable[..., Result]):
    result = guardrail("slack", "manifest", "--url", "http://guardrail.example.com")
    assert (result.exit_code, "https://" in result.output) == (2, True)


def test_the_program_of_the_page_prints_what_the_page_shows():
    (program,), (printed,) = blocks("python"), blocks("text")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == printed


def test_the_picture_is_drawn_from_the_blocks_as_they_are(tmp_path: Path):
    drawn = tmp_path / "slack.svg"
    subprocess.run([sys.executable, DOCS / "pictures" / "draw.py", drawn], check=True, timeout=60)
    assert drawn.read_text() == (DOCS / "pictures" / "slack.svg").read_text(), "python docs/pictures/draw.py"
