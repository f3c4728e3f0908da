"""`[policies]`: the Rego policies, and where a team hands them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from guardrail.bundles import Bundle
from guardrail.durations import seconds
from guardrail.editions import Algorithm, VerificationKey
from guardrail.editions.serving import Server, ServerSource
from guardrail.editions.sources import FileSource, FolderSource, Source
from guardrail.errors import ConfigError
from guardrail.mistakes import MisplacedSecretError
from guardrail.packs import DEFAULT, PackName
from guardrail.settings import Table, written_path
from guardrail.slack_settings import Reference, secret
from guardrail.supply import Supply

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_OF_SERVERS: Final = frozenset({"token", "authority", "timeout"})
_OF_SOURCES: Final = _OF_SERVERS | {"poll", "keys", "bundle_bytes"}
_PACKED: Final = (".tar.gz", ".tgz")


def _source(text: str) -> str:
    if "://" not in text:
        return written_path(text)
    place = urlsplit(text)
    if "@" in place.netloc:
        raise MisplacedSecretError(
            'expected an address without a user or password; name a token in token, as "env:NAME"'
        )
    if place.scheme not in {"https", "http"} or not place.hostname or place.fragment:
        raise ValueError("expected a path, or an address that begins with https:// or http://, without #")
    if not text.isascii() or any(character.isspace() for character in text):
        raise ValueError("expected an address in ASCII, without blanks")
    place.port  # noqa: B018  raises where it is none
    return text


_Path = Annotated[str, AfterValidator(written_path)]
_Paths = Annotated[tuple[_Path, ...], Field(strict=False)]
_Texts = Annotated[tuple[str, ...], Field(strict=False)]
_Duration = Annotated[float, BeforeValidator(seconds)]


class KeySettings(Table):
    """`[policies.keys.ID]`: a key under which bundles are believed.

    Attributes:
        algorithm: what it signs with.
        file: PEM of the public key.
        secret: where the shared secret is, for `HS256` and its like.
        scope: what a signature has to be for; left out: it may name none.
    """

    algorithm: Algorithm
    file: _Path | None = None
    secret: Reference | None = None
    scope: str = ""

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        shared = self.algorithm.startswith("HS")
        if (self.file is None) != shared or (self.secret is None) == shared:
            raise ValueError(f"expected {'secret' if shared else 'file'}, and it alone, for {self.algorithm}")
        return self

    def key(self, id: str, folder: Path) -> VerificationKey:  # noqa: A002  (the word of the file)
        """The key.

        Raises:
            ConfigError: it cannot be read.
        """
        if self.secret is not None:
            content = secret(self.secret, folder).encode()
        else:
            path = folder / (self.file or "")
            try:
                content = path.read_bytes()
            except OSError as error:
                raise ConfigError(f"policies.keys.{id}: {path} cannot be read: {error.strerror}") from error
        return VerificationKey(id=id, algorithm=self.algorithm, key=content, scope=self.scope)


class PolicySettings(Table):
    """`[policies]`: the Rego policies.

    Attributes:
        shipped: the rules that come with guardrail are part of the bundle: the packs that `packs` names.
        packs: which of them, beside those that are always there. Left out with `shipped = true`: a default set.
        paths: folders of the bundle, read once. None of these, no source and no shipped ones = boundaries alone decide.
        source: a folder, a `.tar.gz` or the address of a bundle server, in place of `paths`: looked at again and again.
        poll: seconds between two looks.
        keys: id → key under which bundles are believed; where there is one, a bundle that is not signed is refused.
        token: where the token for the server is, sent as `Authorization: Bearer …`.
        authority: file with the certificates that the server's is believed under; None = those of this computer.
        timeout: seconds for one look at a server.
        bundle_bytes: how large a bundle may be, packed.
        observe: ids of rules that are recorded and not enforced.
        limit: an answer that takes longer is a deny, in seconds.
    """

    shipped: bool = False
    packs: Annotated[tuple[PackName, ...], Field(strict=False)] | None = None
    paths: _Paths = ()
    source: Annotated[str, AfterValidator(_source)] | None = None
    poll: _Duration = 30.0
    keys: dict[Annotated[str, Field(min_length=1, max_length=128)], KeySettings] = Field(
        default_factory=dict[str, KeySettings]
    )
    token: Reference | None = None
    authority: _Path | None = None
    timeout: _Duration = 10.0
    bundle_bytes: Annotated[int, Field(ge=1024)] = 10_000_000
    observe: _Texts = ()
    limit: _Duration = 1.0

    @model_validator(mode="after")
    def _packs_are_shipped(self) -> Self:
        if self.packs is not None and "shipped" in self.model_fields_set and not self.shipped:
            raise ValueError("expected packs only where the shipped rules are not turned off")
        return self

    @model_validator(mode="after")
    def _source_is_whole(self) -> Self:
        served = self.source is not None and "://" in self.source
        if self.source is not None and self.paths:
            raise ValueError("expected paths or source, not both")
        misplaced = _OF_SOURCES if self.source is None else frozenset[str]() if served else _OF_SERVERS
        if lost := sorted(misplaced & self.model_fields_set):
            raise ValueError(f"expected {lost[0]} only beside the source that it is for")
        if served and not (self.source or "").startswith("https:"):
            here = urlsplit(self.source or "").hostname in _HERE
            if not here and (self.token is not None or not self.keys):
                raise ValueError(
                    "expected https:// in source, or keys that bundles are signed with and no token"
                )
        return self

    @property
    def picked(self) -> tuple[PackName, ...] | None:
        """The packs that are picked; None = nothing that comes with guardrail is part of the bundle."""
        if self.packs is None:
            return DEFAULT if self.shipped else None
        return self.packs

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of one's own: those of `paths`, or the source where it is one."""
        source = self.source
        if source is None or "://" in source or source.endswith(_PACKED):
            return self.paths
        return (source,)

    @property
    def title(self) -> str | None:
        """What records and listings call the source: of an address, without its query, where keys stand that change."""
        served = self.source is not None and "://" in self.source
        return self.source.partition("?")[0] if self.source is not None and served else self.source

    def handed_out(self, folder: Path) -> Source | None:
        """The source; None where there is none.

        Args:
            folder: what relative paths are relative to.
        """
        if self.source is None:
            return None
        if "://" not in self.source:
            path = folder / self.source
            if path.name.endswith(_PACKED):
                return FileSource(path, self.source, most=self.bundle_bytes)
            return FolderSource(path, self.source)
        token = self.token
        return ServerSource(
            Server(
                url=self.source,
                timeout=self.timeout,
                most=self.bundle_bytes,
                authority=None if self.authority is None else folder / self.authority,
                authorization=(lambda: f"Bearer {secret(token, folder)}")
                if token is not None
                else lambda: "",
            )
        )

    def supply(self, source: Source, folder: Path, *, beside: Bundle | None) -> Supply:
        """Where editions of the policies come from.

        Args:
            source: who hands them out.
            folder: what relative paths are relative to.
            beside: what is added to each: what comes with guardrail.

        Raises:
            ConfigError: a key cannot be read.
        """
        keys = self.verification_keys(folder)
        return Supply(
            source=source, keys=keys, beside=beside, poll=self.poll, limit=self.limit, observe=self.observe
        )

    def verification_keys(self, folder: Path) -> tuple[VerificationKey, ...]:
        """The keys under which bundles are believed.

        Raises:
            ConfigError: one cannot be read.
        """
        return tuple(settings.key(id_, folder) for id_, settings in self.keys.items())
