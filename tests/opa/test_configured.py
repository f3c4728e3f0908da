"""`[opa]` in `guardrail.toml`, and the commands that have to do with it."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli.app import app
from guardrail.config import Config
from guardrail.errors import ConfigError, Denied
from guardrail.guard import Guardrail
from guardrail.opa.process import Process
from guardrail.opa.testing import Asked, StandIn, decided, reply
from guardrail.opa_settings import OpaSettings
from guardrail.replay.history import History
from guardrail.replay.pool import recompute_all
from guardrail.replay.recompute import Recomputation
from tests.opa.conftest import BUNDLE, RULES, given

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
AGENT = """
[agents.payer]
tools = ["pay"]

[tools.pay]
effect = "write"
"""
POLICIES = '[policies]\npaths = ["policies"]\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GUARDRAIL_CONFIG", "GUARDRAIL_MODE", "FORCE_COLOR", "RUST_BACKTRACE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "pay.rego").write_text(RULES)


def configure(text: str) -> None:
    Path("guardrail.toml").write_text(AGENT + text)


def guardrail(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def served(url: str, more: str = "") -> str:
    return f'{POLICIES}[opa]\nurl = "{url}"\ntimeout = "20s"\n{more}\n'


def pay(amounts: list[int]) -> list[str]:
    """Pay each amount in a run of its own: what came of it."""
    found: list[str] = []
    with Guardrail.from_config() as guard:

        def send(amount: int) -> int:
            return amount

        tool = guard.tool(send, agent="payer", name="pay")
        for amount in amounts:
            with guard.run(f"run-{amount}", principal="user:anna"):
                try:
                    tool(amount)
                    found.append("returned")
                except Denied as error:
                    found.append(error.outcome.reasons[0].code)
    return found


def recomputed() -> Recomputation:
    return recompute_all(History(path=Path("guardrail.db"), key=Path("guardrail.key")))


MISTAKES = {
    'url = "http://127.0.0.1:1"\nca = "ca.pem"': "certificates mean nothing without TLS",
    'url = "opa:8181"': "opa.url: expected the address of an OPA server",
    'url = "http://u:p@opa:8181"': "opa.url: expected an address without a user or password",
    'url = "http://opa:8181/v1"': "opa.url: expected the address of an OPA server",
    'url = "http://opa:8181"\ndecision = "../x"': "opa: '../x' is no path of a rule",
    'url = "http://opa:8181"\ntoken = "s3cret"': 'opa.token: expected where the secret is found, "env:NAME"',
    'url = "http://opa:8181"\ntoken = "env:OPA_TOKEN"': "opa: a token is not sent without TLS",
    'url = "http://opa:8181"\nkey = "k.pem"': "opa: expected a certificate beside its key",
    'url = "http://opa:8181"\nfallback = "allow"': "opa.fallback: ",
    'url = "http://opa:8181"\nfallback = "embedded"': "opa.fallback: expected policies under [policies]",
    'url = "http://opa:8181"\ntimeout = "0s"': "opa.timeout: ",
    'url = "http://opa:8181"\nurls = 1': "opa.urls: there is no such key; did you mean 'url'?",
    "": "opa.url: ",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_key_and_no_secret(text: str):
    configure(f"[opa]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        Config.load()
    assert MISTAKES[text] in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_the_page_tells_every_key_of_the_table_with_its_default():
    section = DOCUMENT.read_text(encoding="utf-8").partition("## `[opa]`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(OpaSettings.model_fields)


def test_a_token_comes_from_where_the_file_says(monkeypatch: pytest.MonkeyPatch):
    with StandIn(lambda _: reply(b"")) as stand_in:
        configure(served(stand_in.url, 'token = "env:OPA_TOKEN"'))
        with pytest.raises(ConfigError, match="OPA_TOKEN is not set"):
            Config.load().rego_policy()
        monkeypatch.setenv("OPA_TOKEN", "s3cret")
        assert pay([5]) == ["policy.malformed"]
        assert stand_in.asked[0].headers["authorization"] == "Bearer s3cret"
    shown = guardrail("show", "run-5").output + guardrail("doctor").output
    assert "s3cret" not in shown


def test_a_token_may_be_exchanged_in_its_file_while_calls_run(tmp_path: Path):
    secret, valid = tmp_path / "token", "first"
    secret.write_text("first\n")

    def answer(asked: Asked) -> bytes:
        if asked.headers["authorization"] != f"Bearer {valid}":
            return reply(b"{}", status="401 Unauthorized")
        return decided({"allow": [{"rule": "r", "message": "m"}]})

    with StandIn(answer) as stand_in:
        configure(served(stand_in.url, f'token = "file:{secret}"'))
        policy = Config.load().rego_policy()
        assert policy is not None
        with closing(policy):
            assert policy.decide(given(5)).effect == "allow"
            valid = "second"
            assert policy.decide(given(5)).effect == "deny"
            secret.write_text("second\n")
            assert policy.decide(given(5)).effect == "allow"


AUTHORIZATION = """package system.authz

default allow := false

allow if input.identity == "s3cret"
"""


def test_an_authorization_policy_stands_beside_the_bundle_and_doctor_names_the_token(
    opa: None, tmp_path: Path
):
    (tmp_path / "authz").mkdir()
    (tmp_path / "authz" / "authz.rego").write_text(AUTHORIZATION)
    (tmp_path / "authz" / ".manifest").write_text('{"roots": ["system"]}')
    (tmp_path / "token").write_text("s3cret")
    options = ["--authentication=token", "--authorization=basic", "--bundle", str(tmp_path / "authz")]
    with Process(BUNDLE, options=options) as process:
        configure(served(process.url, 'token = "file:token"'))
        assert "is ready: it decides by the policies that are here" in guardrail("doctor").output
        configure(served(process.url))
        refused = guardrail("doctor")
    assert refused.exit_code == 1
    assert "To do (opa): correct `token` under [opa]" in refused.output


def test_doctor_says_what_to_do_about_files_that_are_not_there():
    for key, fix in (
        ('token = "file:gone"', "put it into"),
        ('ca = "gone.pem"', "correct `ca`, `certificate` and `key` under [opa]"),
    ):
        configure(served("https://127.0.0.1:1", key))
        result = guardrail("doctor")
        assert (result.exit_code, fix in result.output) == (1, True), result.output


def test_the_server_decides_and_every_record_says_so(opa: None):
    with Process(BUNDLE, options=["--set", "decision_logs.console=true"]) as process:
        configure(f'{POLICIES}[opa]\nurl = "{process.url}"\ntimeout = "20s"\n')
        assert pay([5, 500, 13]) == ["returned", "rule", "policy.error"]
        doctor = guardrail("doctor")
    assert "is ready: it decides by the policies that are here" in doctor.output
    assert doctor.exit_code == 0
    shown = guardrail("show", "run-5").output
    assert re.search(rf"answered by OPA \(bundle {BUNDLE.revision[:16]}, decision [0-9a-f-]{{36}}\)", shown)
    found = recomputed()  # without a server
    assert (found.equal, found.differences) == (2, ())
    assert found.unsaid == {"an OPA server gave no answer then": 1}


def test_a_server_with_other_policies_is_told_and_not_recomputed():
    with StandIn(lambda _: decided({"allow": [{"rule": "other", "message": "other"}]})) as stand_in:
        configure(served(stand_in.url))
        assert pay([500]) == ["returned"]
        stand_in.answer = lambda _: decided(
            {"allow": [{"rule": "other", "message": "other"}]},
            provenance={"bundles": {"b": {"revision": "v7"}}},
        )
        assert pay([600]) == ["returned"]
        doctor = guardrail("doctor")
    assert "IT DECIDES BY OTHER POLICIES" in doctor.output
    found = recomputed()
    assert found.differences == ()
    assert found.unsaid == {"an OPA server decided, and that it had the stored bundle is not known": 2}


def test_where_no_policies_are_named_recomputing_cannot_say():
    with StandIn(lambda _: decided({"allow": [{"rule": "other", "message": "other"}]})) as stand_in:
        configure(f'[opa]\nurl = "{stand_in.url}"\n')
        assert pay([5]) == ["returned"]
    found = recomputed()
    assert (found.equal, found.differences) == (0, ())
    assert found.unsaid == {
        "an OPA server decided, and what by is not stored": 2
    }  # of the call, and of its output


def test_a_stored_policy_that_was_changed_is_found():
    with StandIn(
        lambda _: decided({"allow": [{"rule": "pay.small", "message": "a small payment"}]})
    ) as stand_in:
        configure(served(stand_in.url))
        assert pay([5]) == ["returned"]
    from guardrail.ledger.sqlite import driver

    connection = driver.connect("guardrail.db", isolation_level=None)
    connection.execute(
        "UPDATE policies SET bundle = CAST(replace(CAST(bundle AS TEXT), '<= 100', '<= 999') AS BLOB)"
    )
    connection.close()
    (difference,) = recomputed().differences
    assert "a part was changed" in difference.what


def test_the_doctor_names_a_server_that_is_down():
    configure(served("http://127.0.0.1:1"))
    ended = guardrail("doctor", "--json")
    (sign,) = [sign for sign in json.loads(ended.output)["signs"] if sign["about"] == "opa"]
    assert (ended.exit_code, sign["state"]) == (4, "down")
    assert "http://127.0.0.1:1 cannot be reached" in sign["text"]


def test_the_fallback_is_told_by_the_doctor_and_by_the_record():
    configure(served("http://127.0.0.1:1", 'fallback = "embedded"'))
    assert pay([5, 500]) == ["returned", "rule"]
    shown = guardrail("show", "run-5").output
    assert "the embedded policies decided in place of the OPA server: policy.unreachable:" in shown
    assert "the policies here decide in this process" in guardrail("doctor").output
    assert (recomputed().equal, recomputed().unsaid) == (2, {})


def test_a_bundle_is_written_as_opa_loads_it(opa: None):
    configure(POLICIES)
    ended = guardrail("bundle", "bundle.tar.gz", "--json")
    assert json.loads(ended.output)["revision"] == BUNDLE.revision
    with Process(options=["--bundle", str(Path("bundle.tar.gz").absolute())]) as process:
        configure(f'{POLICIES}[opa]\nurl = "{process.url}"\ntimeout = "20s"\n')
        assert pay([5]) == ["returned"]
    assert f"answered by OPA (bundle {BUNDLE.revision[:16]})" in guardrail("show", "run-5").output
    assert guardrail("bundle", "nowhere/bundle.tar.gz").exit_code == 2


CLOSED = """# METADATA
# title: t
package guardrail.rules.pay

# METADATA
# title: t
allow contains {"rule": "pay.allow", "message": "m"} if input.tool.name

# METADATA
# title: t
deny contains {"rule": "pay.dotted", "message": "m"} if lower(input.arguments.name) == "i"
"""
TEST = """package tests.pay

import data.guardrail.rules.pay

test_dotted if count(pay.deny) == 0 with input as {"arguments": {"name": "\\u0130"}}
"""


def findings(*arguments: str) -> tuple[int, list[Any]]:
    ended = guardrail("check", "--json", *arguments)
    found = json.loads(ended.output)["findings"]
    return ended.exit_code, [
        (item["file"], item["line"], item["severity"], item["message"])
        for item in found
        if item["rule"] == "engines"
    ]


def test_the_check_compares_engines_where_it_is_asked_to(opa: None):
    configure(POLICIES)
    rules, tests = Path("policies/pay.rego"), Path("policies/pay_test.rego")
    rules.write_text(CLOSED)
    assert findings("--engine", "opa") == (0, [])
    tests.write_text(TEST)
    assert findings() == (0, [])
    status, (found,) = findings("--engine", "opa")
    assert (status, found[:3]) == (1, ("policies/pay.rego", 11, "error"))
    assert "pay.dotted: where tests.pay.test_dotted asks, OPA says deny" in found[3]


def test_without_an_opa_the_check_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    configure(POLICIES)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("guardrail.opa.process.BUILT", Path("nowhere"))
    ended = guardrail("check", "--engine", "opa")
    assert ended.exit_code == 2
    assert "there is no OPA on this machine" in ended.stderr


def test_another_engine_is_no_choice():
    configure(POLICIES)
    assert guardrail("check", "--engine", "cedar").exit_code == 2
