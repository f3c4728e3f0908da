"""Signatures of bundles: `.signatures.json`, one JSON Web Token over the digests of all files, as `opa sign` writes it.

The algorithm is the one that the owner has declared for the key, never the one that the token asks for. Digests of
`data.json` and `.manifest` are over what they say, not over how it is written: the same walk over the value as OPA's
(`v1/bundle/hash.go`), with numbers as they stand in the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.errors import BundleRefused, ConfigError, told

NAME: Final = ".signatures.json"

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]  # fmt: skip
"""What bundles may be signed with."""

_HASHES: Final[Mapping[str, str]] = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
"""OPA reads MD5 and SHA-1 too; it writes SHA-256 alone."""
_RSA_BITS: Final = 2048
_STRUCTURED: Final = frozenset({"data.json", ".manifest"})
_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
    "\u2028": "\\u2028", "\u2029": "\\u2029",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VerificationKey:
    """A key under which bundles are believed.

    Attributes:
        id: what signatures call it.
        algorithm: what it signs with.
        key: PEM of the public key, or the secret itself for `HS…`.
        scope: what a signature has to be for; empty = none may be named.
    """

    id: str
    algorithm: Algorithm
    key: bytes
    scope: str = ""

    def __post_init__(self) -> None:
        if self.algorithm.startswith("HS"):
            if len(self.key) < 32:
                raise ConfigError(
                    f"policies.keys.{self.id}: a secret of less than 32 bytes can be guessed",
                    fix="make one: openssl rand -hex 32",
                )
            _prepared(self)
            return
        if b"PRIVATE KEY" in self.key:
            raise ConfigError(
                f"policies.keys.{self.id}: this is a private key", fix="only who signs bundles holds that one"
            )
        bits: int = getattr(_prepared(self), "key_size", _RSA_BITS)
        if self.algorithm.startswith(("RS", "PS")) and bits < _RSA_BITS:
            raise ConfigError(
                f"policies.keys.{self.id}: an RSA key of {bits} bits can be broken",
                fix="sign with one of 2,048 bits or more",
            )


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    name: str
    hash: Annotated[str, Field(pattern=r"^[0-9a-fA-F]+$")]
    algorithm: str


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    files: list[_File]
    keyid: str = ""
    scope: str = ""


class _Signatures(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    signatures: Annotated[list[str], Field(min_length=1, max_length=1)]
    plugin: Literal["", "_default"] = ""


def verify_files(files: Mapping[str, bytes], keys: Mapping[str, VerificationKey]) -> str:
    """Look whether all files of a bundle are signed; answers the id of the key.

    Args:
        files: path → content, with the signature among them.
        keys: under which one is believed, by id.

    Raises:
        BundleRefused: they are not, or by nobody who is known.
    """
    if NAME not in files:
        raise _refused("it is not signed", "sign it: opa build --signing-key …, or opa sign")
    try:
        (token,) = _Signatures.model_validate_json(files[NAME]).signatures
        payload, key = _verified(token, keys)
    except ValidationError as error:
        raise _refused(f"{NAME} is not of the form that OPA writes") from error
    if payload.scope != key.scope:
        raise _refused(f"it is signed for the scope {payload.scope!r}, and {key.scope!r} is expected")
    _check_digests({name: content for name, content in files.items() if name != NAME}, payload.files)
    return key.id


def _check_digests(files: Mapping[str, bytes], signed: list[_File]) -> None:
    names = [item.name.removeprefix("/") for item in signed]
    if len(set(names)) < len(names):
        raise _refused("its signature names a file twice")
    for name in sorted(files.keys() ^ set(names)):
        raise _refused(
            f"{name} is " + ("not covered by the signature" if name in files else "missing"),
            "repair what is handed out; a folder is signed from inside of it: docs/bundles.md",
        )
    for name, item in zip(names, signed, strict=True):
        hashing = _HASHES.get(item.algorithm)
        if hashing is None:
            raise _refused(f"the digest of {name} is made with {item.algorithm!r}")
        if not compare_digest(digest_of(name, files[name], hashing), item.hash.lower()):
            raise _refused(f"{name} is not the file that was signed")


def digest_of(name: str, content: bytes, hashing: str = "sha256") -> str:
    """The digest of a file of a bundle, as OPA signs it, in hex.

    Raises:
        BundleRefused: it should hold JSON, and does not.
    """
    if name.rpartition("/")[2] in _STRUCTURED:
        try:
            value = json.loads(
                content.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_no_number
            )
            content = _written(value).encode()
        except (ValueError, RecursionError) as error:
            raise BundleRefused(
                "malformed", f"{name} holds no JSON that can be signed: {told(error)}"
            ) from error
    return hashlib.new(hashing, content).hexdigest()


class _Number(str):
    """A number as it stands in the file."""

    __slots__ = ()


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _written(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case str():
            return _quoted(value)
        case bool() | None:
            return json.dumps(value)
        case dict():
            fields = cast("dict[str, Any]", value)
            return "{" + ",".join(f"{_quoted(key)}:{_written(fields[key])}" for key in sorted(fields)) + "}"
        case _:
            return "[" + ",".join(map(_written, value)) + "]"


def _quoted(text: str) -> str:
    """As Go's encoder writes it, without escapes for HTML."""
    written = (
        _ESCAPES.get(letter) or (f"\\u{ord(letter):04x}" if letter < " " else letter) for letter in text
    )
    return '"' + "".join(written) + '"'


def _verified(token: str, keys: Mapping[str, VerificationKey]) -> tuple[_Payload, VerificationKey]:
    """What a token says, once it is believed."""
    from jwt import PyJWS, PyJWTError  # noqa: PLC0415  see ADR 6

    try:
        reading = PyJWS()
        named = reading.get_unverified_header(token).get("kid", "")
        if not named:
            unread = reading.decode_complete(token, options={"verify_signature": False})
            named = _Payload.model_validate_json(unread["payload"]).keyid
        key = keys.get(named) if named else next(iter(keys.values())) if len(keys) == 1 else None
        if key is None:
            raise _refused(f"it is signed with the key {named!r}, which is not one of policies.keys")
        body = reading.decode(token, _prepared(key), algorithms=[key.algorithm])
    except (PyJWTError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise
        raise _refused(f"its signature does not hold: {told(error)}") from error
    return _Payload.model_validate_json(body), key


def _prepared(key: VerificationKey) -> Any:
    """The key, as the library takes it.

    Raises:
        ConfigError: it is no key of this kind.
    """
    from jwt import PyJWS, PyJWTError  # noqa: PLC0415

    try:
        algorithm = PyJWS().get_algorithm_by_name(key.algorithm)
        prepare = cast("Callable[[bytes], Any]", algorithm.prepare_key)
        return prepare(key.key)
    except (PyJWTError, ValueError, TypeError, NotImplementedError) as error:
        raise ConfigError(
            f"policies.keys.{key.id}: this is no key for {key.algorithm}: {error}",
            fix="name a PEM file with the public half of the key that signs, and for HS… a secret that is no key",
        ) from error


def _refused(why: str, fix: str = "") -> BundleRefused:
    return BundleRefused("signature", f"the bundle is not believed: {why}", fix=fix)
