"""The tables of `guardrail.toml`, each checked whole; `guardrail.config` reads the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from guardrail.boundary import Boundary, Money, Period
from guardrail.budgets import millionths
from guardrail.calls import ArgumentKind, Effect, Trust
from guardrail.canonical import canonical
from guardrail.durations import Age, seconds
from guardrail.errors import InvalidArguments
from guardrail.mistakes import MisplacedSecretError
from guardrail.patterns import HostPattern, Hours, ToolPattern, tool_title
from guardrail.people import Person
from guardrail.pointers import of_argument, tokens

_HOST: Final = r"(?:\[[^]/@?]*\]|[^]\[:/@?,]*)(?::[0-9]*)?"
_ADDRESS: Final = re.compile(
    rf"postgres(?:ql)?://(?:[^:/@?]*@)?{_HOST}(?:,{_HOST})*(?:/[^/@?]*)?(?:\?([^@]*))?"
)
"""The address of a database, without a password: no ':', '/', '@' or '?' stands where one would be hidden."""


def _checked(read: Callable[[str], object]) -> AfterValidator:
    """The text as it stands, once it can be read."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def _folder(text: str) -> None:
    if not text or text.startswith("~") or "$" in text or "://" in text:
        raise ValueError("expected a path, written out: '~', variables and URLs are not followed")


def written_path(text: str) -> str:
    """A path as it stands in the file."""
    _folder(text)
    return text


def _place(text: str) -> None:
    if not text.startswith(("postgresql:", "postgres:")):
        _folder(text)
        return
    found = _ADDRESS.fullmatch(text)
    if found is None or any(
        re.search("password|secret", name, re.IGNORECASE)
        for name, _ in parse_qsl(found[1] or "", keep_blank_values=True)
    ):
        raise MisplacedSecretError(
            "expected an address without its password: give that by PGPASSWORD or a password file, and write "
            "postgresql://USER@HOST:PORT/DATABASE"
        )


def _folder_path(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004  pydantic words ValueErrors only
    _folder(value)
    return Path(value)


def _function(text: str) -> None:
    module, _, path = text.partition(":")
    if not all(part.isidentifier() for name in (module, path) for part in name.split(".")):
        raise ValueError("expected a function, as 'module:function'")


def exact_tool(text: str) -> str:
    """The title of one tool, as a table names it."""
    if "*" in text:
        raise ValueError("expected one tool: a '*' stands for tools only in what an agent may use")
    ToolPattern.parse(text)
    return tool_title(text)


def _amount(value: object) -> object:
    try:
        millionths(value)
    except InvalidArguments as error:
        raise ValueError(f"expected an amount of money; this one {error.message}") from error
    return value


def one_table_each(tools: Any) -> Any:
    """Refuse two spellings of one tool."""
    if isinstance(cast("object", tools), dict):
        titles = [tool_title(str(name)) for name in tools]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"expected one table for each tool, not two for {twice[0]}")
    return tools


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _json(attributes: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical(attributes)
    except InvalidArguments as error:
        raise ValueError(f"expected values that JSON has too: {error.message}") from error
    return attributes


def yes_or_no(value: object) -> object:
    """The environment has no booleans."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


_Labels = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")], ...], Field(strict=False)
]
_Texts = Annotated[tuple[str, ...], Field(strict=False)]
_Tools = Annotated[tuple[Annotated[str, _checked(ToolPattern.parse)], ...], Field(strict=False)]
_Hosts = Annotated[tuple[Annotated[str, _checked(HostPattern.parse)], ...], Field(strict=False)]
_Hours = Annotated[
    tuple[Annotated[str, _checked(Hours.parse)], ...], BeforeValidator(_one_or_more), Field(strict=False)
]
_Pointers = Annotated[tuple[Annotated[str, _checked(tokens)], ...], Field(strict=False)]
_Path = Annotated[str, _checked(_folder)]
_Paths = Annotated[tuple[_Path, ...], Field(strict=False)]
_Duration = Annotated[float, BeforeValidator(seconds)]
_Amount = Annotated[int | float | str, BeforeValidator(_amount)]
_Count = Annotated[int, Field(ge=0)]
_Attributes = Annotated[dict[str, Any], AfterValidator(_json)]


class Table(BaseModel):
    """One table: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LedgerSettings(Table):
    """`[ledger]`: where everything is written.

    Attributes:
        path: the SQLite file, or the address of a PostgreSQL database, `postgresql://…`.
        key: the file with the key that seals what records must not show.
        lease: how long a process may be silent before its running calls count as `unknown`, in seconds.
        retention: how long `guardrail prune` leaves records; None = it has to be told.
    """

    path: Annotated[str, _checked(_place)] = "guardrail.db"
    key: _Path = "guardrail.key"
    lease: _Duration = 30.0
    retention: Annotated[Age, BeforeValidator(Age.parse)] | None = None


class MaskingSettings(Table):
    """`[masking]`: what nothing may show, whatever a policy says. `hide`: JSON pointers into arguments."""

    hide: _Pointers = ()


class NameSettings(Table):
    """`[names]`: whether the names in URLs are looked up before a call is decided.

    Attributes:
        resolve: they are, once everything else lets the call go.
        timeout: seconds for all names of a call.
    """

    resolve: bool = False
    timeout: _Duration = 2.0


class MoneySettings(Table):
    """`[[agents.NAME.budgets.money]]`: as `boundary.Money`."""

    name: str
    tool: Annotated[str, _checked(ToolPattern.parse)]
    argument: Annotated[str, _checked(of_argument)]
    limit: _Amount
    per: Period = "run"
    unit: str = ""


class BudgetSettings(Table):
    """`[agents.NAME.budgets]`: what the agent and its delegates may use up."""

    calls_per_run: _Count | None = None
    calls_per_minute: _Count | None = None
    money: Annotated[tuple[MoneySettings, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({money.name for money in self.money}) < len(self.money):
            raise ValueError("expected a name of its own for every budget of money")
        return self


class AgentSettings(Table):
    """`[agents.NAME]`: the boundary of one agent, as `boundary.Boundary`, and its attributes for policies."""

    tools: _Tools = ()
    delegate_tools: _Tools = ()
    paths: _Paths | None = None
    hosts: _Hosts | None = None
    delegates: _Texts = ()
    depth: _Count = 1
    hours: _Hours = ()
    argument_bytes: _Count | None = None
    budgets: BudgetSettings = BudgetSettings()
    attributes: _Attributes = {}

    def boundary(self, folder: Path) -> Boundary:
        """The boundary, with path roots relative to a folder."""
        return Boundary(
            **self.model_dump(exclude={"paths", "budgets", "attributes"}),
            paths=None if self.paths is None else {path: folder / path for path in self.paths},
            calls_per_run=self.budgets.calls_per_run,
            calls_per_minute=self.budgets.calls_per_minute,
            money=tuple(Money(**money.model_dump()) for money in self.budgets.money),
        )


class ToolSettings(Table):
    """`[tools."server/name"]`: what the operator says of a tool, above what its code says.

    Attributes:
        effect: what it does to the world; None = what its code declares, else `irreversible`.
        kinds: argument, or JSON pointer into the arguments → what it means.
        deadline: seconds after which a running call counts as `unknown`.
        retries: a framework may run it again after it raised.
        idempotent: it takes the call's key as its own idempotency key, so `unknown` may be run again.
        folder: what its relative paths are relative to; itself relative to the file. None = the working
            folder of the process.
        trust: of what it returns; undeclared counts as `untrusted`.
        fields: JSON pointer into what it returns, `*` for every member of a level → another trust there.
        labels: what a run is labelled with once it has seen what the tool returns.
        readers: who may read what it returns: `anna@example.com`, `*@example.com`; None = anybody.
    """

    effect: Effect | None = None
    kinds: dict[Annotated[str, _checked(of_argument)], ArgumentKind] = {}
    deadline: _Duration | None = None
    retries: bool = False
    idempotent: bool = False
    folder: Annotated[Path | None, BeforeValidator(_folder_path)] = None
    trust: Trust = "untrusted"
    fields: dict[Annotated[str, _checked(tokens)], Trust] = {}
    labels: _Labels = ()
    readers: Annotated[tuple[str, ...] | None, Field(strict=False)] = None


class PrincipalSettings(Table):
    """`[principals."user:anna"]`: attributes, for policies, of somebody whom agents act for."""

    attributes: _Attributes = {}


class PersonSettings(Table):
    """`[people.anna]`: somebody who may answer for agents, under the id that policies ask for.

    Attributes:
        name: for other people.
        roles: what policies ask for as `role:NAME`.
        slack: ids of the person's Slack users.
        principals: who this person is where agents act for somebody; left out: `user:` and the id.
        attributes: for policies.
    """

    name: str = ""
    roles: _Texts = ()
    slack: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")], ...],
        BeforeValidator(_one_or_more),
        Field(strict=False),
    ] = ()
    principals: _Texts | None = None
    attributes: _Attributes = {}

    def person(self, id: str) -> Person:  # noqa: A002  (the word of the file)
        """The person that this table describes."""
        fields = self.model_dump(exclude={"principals"})
        return Person(
            id=id, principals=(f"user:{id}",) if self.principals is None else self.principals, **fields
        )  # fmt: skip


class ApprovalSettings(Table):
    """`[approvals]`: how people are asked. There is no setting that turns a timeout into a yes.

    Attributes:
        pending_per_run: how many requests of one agent may wait in one run; more are denied.
        remember_at_most: how long a scope may be remembered, in seconds.
        grants: `required`: a yes counts only with a grant that the approval service has signed.
        public_keys: files with the keys that grants are believed under.
    """

    pending_per_run: Annotated[int, Field(ge=1)] = 20
    remember_at_most: _Duration = 7 * 86_400.0
    grants: Literal["optional", "required"] = "optional"
    public_keys: _Paths = ()

    @model_validator(mode="after")
    def _keys_are_named(self) -> Self:
        if self.grants == "required" and not self.public_keys:
            raise ValueError(
                "grants are required: expected public_keys, the files with the service's public keys"
            )
        return self


class ServeSettings(Table):
    """`[serve]`: the approval service.

    Attributes:
        host: address to listen at.
        port: of it.
        behind_proxy: a proxy in front speaks TLS, so that an address other than this computer's own may be used.
        certificate: for TLS in the service itself, PEM.
        certificate_key: its private key, PEM.
        signing_key: what grants are signed with; None = votes are not signed.
        tokens: the file with the digests of the tokens.
        operators: who may lift halts over HTTP: ids of people, and `role:NAME`.
        body_bytes: how large a request's body may be.
        body_within: until when it has to be there, in seconds; the headers before it have as long.
        connections: how many are answered at once.
        lease: how long a program that was told to run a tool has until it says how that ended, in seconds.
        url: where clients reach the service, as they see it; left out: as each of them has called it.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8470
    behind_proxy: bool = False
    certificate: _Path | None = None
    certificate_key: _Path | None = None
    signing_key: _Path | None = None
    tokens: _Path = "tokens.json"
    operators: _Texts = ()
    body_bytes: Annotated[int, Field(ge=1, le=65_536)] = 65_536
    body_within: _Duration = 10.0
    connections: Annotated[int, Field(ge=1)] = 200
    lease: _Duration = 60.0
    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")] | None = None

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("expected certificate and certificate_key, both or neither")
        return self


class ResumeSettings(Table):
    """`[resume]`: how a suspended run goes on. `callable`: `module:function`, searched beside the file first."""

    callable: Annotated[str, _checked(_function)] | None = None
