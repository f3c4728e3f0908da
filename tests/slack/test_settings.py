"""`[slack]` says where things are; the secrets are elsewhere, and what is missing is named."""

from pathlib import Path
from typing import Any

import pytest
from guardrail_slack import connect
from guardrail_slack.endpoint import PATH
from guardrail_slack.testing import SlackStandIn

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.people import People
from guardrail.slack_settings import secret
from tests.slack.conftest import serving, voting_over

WHOLE = """
[slack]
team = "T0STANDIN"
app = "A0STANDIN"
channel = "C0PAYMENTS"
"""


def configured(folder: Path, text: str) -> Config:
    (folder / "guardrail.toml").write_text(text, encoding="utf-8")
    return Config.load(folder / "guardrail.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('token = "xoxb-1"', "slack.token: expected where the secret is found"),
        ("signing_secret = []", "slack.signing_secret: expected"),
        ('signing_secret = ["env:A", "env:B", "env:C"]', "slack.signing_secret: expected"),
        ('signing_secret = "8f742231b10e8888abcd99yyyzzz85a5"', "slack.signing_secret[0]: expected where the secret"),
        ('webhook = "https://hooks.slack.com/services/T/B/x"', "slack.webhook: expected where the secret is found"),
        ('team = "acme"', "slack.team: expected an id of Slack"),
        ('channel = "#payments"', "slack.channel: expected an id of Slack"),
        ('link = "javascript:alert(1)"', "slack.link: expected an address"),
        ('link = "https://a b"', "slack.link: expected an address"),
        ('api = "https://slack.com/api"', "slack.api: expected an address that ends with /"),
        ('tools = { "a b" = "C1A" }', "slack.tools"),
        ('chanel = "C1A"', "slack.chanel: there is no such key; did you mean 'channel'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, f"[slack]\n{text}\n")
    assert message in caught.value.message
    assert "xoxb-1" not in caught.value.fix


def test_a_secret_is_read_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_SECRET", " one\n")
    (tmp_path / "secret").write_text("two\n")
    assert [secret("env:SOME_SECRET", tmp_path), secret("file:secret", tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("reference", ["env:NOT_SET", "file:missing", "file:empty", "file:."])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str):
    monkeypatch.delenv("NOT_SET", raising=False)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match=reference.split(":")[1].replace(".", r"\.")):
        secret(reference, tmp_path)


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        (WHOLE, ("slack",)),
        ('[slack]\nwebhook = "env:HOOK"\n', ("slack-webhook",)),
        (WHOLE + 'webhook = "env:HOOK"\n', ("slack", "slack-webhook")),
        ("[slack]\n", ()),
    ],
)
def test_the_configuration_says_which_channels_are_told(tmp_path: Path, text: str, channels: Any):
    settings = configured(tmp_path, text).slack
    assert settings is not None
    assert settings.channels == channels


def test_slack_is_connected_as_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with SlackStandIn() as slack:
        more = f'webhook = "env:HOOK"\nsigning_secret = ["env:NEW", "file:old"]\napi = "{slack.url}"\n'
        config = configured(tmp_path, WHOLE + more)
        for name, value in {
            "SLACK_BOT_TOKEN": slack.token,
            "HOOK": slack.webhook,
            "NEW": "the new one",
        }.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "old").write_text(slack.secret)
        ledger = config.open_ledger()
        connected = connect(config, ledger=ledger, voting=voting_over(ledger, People()))
        assert [channel.name for channel in connected.channels] == list(config.slack.channels)  # type: ignore[union-attr]
        assert connected.endpoint is not None
        with serving(connected.endpoint.app) as address:
            slack.endpoint = address + PATH
            statuses = [slack.post_body(b"x=1", slack.headers(b"x=1", secret=it)).status
                        for it in ("the new one", slack.secret, "another")]  # fmt: skip
        connected.close()
        ledger.close()
    assert statuses == [400, 400, 401]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not say where requests are shown in Slack"),
        ("[slack]\n", "does not say where requests are shown in Slack"),
        ('[slack]\nchannel = "C0PAYMENTS"\n', "not whose posts are to be believed"),
        (WHOLE + 'token = "env:NOT_SET"\n', "NOT_SET is not set"),
    ],
)
def test_what_is_not_complete_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.delenv("NOT_SET", raising=False)
    config = configured(tmp_path, text)
    with config.open_ledger() as ledger, pytest.raises(ConfigError, match=message):
        connect(config, ledger=ledger, voting=voting_over(ledger, People()))
