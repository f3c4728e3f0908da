"""Grants: what the approval service signs, and what an agent's process believes.

A grant says that these people, verified by the service, have said yes to exactly this call. It is canonical JSON
(RFC 8785) under an Ed25519 signature (RFC 8032). The service holds the signing key; the process that runs the
tools holds the public keys only, so whoever controls that process and its database cannot make a yes.

The service signs at every vote that it casts, over all votes of the request so far: while more people have to
agree, what it signs is `pending` and admits nothing, and at the next vote it tells which earlier votes are its own.
Each request has its own grant: what was said to one is never signed for another, whatever became of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.approvals import Answer, Approval, Vote
from guardrail.calls import Call
from guardrail.canonical import canonical, parse
from guardrail.errors import ConfigError, GuardrailError, InvalidArguments
from guardrail.keyfiles import read_secret, write_pair

_CONTEXT: Final = b"guardrail grant v1\n"
"""In front of what is signed: this key's signatures mean nothing elsewhere."""
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


class GrantedVote(BaseModel):
    """One vote that the service has cast for a person that it has verified."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    person: str
    answer: Answer
    channel: str
    at: _Time

    @classmethod
    def of(cls, vote: Vote) -> Self:
        """A vote without its reason, which the sealed record holds."""
        return cls(person=vote.person, answer=vote.answer, channel=vote.channel, at=vote.at)


class Grant(BaseModel):
    """What is signed.

    Attributes:
        schema_version: of this form.
        request: id of the approval.
        digest: of the call: principal, agent, chain, tool definition and arguments.
        tool_digest: of the tool's definition.
        revision: the policy that asked.
        state: `approved`, or `pending` while more people have to agree.
        votes: every vote so far.
        not_before: RFC 3339; when it was signed.
        expires: RFC 3339; from then on it admits nothing.
        nonce: 32 random hex characters.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=True, serialize_by_alias=True
    )

    schema_version: Literal[1] = Field(default=1, alias="schema")
    request: _Id
    digest: _Hex
    tool_digest: _Hex
    agent: str
    chain: Annotated[tuple[str, ...], Field(strict=False)]
    revision: str
    state: Literal["approved", "pending"]
    votes: Annotated[tuple[GrantedVote, ...], Field(strict=False, min_length=1)]
    not_before: _Time
    expires: _Time
    nonce: _Id

    @classmethod
    def of(cls, approval: Approval, *, tool_digest: str, not_before: str, expires: str) -> Self:
        """The grant for a request as its votes stand."""
        return cls(
            request=approval.id, digest=approval.digest, tool_digest=tool_digest, agent=approval.agent,
            chain=approval.chain, revision=approval.revision,
            state="approved" if approval.state == "approved" else "pending",
            votes=tuple(map(GrantedVote.of, approval.votes)), not_before=not_before, expires=expires,
            nonce=secrets.token_hex(16),
        )  # fmt: skip

    @property
    def body(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.model_dump(mode="json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedGrant:
    """As it is stored.

    Attributes:
        body: canonical JSON of a `Grant`.
        signature: 64 bytes, over the context line and the body.
    """

    body: bytes
    signature: bytes


class Refused(GuardrailError):
    """A grant that does not hold; the message says in what."""


class SigningKey:
    """The service's key."""

    def __init__(self, secret: Ed25519PrivateKey) -> None:
        self._secret = secret

    @classmethod
    def generate(cls) -> Self:
        """A new key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file (PKCS #8, PEM).

        Raises:
            ConfigError: it is missing, readable by others, or holds no Ed25519 key.
        """
        return cls(read_secret(path))

    def write(self, path: Path) -> Path:
        """Write a new key file for its owner only, and the public key beside it; answers where that is.

        Raises:
            ConfigError: one of the files exists, or cannot be written.
        """
        public = self._secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return write_pair(path, self._secret, public)

    @property
    def public(self) -> PublicKeys:
        """What verifies its signatures."""
        return PublicKeys([self._secret.public_key()])

    def sign(self, grant: Grant) -> SignedGrant:
        """Sign a grant."""
        body = grant.body
        return SignedGrant(body=body, signature=self._secret.sign(_CONTEXT + body))


class PublicKeys:
    """The keys that grants are believed under; two while the service changes from one to the other."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Self:
        """Read key files (SubjectPublicKeyInfo, PEM).

        Raises:
            ConfigError: one is missing, or holds no Ed25519 public key.
        """
        return cls([_public_key(path) for path in paths])

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each key: the beginning of its SHA-256."""
        return tuple(
            sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16] for key in self._keys
        )

    def verify(self, signed: SignedGrant | None) -> Grant:
        """The grant, where one of the keys has signed it.

        Raises:
            Refused: there is none, no key has signed it, or it is not of the form.
        """
        if signed is None:
            raise Refused("there is none: these votes were not cast through the approval service")
        for key in self._keys:
            try:
                key.verify(signed.signature, _CONTEXT + signed.body)
            except InvalidSignature:
                continue
            return _read(signed.body)
        raise Refused("it was changed after it was signed, or signed with a key that is not trusted here")


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path}: the public key cannot be read: {error.strerror}", fix="copy it from the service"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path}: this is no public key: {error}", fix="copy it from the service"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: this key is not an Ed25519 key", fix="copy it from the service")
    return key


def _read(body: bytes) -> Grant:
    try:
        return Grant.model_validate(parse(body))
    except (ValidationError, InvalidArguments) as error:
        raise Refused(f"it is not of a form that this version knows ({type(error).__name__})") from error


def check(grant: Grant, call: Call, approval: Approval, *, now: str, used: bool = False) -> None:
    """Whether a grant, whose signature holds, is for this call under this approval, now.

    Args:
        grant: as `PublicKeys.verify` gave it.
        call: what is about to run.
        approval: as the ledger holds it, with all its votes.
        now: RFC 3339, UTC, milliseconds.
        used: this same call was admitted under it before and goes on: the period is over by right.

    Raises:
        Refused: it is not; the message says in which field.
    """
    votes = tuple(map(GrantedVote.of, approval.votes))
    expected: Sequence[tuple[str, object, object]] = (
        ("for another request", grant.request, approval.id),
        ("for another call: its digest differs", grant.digest, call.digest),
        ("for another definition of the tool", grant.tool_digest, call.tool.digest),
        ("for another agent", grant.agent, call.agent.id),
        ("for another delegation chain", grant.chain, call.agent.chain),
        ("of another policy revision than the request", grant.revision, approval.revision),
        ("over other votes than those that are stored", grant.votes, votes),
        ("not for a request that enough people have approved", grant.state, "approved"),
    )
    for reason, found, wanted in expected:
        if found != wanted:
            raise Refused(f"it is {reason}")
    if not used and now < grant.not_before:
        raise Refused(f"it is not valid before {grant.not_before}")
    if not used and now >= grant.expires:
        raise Refused(f"it has expired at {grant.expires}")


def unvouched(approval: Approval, grant: Grant | None) -> tuple[str, ...]:
    """People whose votes on a request are not among those that its own grant was signed over."""
    own = grant is not None and (grant.request, grant.digest) == (approval.id, approval.digest)
    known = grant.votes if grant is not None and own else ()
    return tuple(vote.person for vote in approval.votes if GrantedVote.of(vote) not in known)
