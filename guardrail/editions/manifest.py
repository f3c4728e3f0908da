"""The manifest of a bundle, `.manifest` as OPA reads it: what the bundle is called, and which paths are its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from guardrail.bundles import Bundle
from guardrail.errors import BundleRefused

NAME: Final = ".manifest"
_MOST: Final = (1 << 53) - 1
_PACKAGE: Final = re.compile(
    r'\A(?:\s|#[^\n]*(?:\n|\Z))*package\s+([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["(?:[^"\\]|\\.)*"\])*)', re.ASCII
)
_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|(\w+)', re.ASCII)
_VERSION: Final = "rewrite it in Rego v1: `opa fmt --rego-v1 -w FOLDER`"


class _Own(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    counter: Annotated[int, Field(ge=0, le=_MOST)] | None = None


class _Metadata(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    guardrail: _Own = _Own()


def _shown(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected letters, digits and signs that can be shown")
    return text


class Manifest(BaseModel):
    """What a `.manifest` says.

    Attributes:
        revision: what the owner calls this state of the policies.
        roots: the paths of `data` that rules and data of the bundle stand below, as `a/b`; left out: everywhere.
        rego_version: 1, or left out.
        file_rego_versions: file → the same.
        wasm: compiled policies; there may be none.
        metadata: `guardrail.counter`, a number that may not go back from one bundle to the next; the rest is
            the owner's.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    revision: Annotated[str, Field(max_length=256), AfterValidator(_shown)] = ""
    roots: list[str] | None = None
    rego_version: int | None = None
    file_rego_versions: dict[str, int] = {}
    wasm: list[Any] = []
    metadata: _Metadata = _Metadata()

    @classmethod
    def read(cls, text: bytes) -> Manifest:
        """The manifest.

        Raises:
            BundleRefused: it is none, or says what is not accepted; names the field.
        """
        try:
            manifest = cls.model_validate_json(text)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in wrong["loc"])
            raise BundleRefused("malformed", f"{NAME}: {where}: {wrong['msg']}") from error
        versions = {"rego_version": manifest.rego_version, **manifest.file_rego_versions}
        for where, version in versions.items():
            if version not in {None, 1}:
                raise BundleRefused("malformed", f"{NAME}: {where}: this is Rego v{version}", fix=_VERSION)
        if manifest.wasm:
            raise BundleRefused("malformed", f"{NAME}: it names policies compiled to Wasm, which are not run")
        _check_roots(manifest.paths)
        return manifest

    @property
    def counter(self) -> int | None:
        """The number that may not go back; None where the owner does not count."""
        return self.metadata.guardrail.counter

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The roots, taken apart; one that is empty is everything."""
        roots = [""] if self.roots is None else self.roots
        return tuple(tuple(filter(None, root.strip("/").split("/"))) for root in roots)

    def check(self, modules: Mapping[str, str], data: Mapping[str, Any]) -> None:
        """Look whether rules and data stand below the roots.

        Raises:
            BundleRefused: something does not.
        """
        roots = self.paths
        for file, source in modules.items():
            if not any(_contains(root, package_of(file, source)) for root in roots):
                package = ".".join(package_of(file, source))
                raise BundleRefused(
                    "malformed", f"{file}: the roots {self.roots} do not permit package {package}"
                )
        for path in _outside(roots, data, ()):
            where = "/".join(path)
            raise BundleRefused("malformed", f"the roots {self.roots} do not permit data at /{where}")

    def check_beside(self, other: Bundle) -> None:
        """Look whether the rules of another bundle, which is used beside this one, stay out of the roots.

        Raises:
            BundleRefused: one stands in there. A bundle that names no roots keeps none for itself.
        """
        if self.roots is None:
            return
        for file, source in other.rules.items():
            package = package_of(file, source)
            for root in self.paths:
                if package not in _SHARED and _contains(root, package):
                    title = ".".join(package)
                    raise BundleRefused(
                        "malformed",
                        f"the root {'/'.join(root)!r} overlaps: package {title} of guardrail stands in it",
                        fix="name narrower roots, or do without the pack",
                    )


_SHARED: Final = frozenset({("guardrail",), ("guardrail", "approval")})
"""Packages that come with guardrail and give way to those of a bundle."""


def package_of(file: str, source: str) -> tuple[str, ...]:
    """The package of a module, as the steps of its path.

    Raises:
        BundleRefused: the module does not begin with one.
    """
    found = _PACKAGE.match(source)
    if found is None:
        raise BundleRefused("malformed", f"{file} does not begin with a package")
    try:
        steps = tuple(json.loads(f'"{text}"') if text else word for text, word in _STEP.findall(found[1]))
    except json.JSONDecodeError as error:
        raise BundleRefused("malformed", f"{file}: this is no name of a package: {found[1]}") from error
    if not all(map(str.isprintable, steps)):
        raise BundleRefused("malformed", f"{file}: this is no name of a package that can be shown")
    return steps


def _check_roots(roots: Sequence[tuple[str, ...]]) -> None:
    for index, one in enumerate(roots):
        for other in roots[index + 1 :]:
            if _contains(one, other) or _contains(other, one):
                raise BundleRefused(
                    "malformed", f"{NAME}: the roots {'/'.join(one)!r} and {'/'.join(other)!r} overlap"
                )


def _contains(root: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return path[: len(root)] == root


def _outside(
    roots: Iterable[tuple[str, ...]], value: object, at: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Where data stands outside of the roots."""
    if any(_contains(root, at) for root in roots):
        return
    if isinstance(value, dict) and any(_contains(at, root) for root in roots):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _outside(roots, item, (*at, key))
    else:
        yield at
