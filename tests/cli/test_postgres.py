"""A project whose ledger is on PostgreSQL: the same commands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.guard import Guardrail
from guardrail.ledger.rights import granting_to
from tests.servers import server_or_skip, template

FILE = """
[ledger]
path = "{address}"
[agents.a]
tools = ["local/look_up"]
[tools."local/look_up"]
effect = "read"
"""


@pytest.fixture(name="address")
def _address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    with server_or_skip().database(template()) as address:
        (tmp_path / "guardrail.toml").write_text(FILE.format(address=address))
        yield address


def look_up(who: str) -> str:
    return f"{who} is here"


def worked() -> None:
    with Guardrail.from_config() as guard, guard.run("r1", principal="user:anna"):
        assert guard.tool(look_up, agent="a")("DE12") == "DE12 is here"


def test_the_commands_take_an_address(guardrail: Callable[..., Result], address: str, tmp_path: Path) -> None:
    worked()
    for words, said in (
        (("doctor",), "PostgreSQL 18"),
        (("runs",), "r1"),
        (("show", "r1"), "look_up"),
        (("verify",), "unchanged and complete"),
        (("replay", "--recompute", "--all"), "is what the stored policy decides"),
        (("export", "--log", "logs"), "records"),
        (("erase", "r1", "--yes"), "The server overwrites what was deleted when it cleans up"),
        (("verify",), "erased"),
    ):
        result = guardrail(*words)
        assert said in result.output, (words, result.output)
    assert (tmp_path / "guardrail.key").exists()


def test_without_the_key_of_a_ledger_none_is_made(address: str, tmp_path: Path) -> None:
    worked()
    (tmp_path / "guardrail.key").rename(tmp_path / "kept")
    with pytest.raises(LedgerUnavailable, match="was sealed with key"):
        Config.load().open_ledger()
    assert not (tmp_path / "guardrail.key").exists()
    (tmp_path / "kept").rename(tmp_path / "guardrail.key")
    Config.load().open_ledger().close()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://a:secret@db/x",
        "postgresql://a:sec/ret@db/x",
        "postgresql://a:12/secret@db/x",
        "postgresql://a:sec@ret@db/x",
        "postgresql://a:sec?ret@db/x",
        "postgresql://db/x?password=secret",
        "postgresql://db/x?passwor%64=secret",
        "postgresql://db/x?a=b&sslpassword=secret",
        "postgresql:/a:secret@db/x",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_shown(tmp_path: Path, address: Any) -> None:
    (tmp_path / "guardrail.toml").write_text(FILE.format(address=address))
    with pytest.raises(ConfigError, match="expected an address without its password") as caught:
        Config.load(tmp_path / "guardrail.toml")
    assert not re.search("sec|ret", str(caught.value))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://",
        "postgres://app@db/x",
        "postgresql://app@a:5432,b,[::1]:5433/x?target_session_attrs=read-write",
        "postgresql://app@/x?host=/run/postgresql&passfile=/run/secrets/password",
        "postgresql://app@%2Frun%2Fpostgresql/x",
    ],
)
def test_an_address_without_a_password_is_taken(tmp_path: Path, address: str) -> None:
    (tmp_path / "guardrail.toml").write_text(FILE.format(address=address))
    assert Config.load(tmp_path / "guardrail.toml").ledger.path == address


def test_a_password_on_the_command_line_is_refused_and_not_shown(
    guardrail: Callable[..., Result], address: str
) -> None:
    refused = guardrail("erase", "r1", "--yes", "--ledger", address.replace("//owner@", "//owner:secret@"))
    assert refused.exit_code == 2
    assert "Invalid value for --ledger: expected an address without its" in refused.output
    assert "secret" not in refused.output


def test_doctor_says_of_an_address_that_it_is_not_understood(
    guardrail: Callable[..., Result], address: str, tmp_path: Path
) -> None:
    (tmp_path / "guardrail.toml").write_text(FILE.format(address=f"{address}&bogus=1"))
    result = guardrail("doctor")
    assert result.exit_code == 4
    assert "has an address that is not understood" in result.output
    assert not (tmp_path / "guardrail.key").exists()


def test_what_the_application_may_not_erase_its_owner_may(
    guardrail: Callable[..., Result], address: str, tmp_path: Path
) -> None:
    worked()
    name = address.partition("@/")[2].partition("?")[0]
    server_or_skip().run(
        "DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        *granting_to("app").strip().split(";\n"),
        database=name,
    )
    (tmp_path / "guardrail.toml").write_text(FILE.format(address=address.replace("//owner@", "//app@")))
    refused = guardrail("erase", "r1", "--yes")
    assert refused.exit_code == 4
    assert "To do: do it as the owner of the tables: --ledger postgresql://OWNER@…" in refused.output
    assert guardrail("erase", "r1", "--yes", "--ledger", address).exit_code == 0


def test_a_ledger_that_cannot_write_is_told_in_words(address: str) -> None:
    worked()
    name = address.partition("@/")[2].partition("?")[0]
    server_or_skip().run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    command = [sys.executable, "-m", "guardrail.cli", "halt", "--all", "--reason", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 2), done.stderr


def test_a_server_with_another_clock_is_named(guardrail: Callable[..., Result], address: str) -> None:
    """A function of the same name takes the place of the server's clock, in this database."""
    assert "agrees with the database server's and the last record" in guardrail("doctor").output
    name = address.partition("@/")[2].partition("?")[0]
    server = server_or_skip()
    server.run(
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$",
        f"ALTER DATABASE {name} SET search_path = public, pg_catalog",
        database=name,
    )
    result = guardrail("doctor", "--json")
    assert result.exit_code == 1
    assert "this computer's clock is 1 h 0 min behind the database server's" in result.output
