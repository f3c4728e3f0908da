"""A project whose ledger is on PostgreSQL: the same commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail.config import Config
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.guard import Guardrail
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


@pytest.mark.parametrize("address", ["postgresql://a:secret@db/x", "postgresql://db/x?password=secret"])
def test_a_password_in_the_file_is_refused_and_not_shown(tmp_path: Path, address: Any) -> None:
    (tmp_path / "guardrail.toml").write_text(FILE.format(address=address))
    with pytest.raises(ConfigError, match="expected an address without its password"):
        Config.load(tmp_path / "guardrail.toml")


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
