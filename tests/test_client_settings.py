"""For whom a program may speak: what is written, and nothing that a pattern language makes of it."""

from __future__ import annotations

import pytest

from guardrail.client_settings import ClientSettings


@pytest.mark.parametrize(
    ("pattern", "principal", "covered"),
    [
        ("user:*", "user:anna", True), ("user:*", "user:", True), ("user:*", "robot:7", False), ("*", "", True),
        ("user:*:eu", "user:anna:eu", True), ("user:*:eu", "user:anna:us", False), ("a*a", "a", False),
        ("user:?", "user:?", True), ("user:?", "user:a", False), ("user:[ab]", "user:a", False),
        ("user:[ab]", "user:[ab]", True), ("user:[!a]", "user:b", False), ("user:\\d", "user:1", False),
        ("User:*", "user:anna", False), ("user:*", "user:anna\n", True), ("user:a", "user:a\n", False),
    ],
)  # fmt: skip
def test_only_the_star_stands_for_something_else(pattern: str, principal: str, covered: bool) -> None:
    settings = ClientSettings(agents=("payer",), principals=("nobody", pattern))
    assert settings.acts_for(principal) is covered


def test_who_is_not_named_is_anonymous_and_a_chain_is_of_known_agents() -> None:
    settings = ClientSettings(agents=("payer", "lead"))
    assert (settings.acts_for("anonymous"), settings.acts_for("user:anna")) == (True, False)
    assert (settings.speaks_for(("lead", "payer")), settings.speaks_for(("x", "payer"))) == (True, False)
