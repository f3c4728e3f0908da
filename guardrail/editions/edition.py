"""One edition: the files of a bundle, read as OPA reads them, with what its manifest and signature say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from guardrail.bundles import APPROVAL, APPROVAL_PACKAGE, MAX_BYTES, Bundle, merge_data, placed
from guardrail.canonical import digest, parse
from guardrail.editions import manifest as manifests
from guardrail.editions import signatures
from guardrail.editions.manifest import Manifest
from guardrail.editions.signatures import VerificationKey
from guardrail.errors import BundleRefused, InvalidArguments

_REFUSED: Final = (
    (re.compile(r"(?:.*/)?patch\.json"), "this is a delta bundle, which only changes what was there before"),
    (re.compile(r"(?:.*/)?[^/]*\.wasm|(?:.*/)?plan\.(?:json|pb)"), "it is compiled: what it says cannot be checked"),
    (re.compile(r".*\.manifest\.pb"), "a manifest in protobuf is not read; write .manifest"),
    (re.compile(r".*/\.signatures\.json|.+\.manifest"), "it may stand at the top only"),
)  # fmt: skip
_YAML: Final = re.compile(r"(?:.*/)?data\.ya?ml")
_HIDDEN: Final = re.compile(r"(?:^|/)\.")


@dataclass(frozen=True, kw_only=True)
class Edition:
    """The policies as somebody has handed them out.

    Attributes:
        bundle: rules and data; with what comes with guardrail, where that is used beside them.
        digest: over the files, so that equal ones are known.
        label: the revision that the manifest names; "" = none.
        counter: the number that may not go back; None = the owner does not count.
        key: id of the key that has signed it; "" = nobody was asked for.
    """

    bundle: Bundle
    digest: str
    label: str = ""
    counter: int | None = None
    key: str = ""


def read_edition(
    files: Mapping[str, bytes], *, keys: Iterable[VerificationKey] = (), beside: Bundle | None = None
) -> Edition:
    """Read the files of a bundle.

    Args:
        files: path → content.
        keys: under which signatures are believed; none = signatures are not looked at.
        beside: what comes with guardrail and is used beside it.

    Raises:
        BundleRefused: it may not decide anything, and why.
    """
    for name in files:
        if (
            not name.isprintable()
        ):  # half a character, or one that turns the line around: nobody could be told of it
            raise BundleRefused("malformed", f"{name!a} is no name that can be shown", fix="rename the file")
    known = {key.id: key for key in keys}
    key = signatures.verify_files(files, known) if known else ""
    for name in files:
        _check(name)
    manifest = Manifest.read(files[manifests.NAME]) if manifests.NAME in files else Manifest()
    modules = {name: _text(name, content) for name, content in files.items() if name.endswith(".rego")}
    data: dict[str, Any] = {}
    for name in sorted(files):
        folder, _, last = name.rpartition("/")
        if last == "data.json":
            value = _json(name, files[name])
            merge_data(data, placed(value, filter(None, folder.split("/"))), name)
    if not modules:
        raise BundleRefused("malformed", "no .rego file is in the bundle")
    manifest.check(modules, data)
    bundle = Bundle.of(modules, data)
    if beside is not None:
        manifest.check_beside(beside)
        bundle = _joined(beside, bundle)
    return Edition(
        bundle=bundle,
        digest=digest(
            b"guardrail edition 1", *(part for name in sorted(files) for part in (name.encode(), files[name]))
        ),
        label=manifest.revision,
        counter=manifest.counter,
        key=key,
    )


def _joined(beside: Bundle, bundle: Bundle) -> Bundle:
    """Both as one; the approval policy that comes with guardrail gives way to the bundle's own."""
    if any(APPROVAL_PACKAGE.search(source) for source in bundle.rules.values()):
        kept = {path: source for path, source in beside.modules.items() if path != APPROVAL}
        beside = Bundle.of(kept, beside.data)
    return Bundle.join(beside, bundle)


def _check(name: str) -> None:
    if name in {manifests.NAME, signatures.NAME}:
        return
    for pattern, why in _REFUSED:
        if pattern.fullmatch(name):
            raise BundleRefused("malformed", f"{name}: {why}")
    if _YAML.fullmatch(name):
        raise BundleRefused(
            "malformed",
            f"{name}: YAML is not read the same everywhere",
            fix=f"write {name.rpartition('.')[0]}.json in its place, or let OPA do so: "
            "opa build -b FOLDER -o bundle.tar.gz, and hand out what that writes",
        )
    if _HIDDEN.search(name) and (name.endswith(".rego") or name.rpartition("/")[2].startswith("data.")):
        raise BundleRefused(
            "malformed", f"{name} is hidden, and OPA would read it", fix="rename it, or leave it out"
        )


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleRefused("malformed", f"{name} is no UTF-8 text: {error.reason}") from error


def _json(name: str, content: bytes) -> dict[str, Any]:
    try:
        value = parse(_text(name, content), max_bytes=MAX_BYTES)
    except InvalidArguments as error:
        raise BundleRefused("malformed", f"{name}: {error.message}", fix=error.fix) from error
    if not isinstance(value, dict):
        raise BundleRefused("malformed", f"{name} holds no JSON object")
    return value  # pyright: ignore[reportUnknownVariableType]
