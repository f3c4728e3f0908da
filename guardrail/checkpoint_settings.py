"""`[checkpoints]`: who signs how the logs stand, whose signatures are believed, and where checkpoints are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from guardrail.errors import ConfigError
from guardrail.proofs.anchors import GIT_REF, Anchor, FileAnchor, GitAnchor
from guardrail.proofs.signing import CommandSigner, FileSigner, Signer, read_public
from guardrail.proofs.witness import Witness
from guardrail.registry_settings import Address
from guardrail.verifier.checkpoints import Keys
from guardrail.verifier.notes import COSIGNATURE, ED25519, PublicKey, is_name


def _origin(text: str) -> str:
    if not is_name(text):
        raise ValueError('expected a name without blanks and plus signs, as "example.com/guardrail"')
    return text


def _ref(text: str) -> str:
    if not text.startswith("refs/") or any(mark in text for mark in (" ", "..", "*", ":", "^", "~")):
        raise ValueError('expected the full name of a ref, as "refs/guardrail/checkpoints"')
    return text


_File = Annotated[str, Field(min_length=1)]
_Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AnchorSettings(_Table):
    """`[checkpoints.anchors]`: where checkpoints are kept so that nobody here can take one back.

    Attributes:
        file: to which they are appended; one that does not exist is made.
        git: folder of a Git repository, which has to be there.
        ref: the ref whose history is theirs.
        remote: where that is pushed to, and read from; empty = it stays in the repository.
        witnesses: address of a witness → file with its public key.
    """

    file: _File | None = None
    git: _File | None = None
    ref: Annotated[str, AfterValidator(_ref)] = GIT_REF
    remote: str = ""
    witnesses: dict[Address, _File] = {}

    @model_validator(mode="after")
    def _remote_is_of_a_repository(self) -> Self:
        if self.remote and self.git is None:
            raise ValueError("expected git, the repository from which remote is pushed to")
        return self


class CheckpointSettings(_Table):
    """`[checkpoints]`.

    Attributes:
        origin: name of the log, and of the keys that sign it.
        key: the file with the signing key, or
        command: what signs in its place, as a list: the program, then its arguments. Neither = this is not where
            checkpoints are made.
        public_keys: files with the keys under which checkpoints are believed; several while one follows another.
        anchors: where they are kept.
    """

    origin: Annotated[str, AfterValidator(_origin)]
    key: _File | None = None
    command: _Texts = ()
    public_keys: Annotated[_Texts, Field(min_length=1)]
    anchors: AnchorSettings = AnchorSettings()

    @model_validator(mode="after")
    def _one_signs(self) -> Self:
        if self.key is not None and self.command:
            raise ValueError("expected key or command, not both")
        return self

    def signer(self, folder: Path) -> Signer:
        """Who signs.

        Args:
            folder: of the configuration.

        Raises:
            ConfigError: nobody signs here, or a key cannot be read.
        """
        if self.key is not None:
            return FileSigner.read(self.origin, folder / self.key)
        if not self.command:
            raise ConfigError(
                "guardrail.toml does not say who signs checkpoints",
                fix="add key or command to [checkpoints], where no agent can use it",
            )
        return CommandSigner(self._logs(folder)[0], self.command, folder)

    def keys(self, folder: Path) -> Keys:
        """Whose signatures are believed.

        Args:
            folder: of the configuration.

        Raises:
            ConfigError: a key cannot be read, or is that of another log.
        """
        return Keys(logs=self._logs(folder))

    def anchored(self, folder: Path) -> tuple[Anchor, ...]:
        """Where checkpoints are kept: witnesses first, so that the others keep their signatures too.

        Args:
            folder: of the configuration.

        Raises:
            ConfigError: the key of a witness cannot be read.
        """
        told = self.anchors
        anchors: list[Anchor] = [
            Witness(url, _of_kind(folder / file, COSIGNATURE, "a witness"))
            for url, file in told.witnesses.items()
        ]
        if told.file is not None:
            anchors.append(FileAnchor(folder / told.file))
        if told.git is not None:
            anchors.append(GitAnchor(folder / told.git, remote=told.remote, ref=told.ref))
        return tuple(anchors)

    def _logs(self, folder: Path) -> tuple[PublicKey, ...]:
        keys = tuple(_of_kind(folder / file, ED25519, "a log") for file in self.public_keys)
        for key in keys:
            if key.name != self.origin:
                raise ConfigError(
                    f"checkpoints.public_keys: a key is that of {key.name!r}, and origin is {self.origin!r}",
                    fix="name the key of this log",
                )
        return keys


def _of_kind(path: Path, kind: int, whose: str) -> PublicKey:
    key = read_public(path)
    if key.kind != kind:
        raise ConfigError(f"{path}: this is not the public key of {whose}", fix="see which file is which")
    return key
