"""Tokens: shown once, kept as digests, revoked everywhere at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.errors import ConfigError, Conflict
from guardrail.tokens import PREFIX, Tokens


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_says_who_somebody_is_and_the_file_does_not_hold_it(path: Path) -> None:
    token = Tokens(path).create("anna")
    assert token.startswith(PREFIX)
    assert (Tokens(path).person(token), Tokens(path).all()[0].person) == ("anna", "anna")
    assert token.rpartition("_")[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_knows_nobody(path: Path) -> None:
    assert (Tokens(path).person(f"{PREFIX}00000000_x"), Tokens(path).all()) == (None, ())


def test_a_token_that_is_revoked_by_another_process_counts_no_more(path: Path) -> None:
    here, there = Tokens(path), Tokens(path)
    first, second = here.create("anna"), here.create("anna")
    number = here.all()[0].id
    assert there.person(first) == "anna"
    there.revoke(number)
    assert (here.person(first), here.person(second)) == (None, "anna")
    with pytest.raises(Conflict, match="there is no token"):
        here.revoke(number)


def test_a_token_counts_until_it_expires(path: Path) -> None:
    tokens = Tokens(path)
    token = tokens.create("anna", lifetime=timedelta(days=1))
    now = datetime.now(UTC)
    assert tokens.person(token, now=now + timedelta(hours=23)) == "anna"
    assert tokens.person(token, now=now + timedelta(hours=25)) is None


def test_many_at_once_lose_no_token(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: Tokens(path).create(f"person-{n}"), range(24)))
    assert [Tokens(path).person(token) for token in made] == [f"person-{n}" for n in range(24)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_near_a_token_is_one(path: Path, data: st.DataObject) -> None:
    tokens = Tokens(path)
    token = tokens.create("anna")
    other = data.draw(
        st.one_of(
            st.text(),
            st.integers(0, len(token) - 1).map(
                lambda at: token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :]
            ),
            st.integers(0, len(token) - 1).map(lambda at: token[:at]),
            st.just(token + "\ud800"),
            st.just(token.swapcase()),
        )
    )
    assert tokens.person(other) is None


@pytest.mark.parametrize("text", ["", "{}x", "[]", '{"tokens": [{"id": "x"}]}', '{"tokens": 5}'])
def test_a_file_that_is_not_of_the_form_lets_nobody_in(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="no tokens"):
        Tokens(path).person("x")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Tokens(tmp_path / "missing" / "tokens.json").create("anna")
