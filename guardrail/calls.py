"""The call: one attempt by one agent to use one tool.

A `Call` never changes. Its arguments are held as canonical bytes, so whoever reads them gets a copy
of his own (`Call.arguments`), and what was judged is what is executed, whatever anybody does to the
dictionary that the call came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, cast

from guardrail.canonical import canonical, check_text, digest, escaped, thaw
from guardrail.checks import check_choice, check_name
from guardrail.errors import InvalidArguments, InvalidTool

Effect = Literal["read", "write", "irreversible"]
"""What a tool does to the world; undeclared counts as `irreversible`."""

ArgumentKind = Literal[
    "path", "url", "command", "sql", "sql:mysql", "sql:postgres", "sql:sqlite", "pypi", "npm", "package.json", "python",
    "money", "text", "content", "recipient",
]  # fmt: skip
"""What an argument means; the extractor of that kind turns it into facts. `docs/facts.md` says what each reads."""

Trust = Literal["trusted", "untrusted"]
"""Whether what a tool returns is the word of somebody whom the owner relies on; undeclared counts as `untrusted`."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # MCP specification 2026-07-28, tool names


def _attributes() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who the agents act for. Host code says so, never a model."""

    id: str = "anonymous"
    attributes: Mapping[str, Any] = field(default_factory=_attributes)

    @cached_property
    def json(self) -> bytes:
        """Canonical bytes, as they stand in a policy input."""
        return canonical({"id": self.id, "attributes": dict(self.attributes)})


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Who acts, and through whom: `chain` runs from the outermost agent to this one, itself included."""

    id: str
    chain: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=_attributes)

    def __post_init__(self) -> None:
        if not self.chain:
            object.__setattr__(self, "chain", (self.id,))
        for name in self.chain:
            check_name("an agent", name, InvalidTool)
        if self.chain[-1] != self.id:
            raise InvalidTool(f"the chain {self.chain} does not end in the acting agent {self.id!r}")

    @cached_property
    def json(self) -> bytes:
        """Canonical bytes, as they stand in a policy input."""
        return canonical({"id": self.id, "chain": list(self.chain), "attributes": dict(self.attributes)})


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool as it is defined, not as it behaves: approvals and records bind to `digest`.

    Attributes:
        name: ASCII letters, digits, `_`, `-` and `.`, at most 128 (the MCP rule): no homoglyphs.
        server: who offers it; `local` for a function of this process. Name and server together are the key.
        description: what the model is told.
        schema: JSON Schema of the arguments.
        effect: what it does to the world.
        kinds: argument name → what it means, for the fact extractors.
        retries: a framework may run it again after it raised.
        idempotent: the tool takes the call's key as its own idempotency key, so `unknown` may be run again.
        deadline: seconds after which a running call counts as `unknown`; None = no limit.
        trust: of what it returns.
        fields: JSON pointer into what it returns, `*` for every member of a level → another trust there.
        labels: what the run is labelled with once its output was handed on, such as `secret`.
        readers: who may read what it returns, as patterns (`*@example.com`); None = anybody.
    """

    name: str
    server: str = "local"
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=_attributes)
    effect: Effect = "irreversible"
    kinds: Mapping[str, ArgumentKind] = field(default_factory=dict[str, ArgumentKind])
    retries: bool = False
    idempotent: bool = False
    deadline: float | None = None
    trust: Trust = "untrusted"
    fields: Mapping[str, Trust] = field(default_factory=dict[str, Trust])
    labels: tuple[str, ...] = ()
    readers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for word, text in (("name", self.name), ("server", self.server)):
            if not _NAME.fullmatch(text):
                raise InvalidTool(
                    f"the tool {word} {text!r} is not made of ASCII letters, digits, '_', '-' and '.' (1 to 128)",
                    fix="rename it: look-alike letters in tool names are refused",
                )
        check_choice(f"the effect of {self.title}", self.effect, Effect, InvalidTool)
        for trust in (self.trust, *self.fields.values()):
            check_choice(f"the trust of {self.title}", trust, Trust, InvalidTool)

    @cached_property
    def title(self) -> str:
        """`server/name`: how configuration, history and listings call it."""
        return f"{self.server}/{self.name}"

    @cached_property
    def definition(self) -> bytes:
        """Canonical bytes of all that was promised about the tool."""
        return canonical(
            {
                "server": self.server,
                "name": self.name,
                "description": self.description,
                "schema": dict(self.schema),
                "effect": self.effect,
                "kinds": dict(self.kinds),
                "retries": self.retries,
                "idempotent": self.idempotent,
                "deadline": self.deadline,
                "trust": self.trust,
                "fields": dict(self.fields),
                "labels": list(self.labels),
                "readers": None if self.readers is None else list(self.readers),
            }
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of arguments and their members that the schema declares, at any depth."""
        return frozenset(_property_names(self.schema))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the definition."""
        return digest(self.definition)

    @cached_property
    def json(self) -> bytes:
        """Canonical bytes, as they stand in a policy input."""
        return canonical(
            {
                "server": self.server,
                "name": self.name,
                "digest": self.digest,
                "effect": self.effect,
                "trust": self.trust,
            }
        )


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for keyword, part in cast("Mapping[str, Any]", schema).items():
            if keyword == "properties" and isinstance(part, Mapping):
                yield from cast("Mapping[str, Any]", part)
            yield from _property_names(part)
    elif isinstance(schema, list | tuple):
        for part in cast("list[Any]", schema):
            yield from _property_names(part)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One attempt by one agent to use one tool.

    Attributes:
        run: the run it belongs to; budgets, labels and history are the run's.
        id: the framework's id of this call (the model's tool-call id).
        scope: where in the run it stands (a graph's checkpoint namespace), so that equal ids do not meet.
        principal: who the agents act for.
        agent: who acts, with the delegation chain.
        tool: what is used.
        body: the validated arguments, defaults filled in, as canonical bytes of one JSON object.
    """

    run: str
    id: str
    tool: Tool
    agent: Agent
    body: bytes
    scope: str = ""
    principal: Principal = field(default_factory=Principal)

    @classmethod
    def of(cls, arguments: Mapping[str, Any], **fields: Any) -> Call:
        """Make a call from plain arguments.

        Raises:
            InvalidArguments: they have no canonical JSON form.
        """
        return cls(body=canonical(dict(arguments)), **fields)

    @classmethod
    def refused(cls, *, run: str, call: str, scope: str, **fields: Any) -> Call:
        """What stands in the record for what cannot be stated as a call: no arguments, and ids written out."""
        return cls(run=escaped(run), id=escaped(call), scope=escaped(scope), body=b"{}", **fields)

    def __post_init__(self) -> None:
        named = {"run": self.run, "call": self.id, "scope": self.scope, "principal": self.principal.id}
        for what, word in named.items():
            if not word.isascii() or "\x00" in word:
                check_text(word, f"the id of the {what}")
        if not self.body.startswith(b"{"):
            raise InvalidArguments("the arguments of a call are one JSON object")

    @property
    def arguments(self) -> dict[str, Any]:
        """A fresh copy of the arguments."""
        value: dict[str, Any] = thaw(self.body)
        return value

    @cached_property
    def digest(self) -> str:
        """What approvals bind to: principal, agent, chain, tool definition and arguments."""
        return digest(self.principal.id.encode(), self.agent.json, self.tool.digest.encode(), self.body)

    @cached_property
    def key(self) -> str:
        """What makes the call once: run, scope, call id and digest."""
        return digest(self.run.encode(), self.scope.encode(), self.id.encode(), self.digest.encode())

    @property
    def reference(self) -> str:
        """A short name for people: the first part of the key."""
        return f"call_{self.key[:16]}"

    def edited(self, arguments: Mapping[str, Any]) -> Call:
        """Another call, with other arguments, to go down the whole line anew."""
        return Call(
            run=self.run,
            id=self.id,
            scope=self.scope,
            principal=self.principal,
            agent=self.agent,
            tool=self.tool,
            body=canonical(dict(arguments)),
        )
