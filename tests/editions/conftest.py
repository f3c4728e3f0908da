"""A project whose policies are handed out, and a guard that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guardrail import Guardrail
from guardrail.activating import Feed
from tests.editions.shelf import Shelf, edition, serving

CONFIG = """
[policies]
source = "{source}"
poll = "{poll}"
{more}

[agents.clerk]
tools = ["pay"]

[tools.pay]
effect = "write"
"""


class Team:
    """A folder with a configuration, and the guards that were opened in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def configure(self, source: str, more: str = "", poll: str = "1h") -> None:
        text = CONFIG.format(source=source, more=more, poll=poll)
        (self.folder / "guardrail.toml").write_text(text)

    def guard(self) -> tuple[Guardrail, Feed]:
        """A guard, and what feeds it: with `poll = "1h"`, it looks when the test says so."""
        guard = self._stack.enter_context(Guardrail.from_config(self.folder / "guardrail.toml"))
        (feed,) = (owned for owned in guard._owned if isinstance(owned, Feed))
        return guard, feed


@pytest.fixture(name="team")
def _team(tmp_path: Path) -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(tmp_path, stack)


@pytest.fixture(name="shelf")
def _shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    shelf.put(edition(1))
    with serving(shelf):
        yield shelf


def said(guard: Guardrail) -> str:
    """What the rule says that decides now: the number of its edition."""
    return reasons(guard)()


def reasons(guard: Guardrail) -> Callable[[], str]:
    from guardrail.calls import Call, Principal

    tool = guard.tool_definition(name="pay", server="local")
    agent, principal = guard.agent("clerk", ("clerk",)), Principal(id="p")
    call = Call.of({}, run="asked", id="1", principal=principal, agent=agent, tool=tool)

    def ask() -> str:
        (reason,) = (one for one in guard.decide(call).reasons if one.rule == "paying.pay")
        return reason.message

    return ask
