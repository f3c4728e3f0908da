"""`[registry]`: where packages are looked up, and how long what was seen holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from guardrail.durations import seconds
from guardrail.mistakes import MisplacedSecretError
from guardrail.registry import Observations, Registry, Snapshot
from guardrail.registry.hosts import Limits
from guardrail.registry.indexes import Index
from guardrail.registry.likeness import Popular, read_popular
from guardrail.registry.looks import Freshness
from guardrail.registry.names import Ecosystem
from guardrail.slack_settings import Reference, secret

_DAY = 86_400
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def _address(text: str) -> str:
    place = urlsplit(text)
    if "@" in place.netloc:
        raise MisplacedSecretError(
            'expected an address without a user or password; name those in authorization, as "env:NAME"'
        )
    if place.scheme not in {"https", "http"} or not place.hostname or place.query or place.fragment:
        raise ValueError("expected an address that begins with https:// or http://, without ? and #")
    if not text.isascii() or any(character.isspace() for character in text):
        raise ValueError("expected an address in ASCII, without blanks")
    place.port  # noqa: B018  raises where it is none
    return text if text.endswith("/") else f"{text}/"


def _days(value: object) -> int:
    found = seconds(value)
    if found % _DAY:
        raise ValueError('expected whole days, as "30d"')
    return int(found // _DAY)


Address = Annotated[str, AfterValidator(_address)]
"""An address below which something is found; ends in `/`."""
_Duration = Annotated[float, BeforeValidator(seconds)]
_Texts = Annotated[tuple[str, ...], Field(strict=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PrivateIndexSettings(_Table):
    """`[registry.private.NAME]`: an index of one's own.

    Attributes:
        ecosystem: `pypi` or `npm`.
        url: of its Simple API (PEP 691), or of the npm registry.
        names: packages that are looked up here and nowhere else, `*` for any run of characters; left out: every
            package is looked up here first.
        authorization: where the value of the header `Authorization` is.
    """

    ecosystem: Ecosystem
    url: Address
    names: _Texts = ()
    authorization: Reference | None = None

    @model_validator(mode="after")
    def _keeps_its_secret(self) -> Self:
        place = urlsplit(self.url)
        if self.authorization and place.scheme != "https" and place.hostname not in _HERE:
            raise ValueError(
                "expected an address that begins with https://, where authorization is sent to it"
            )
        return self


class RegistrySettings(_Table):
    """`[registry]`: nothing is asked but what stands here.

    Attributes:
        pypi: base address of PyPI or a mirror, with `simple/` and `pypi/` below it.
        npm: base address of the npm registry or a mirror.
        private: indexes of one's own, asked before those.
        snapshot: folder of the snapshot.
        snapshot_age: after how many days what a snapshot lacks is unknown, and no longer missing.
        popular: ecosystem → file with its most used packages, in place of the list that comes with guardrail.
        fresh: how long a package that was there counts as there, in seconds.
        fresh_missing: how long one that was missing counts as missing.
        timeout: seconds for all packages of a call; for those that are missing, once more in the other ecosystem.
        answer_bytes: how large an answer may be.
        at_once: questions to one server at the same time.
    """

    pypi: Address | None = None
    npm: Address | None = None
    private: dict[str, PrivateIndexSettings] = {}
    snapshot: str | None = None
    snapshot_age: Annotated[int, BeforeValidator(_days)] = 30
    popular: dict[Ecosystem, str] = {}
    fresh: _Duration = 86_400.0
    fresh_missing: _Duration = 600.0
    timeout: _Duration = 5.0
    answer_bytes: Annotated[int, Field(ge=1024)] = 20_000_000
    at_once: Annotated[int, Field(ge=1, le=64)] = 4

    def indexes(self, folder: Path) -> tuple[Index, ...]:
        """The indexes, in the order in which they are asked.

        Raises:
            ConfigError: a secret is not where it should be.
        """
        found = [
            Index(
                title=f"private:{name}",
                ecosystem=index.ecosystem,
                url=index.url,
                names=index.names,
                authorization=secret(index.authorization, folder) if index.authorization else "",
            )
            for name, index in self.private.items()
        ]
        if self.pypi is not None:
            simple, json = f"{self.pypi}simple/", f"{self.pypi}pypi/"
            found.append(Index(title="pypi", ecosystem="pypi", url=simple, json=json))
        if self.npm is not None:
            found.append(Index(title="npm", ecosystem="npm", url=self.npm))
        return tuple(found)

    def lists(self, folder: Path) -> dict[Ecosystem, Popular]:
        """The lists of popular packages of one's own.

        Raises:
            ConfigError: one cannot be read.
        """
        return {ecosystem: read_popular(folder / file) for ecosystem, file in self.popular.items()}

    @property
    def freshness(self) -> Freshness:
        """How long what was seen holds."""
        return Freshness(present=self.fresh, missing=self.fresh_missing, snapshot=self.snapshot_age)

    @property
    def limits(self) -> Limits:
        """How much is asked."""
        return Limits(timeout=self.timeout, answer_bytes=self.answer_bytes, at_once=self.at_once)

    def registry(self, folder: Path, observations: Observations | None) -> Registry:
        """What is known of packages.

        Raises:
            ConfigError: the snapshot, a list or a secret cannot be read.
        """
        return Registry(
            indexes=self.indexes(folder),
            snapshot=Snapshot.open(folder / self.snapshot) if self.snapshot else None,
            popular=self.lists(folder),
            observations=observations,
            freshness=self.freshness,
            limits=self.limits,
        )
