"""The configuration: `guardrail.toml`, read once and checked whole.

Whatever is not known is refused with a hint, so that a misspelt limit is not a missing one. Every
error names the file, the key, what was expected and what was found. Relative paths are relative to
the file. Nothing here turns a timeout or silence into a yes.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Collection, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from guardrail.activating import LastActivated
from guardrail.boundaries import Boundaries
from guardrail.bundles import Bundle, shipped_folder
from guardrail.channels import RESUME
from guardrail.checkpoint_settings import CheckpointSettings
from guardrail.client_settings import ClientSettings
from guardrail.environment import ENVIRONMENT, Environment
from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.grants import PublicKeys, SigningKey
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place, place_in
from guardrail.ledger.granting import Asking
from guardrail.mistakes import close_to, described, unknown_key
from guardrail.names import Names
from guardrail.opa_settings import OpaSettings
from guardrail.output_settings import OutputSettings
from guardrail.outputs import ConfiguredCheck
from guardrail.people import People
from guardrail.policy_settings import PolicySettings
from guardrail.registry import Observations, Registry
from guardrail.registry_settings import RegistrySettings
from guardrail.rego import RegoPolicy
from guardrail.sealing import SealingKey
from guardrail.settings import (
    AgentSettings,
    ApprovalSettings,
    LedgerSettings,
    MaskingSettings,
    NameSettings,
    PersonSettings,
    PrincipalSettings,
    ResumeSettings,
    ServeSettings,
    ToolSettings,
    exact_tool,
    one_table_each,
    yes_or_no,
)
from guardrail.slack_settings import SlackSettings
from guardrail.standing import ApprovalPolicy
from guardrail.supply import Supply
from guardrail.voting import Voting

if TYPE_CHECKING:
    from guardrail.opa.policy import OpaPolicy
    from guardrail.rego import RegoPolicy

Mode = Literal["enforce", "observe"]
"""`observe` decides and records, and enforces nothing but halts."""

Durability = Literal["durable", "buffered"]
"""Whether an outcome is waited for, or rides the next commit (at most 20 ms later)."""


class Config(BaseSettings):
    """A `guardrail.toml`, checked.

    Attributes:
        mode: `enforce`, or `observe`: decide and record, and enforce nothing.
        outcome: `durable`: an outcome is written before it is handed on; `buffered`: shortly after.
        strict: refuse to wrap what has tools that cannot be guarded.
        ledger: where everything is written.
        policies: the Rego policies.
        opa: the OPA server that decides by them; None = they decide in this process.
        masking: what nothing may show.
        agents: agent → its boundary and attributes.
        tools: `server/name` → what the operator says of the tool.
        outputs: what looks at what tools return and agents say.
        principals: who agents act for → attributes.
        people: who may answer for agents.
        clients: programs that ask the service for decisions.
        approvals: how people are asked.
        serve: the approval service.
        resume: how a suspended run goes on.
        slack: where they are asked in Slack; None = they are not.
        registry: where packages are looked up.
        checkpoints: who signs how the logs stand, and where that is kept; None = nobody.
        names: whether names in URLs are.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, strict=True, env_prefix="GUARDRAIL_")

    mode: Mode = "enforce"
    outcome: Durability = "durable"
    strict: Annotated[bool, BeforeValidator(yes_or_no)] = False
    ledger: LedgerSettings = LedgerSettings()
    policies: PolicySettings = PolicySettings()
    opa: OpaSettings | None = None
    masking: MaskingSettings = MaskingSettings()
    agents: dict[str, AgentSettings] = {}
    tools: Annotated[
        dict[Annotated[str, AfterValidator(exact_tool)], ToolSettings], BeforeValidator(one_table_each)
    ] = {}
    outputs: OutputSettings = OutputSettings()
    principals: dict[str, PrincipalSettings] = {}
    people: dict[str, PersonSettings] = {}
    clients: dict[str, ClientSettings] = {}
    approvals: ApprovalSettings = ApprovalSettings()
    serve: ServeSettings = ServeSettings()
    resume: ResumeSettings = ResumeSettings()
    slack: SlackSettings | None = None
    registry: RegistrySettings = RegistrySettings()
    checkpoints: CheckpointSettings | None = None
    names: NameSettings = NameSettings()
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
        return Environment(settings_cls), init_settings

    @model_validator(mode="after")
    def _one_decides(self) -> Self:
        told = self.policies
        if self.opa is not None and told.source is not None:
            raise ValueError(
                "policies.source: expected none beside [opa], whose server fetches its own bundles"
            )
        if self.opa is not None and self.opa.fallback and told.picked is None and not told.paths:
            raise ValueError(
                "opa.fallback: expected policies under [policies] that decide in place of the server"
            )
        return self

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
    def ledger_path(self) -> Place:
        """Where the ledger is: its SQLite file, absolute, or the address of its PostgreSQL database."""
        return place_in(self.folder, self.ledger.path)

    @property
    def key_path(self) -> Path:
        """The file with the sealing key, absolute."""
        return self.folder / self.ledger.key

    @property
    def policy_paths(self) -> tuple[Path, ...]:
        """Folders of the policy bundle, absolute."""
        return self._with_shipped(self.own_policy_paths)

    @property
    def own_policy_paths(self) -> tuple[Path, ...]:
        """Those of them that are one's own."""
        return tuple(self.folder / path for path in self.policies.folders)

    def _with_shipped(self, own: Sequence[Path]) -> tuple[Path, ...]:
        return tuple(own) if self.policies.picked is None else (shipped_folder(), *own)

    def bundle(self, own: Sequence[Path] | None = None) -> Bundle | None:
        """The policies: the shipped packs that are picked, and one's own; None where there are neither.

        Where nobody has picked any, and the file has `[outputs]`, the pack that decides about outputs is among them.

        Args:
            own: folders in place of one's own that are configured. Left out, a source is looked at now.

        Raises:
            PolicyError: they cannot be read.
        """
        if own is None and (supply := self.supply()) is not None:
            return supply.first()[0].bundle
        paths = self._with_shipped(self.own_policy_paths if own is None else own)
        picked = self.policies.picked
        if self.policies.packs is None and picked is not None and "outputs" in self.model_fields_set:
            picked = (*picked, "outputs")
        return Bundle.from_directory(*paths, packs=picked) if paths else None

    def rego_policy(self) -> RegoPolicy | OpaPolicy | None:
        """Who decides by Rego: the OPA server, or the policies in this process; None = nobody.

        Raises:
            ConfigError: what the server needs is not there.
            PolicyError: the policies cannot be used.
        """
        bundle, observe = self.bundle(), self.policies.observe
        if self.opa is not None:
            return self.opa.policy(self.folder, bundle, observe)
        from guardrail.rego import RegoPolicy  # noqa: PLC0415  the Rego interpreter: who asks OPA needs none

        return None if bundle is None else RegoPolicy(bundle, observe=observe, limit=self.policies.limit)

    def supply(self) -> Supply | None:
        """Where editions of the policies come from; None where they are read once, from folders.

        Raises:
            ConfigError: a key cannot be read.
            PolicyError: what comes with guardrail cannot be read.
        """
        declared = self.policies
        if (source := declared.handed_out(self.folder)) is None:
            return None
        return declared.supply(source, self.folder, beside=self.bundle(()))

    def boundaries(self) -> Boundaries:
        """The boundaries of all agents of the file.

        Raises:
            ConfigError: a boundary cannot be read.
        """
        return Boundaries({agent: settings.boundary(self.folder) for agent, settings in self.agents.items()})

    def output_checks(self) -> tuple[ConfiguredCheck, ...]:
        """What looks at outputs.

        Raises:
            ConfigError: there is no such check, it cannot be loaded, or an option is not what it may be.
        """
        return self.outputs.configured(self.folder)

    def declared_people(self) -> People:
        """Everybody who may answer for agents.

        Raises:
            ConfigError: two of them share a name, a Slack user or a principal.
        """
        return People(settings.person(name) for name, settings in self.people.items())

    def approval_policy(self, ledger: Ledger) -> ApprovalPolicy:
        """The package `guardrail.approval` of the policies, or the shipped one.

        Raises:
            PolicyError: the policies cannot be read.
        """
        supply = self.supply()
        bundle = self.bundle() if supply is None else LastActivated(ledger, supply)
        return ApprovalPolicy(bundle, limit=self.policies.limit)

    def voting(self, ledger: Ledger) -> Voting:
        """How people answer, whatever channel they come through.

        Raises:
            ConfigError: two people are one.
            PolicyError: the policies cannot be read.
        """
        people, policy, asking = self.declared_people(), self.approval_policy(ledger), self.approvals
        return Voting(
            ledger, people, policy,
            remember_at_most=asking.remember_at_most, pending_per_run=asking.pending_per_run,
        )  # fmt: skip

    def packages(self, observations: Observations | None = None) -> Registry:
        """What is known of packages.

        Args:
            observations: where looks are kept: the ledger.

        Raises:
            ConfigError: the snapshot, a list or a secret cannot be read.
        """
        return self.registry.registry(self.folder, observations)

    def where_names_lead(self) -> Names:
        """What looks up the names in URLs, where that is wanted."""
        return Names(timeout=self.names.timeout if self.names.resolve else None)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are told of requests."""
        resuming = (RESUME,) if self.resume.callable else ()
        return (*resuming, *(self.slack.channels if self.slack is not None else ()))

    def asking(self, *, signing: bool = False) -> Asking:
        """How people are asked.

        Args:
            signing: this is the approval service: it signs the votes that it casts, where a key is named.

        Raises:
            ConfigError: a key cannot be read.
        """
        files = [self.folder / path for path in self.approvals.public_keys]
        required, secret = self.approvals.grants == "required", self.serve.signing_key
        return Asking(
            channels=self.channels,
            keys=PublicKeys.read(files) if required else None,
            signing=SigningKey.read(self.folder / secret) if signing and secret else None,
        )

    def open_ledger(self, *, signing: bool = False) -> Ledger:
        """Open the ledger; the first time, make it and its key.

        Args:
            signing: as `asking`.

        Raises:
            ConfigError: a key of the approval service cannot be read.
            LedgerUnavailable: it cannot be opened, its key is missing or another one, or only its key is there.
        """
        place, held = self.ledger_path, self.key_path.exists()
        if (new := not (held if isinstance(place, str) else place.exists())) and held:
            gone = f"the ledger {place} is gone, and its key {self.key_path} is there: halts, budgets and all that was"
            fix = "put it back; or, to begin a new one, move the key away too"
            raise LedgerUnavailable(f"{gone} recorded were in it", fix=fix)
        key = SealingKey.create(self.key_path) if new else SealingKey.read(self.key_path)
        try:
            return Ledger.open(place, key=key, lease=self.ledger.lease, asking=self.asking(signing=signing))
        except LedgerUnavailable:
            if new and isinstance(
                place, str
            ):  # it is not its key: the ledger has one already, or is not there
                self.key_path.unlink()
            raise


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


def starter(packs: Collection[str] = ()) -> str:
    """The text of a commented `guardrail.toml` to begin with; it loads as it stands.

    Args:
        packs: the shipped packs that it picks, all of them; none = the default set.
    """
    text = resources.files("guardrail").joinpath("starter.toml").read_text(encoding="utf-8")
    picked = ", ".join(json.dumps(pack) for pack in dict.fromkeys(packs))
    return (
        re.sub(r"^# packs = .*?(?=   #)", f"packs = [{picked}]", text, flags=re.MULTILINE) if packs else text
    )
