"""The output: what a tool returned, or an agent says, before anybody has read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, cast

from guardrail.calls import Trust
from guardrail.canonical import compact, thaw
from guardrail.pointers import escape, tokens

Sink = Literal["agent", "user"]
"""Who is to read it: the `agent` whose tool returned it, or the `user` whom the agent answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text of an output.

    Attributes:
        pointer: where it stands; of a key, where its object stands.
        text: as its reader gets it.
        key: it is the name of a member.
        number: it is a number of many digits, as those of cards and accounts are.
    """

    pointer: str
    text: str
    key: bool = False
    number: bool = False


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is about to be handed on.

    Attributes:
        body: the content, a JSON value as its reader would get it, as JSON with sorted keys.
        sink: who is to read it.
        trust: whether strangers could have written it.
        tool: whose output it is, as `server/name`.
        agent: who called the tool, or who speaks.
        raised: these are the words of an error that the tool raised.
    """

    body: bytes
    sink: Sink = "agent"
    trust: Trust = "untrusted"
    tool: str = ""
    agent: str = ""
    raised: bool = False

    @classmethod
    def of(cls, content: Any, **fields: Any) -> Output:
        """Make an output from a JSON value.

        Raises:
            InvalidArguments: it has no faithful JSON form, or one of more than a million bytes.
        """
        return cls(body=compact(content), **fields)

    @property
    def content(self) -> Any:
        """A fresh copy of the content: whoever changes it changes nobody else's."""
        return thaw(self.body)

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Every text in it, in order; the names of members, and whole numbers of nine digits or more, too."""
        return tuple(_texts(self.content))


_LONG: Final = 10**8
"""From here on a number has nine digits."""


def _texts(content: Any) -> Iterator[Text]:
    ahead: list[tuple[str, Any]] = [("", content)]
    while ahead:
        pointer, value = ahead.pop()
        if isinstance(value, str):
            yield Text(pointer=pointer, text=value)
        elif type(value) is int and abs(value) >= _LONG:
            yield Text(pointer=pointer, text=str(abs(value)), number=True)
        elif isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            yield from (Text(pointer=pointer, text=name, key=True) for name in members)
            ahead += [(f"{pointer}/{escape(name)}", member) for name, member in reversed(members.items())]
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            ahead += [(f"{pointer}/{index}", items[index]) for index in range(len(items) - 1, -1, -1)]


def value_at(content: Any, pointer: str) -> Any:
    """What stands at one place of a content; here `*` is a name like any other.

    Raises:
        LookupError: nothing does.
        ValueError: it is no JSON pointer.
    """
    for token in tokens(pointer):
        if isinstance(content, list):
            content = cast("list[Any]", content)[int(token)]
        elif isinstance(content, dict):
            content = cast("dict[str, Any]", content)[token]
        else:
            raise LookupError(pointer)  # noqa: TRY004  nothing stands there, whatever the type
    return content
