"""The configuration: `guardrail.toml`, read once and checked whole.

Whatever is not known is refused with a hint, so that a misspelt limit is not a missing one. Every
error names the file, the key, what was expected and what was found. Relative paths are relative to
the file. Nothing here turns a timeout or silence into a yes.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from guardrail.boundaries import Boundaries
from guardrail.boundary import Boundary, Money, Period
from guardrail.budgets import millionths
from guardrail.bundles import shipped_folder
from guardrail.calls import ArgumentKind, Effect
from guardrail.canonical import canonical
from guardrail.durations import seconds
from guardrail.errors import ConfigError, InvalidArguments, LedgerUnavailable
from guardrail.ledger import Ledger
from guardrail.mistakes import close_to, described, unknown_key
from guardrail.patterns import HostPattern, Hours, ToolPattern, tool_title
from guardrail.pointers import of_argument, tokens
from guardrail.sealing import SealingKey

ENVIRONMENT: Final = {"mode": "GUARDRAIL_MODE", "outcome": "GUARDRAIL_OUTCOME", "strict": "GUARDRAIL_STRICT"}
"""The settings that an environment variable overrides."""


def _checked(read: Callable[[str], object]) -> AfterValidator:
    """The text as it stands, once it can be read."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def _folder(text: str) -> None:
    if not text or text.startswith("~") or "$" in text or "://" in text:
        raise ValueError("expected a path, written out: '~', variables and URLs are not followed")


def _folder_path(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004  pydantic words ValueErrors only
    _folder(value)
    return Path(value)


def _exact_tool(text: str) -> str:
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


def _one_table_each(tools: Any) -> Any:
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


def _yes_or_no(value: object) -> object:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


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


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LedgerSettings(_Table):
    """`[ledger]`: where everything is written.

    Attributes:
        path: the SQLite file.
        key: the file with the key that seals what records must not show.
        lease: how long a process may be silent before its running calls count as `unknown`, in seconds.
    """

    path: _Path = "guardrail.db"
    key: _Path = "guardrail.key"
    lease: _Duration = 30.0


class PolicySettings(_Table):
    """`[policies]`: the Rego policies.

    Attributes:
        shipped: the rules that come with guardrail are part of the bundle.
        paths: folders of the bundle. Neither these nor the shipped ones = boundaries alone decide.
        observe: ids of rules that are recorded and not enforced.
        limit: an answer that takes longer is a deny, in seconds.
    """

    shipped: bool = False
    paths: _Paths = ()
    observe: _Texts = ()
    limit: _Duration = 1.0


class MaskingSettings(_Table):
    """`[masking]`: what nothing may show, whatever a policy says. `hide`: JSON pointers into arguments."""

    hide: _Pointers = ()


class MoneySettings(_Table):
    """`[[agents.NAME.budgets.money]]`: as `boundary.Money`."""

    name: str
    tool: Annotated[str, _checked(ToolPattern.parse)]
    argument: Annotated[str, _checked(of_argument)]
    limit: _Amount
    per: Period = "run"
    unit: str = ""


class BudgetSettings(_Table):
    """`[agents.NAME.budgets]`: what the agent and its delegates may use up."""

    calls_per_run: _Count | None = None
    calls_per_minute: _Count | None = None
    money: Annotated[tuple[MoneySettings, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({money.name for money in self.money}) < len(self.money):
            raise ValueError("expected a name of its own for every budget of money")
        return self


class AgentSettings(_Table):
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


class ToolSettings(_Table):
    """`[tools."server/name"]`: what the operator says of a tool, above what its code says.

    Attributes:
        effect: what it does to the world; None = what its code declares, else `irreversible`.
        kinds: argument, or JSON pointer into the arguments → what it means.
        deadline: seconds after which a running call counts as `unknown`.
        retries: a framework may run it again after it raised.
        idempotent: it takes the call's key as its own idempotency key, so `unknown` may be run again.
        folder: what its relative paths are relative to; itself relative to the file. None = the working
            folder of the process.
    """

    effect: Effect | None = None
    kinds: dict[Annotated[str, _checked(of_argument)], ArgumentKind] = {}
    deadline: _Duration | None = None
    retries: bool = False
    idempotent: bool = False
    folder: Annotated[Path | None, BeforeValidator(_folder_path)] = None


class PrincipalSettings(_Table):
    """`[principals."user:anna"]`: attributes, for policies, of somebody whom agents act for."""

    attributes: _Attributes = {}


class PersonSettings(_Table):
    """`[people.anna]`: somebody who may approve, under the id that policies ask for."""

    name: str = ""
    attributes: _Attributes = {}


class _Environment(EnvSettingsSource):
    """`GUARDRAIL_MODE`, `_OUTCOME` and `_STRICT`, and no other: what an agent may do stands in the file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name not in ENVIRONMENT:
            return None, field_name, False
        return super().get_field_value(field, field_name)


class Config(BaseSettings):
    """A `guardrail.toml`, checked.

    Attributes:
        mode: `enforce`, or `observe`: decide and record, and enforce nothing.
        outcome: `durable`: an outcome is written before it is handed on; `buffered`: shortly after.
        strict: refuse to wrap what has tools that cannot be guarded.
        ledger: where everything is written.
        policies: the Rego policies.
        masking: what nothing may show.
        agents: agent → its boundary and attributes.
        tools: `server/name` → what the operator says of the tool.
        principals: who agents act for → attributes.
        people: who may approve.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, strict=True, env_prefix="GUARDRAIL_")

    mode: Literal["enforce", "observe"] = "enforce"
    outcome: Literal["durable", "buffered"] = "durable"
    strict: Annotated[bool, BeforeValidator(_yes_or_no)] = False
    ledger: LedgerSettings = LedgerSettings()
    policies: PolicySettings = PolicySettings()
    masking: MaskingSettings = MaskingSettings()
    agents: dict[str, AgentSettings] = {}
    tools: Annotated[
        dict[Annotated[str, AfterValidator(_exact_tool)], ToolSettings], BeforeValidator(_one_table_each)
    ] = {}
    principals: dict[str, PrincipalSettings] = {}
    people: dict[str, PersonSettings] = {}
    _folder: Path = PrivateAttr(default_factory=Path)

    @classmethod
    def load(cls, path: Path | str = "guardrail.toml") -> Self:
        """Read a configuration file, and the environment above it.

        Raises:
            ConfigError: the file is missing, no TOML, or wrong; names the key, what was expected and found.
        """
        file = Path(path)
        values = _read(cls, file)
        for key in values:
            if key.startswith("_"):  # pydantic-settings takes such names for options of its own
                raise ConfigError(unknown_key(str(file), key, cls.model_fields))
        try:
            config = cls(**values)
        except ValidationError as error:
            given = {key: name for key, name in ENVIRONMENT.items() if name in os.environ}
            raise described(error, file=str(file), settings=cls, environment=given) from error
        config._folder = file.absolute().parent
        return config

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature of pydantic-settings
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment for the three settings that it may set, then what is given."""
        return _Environment(settings_cls), init_settings

    @model_validator(mode="after")
    def _delegates_exist(self) -> Self:
        for agent, declared in self.agents.items():
            for delegate in declared.delegates:
                if delegate not in self.agents:
                    near = close_to(delegate, self.agents)
                    hint = f"; did you mean {near!r}?" if near else ""
                    raise ValueError(
                        f"agents.{agent}.delegates: expected agents of this file; found {delegate!r}{hint}"
                    )
        return self

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to: that of the file, absolute."""
        return self._folder.absolute()

    @property
    def ledger_path(self) -> Path:
        """The ledger's SQLite file, absolute."""
        return self.folder / self.ledger.path

    @property
    def key_path(self) -> Path:
        """The file with the sealing key, absolute."""
        return self.folder / self.ledger.key

    @property
    def policy_paths(self) -> tuple[Path, ...]:
        """Folders of the policy bundle, absolute."""
        own = tuple(self.folder / path for path in self.policies.paths)
        return (shipped_folder(), *own) if self.policies.shipped else own

    def boundaries(self) -> Boundaries:
        """The boundaries of all agents of the file.

        Raises:
            ConfigError: a boundary cannot be read.
        """
        return Boundaries({agent: settings.boundary(self.folder) for agent, settings in self.agents.items()})

    def open_ledger(self) -> Ledger:
        """Open the ledger; the first time, make it and its key.

        Raises:
            LedgerUnavailable: it cannot be opened, its key is missing or another one, or only its key is there.
        """
        new, fix = not self.ledger_path.exists(), "put it back; or, to begin a new one, move the key away too"
        if new and self.key_path.exists():
            gone = f"the ledger {self.ledger_path} is gone, and its key {self.key_path} is there"
            raise LedgerUnavailable(f"{gone}: halts, budgets and all that was recorded were in it", fix=fix)
        key = SealingKey.create(self.key_path) if new else SealingKey.read(self.key_path)
        return Ledger.open(self.ledger_path, key=key, lease=self.ledger.lease)


def _read(settings: type[BaseSettings], file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise ConfigError(f"{file}: there is no such file", fix="write one with `guardrail init`")
        return TomlConfigSettingsSource(settings, toml_file=file)()
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: this is not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: this is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: this is nested too deeply") from error
    except OSError as error:
        raise ConfigError(f"{file}: this cannot be read: {error.strerror}") from error


def starter() -> str:
    """The text of a commented `guardrail.toml` to begin with; it loads as it stands."""
    return resources.files("guardrail").joinpath("starter.toml").read_text(encoding="utf-8")
