"""The bundle: Rego modules and data as one value that never changes, with a digest over all of it.

Folders are read as OPA reads a bundle: every `*.rego` file is a module, and the content of a `data.json`
stands in `data` at the path of its folder. Hidden names are skipped, links that lead out of the folder
are refused, and so is anything that would be left out silently (`data.yaml`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, cast

from guardrail.canonical import canonical, digest, parse, thaw
from guardrail.errors import InvalidArguments, PolicyError
from guardrail.packs import DEFAULT, is_picked

MAX_FILES: Final = 1_000
"""Modules and data files in one bundle."""
MAX_BYTES: Final = 4_000_000
"""Size of all modules and of all data, in bytes each."""
TEST_SUFFIX: Final = "_test.rego"
"""Modules of this name hold tests: they are stored with the bundle and never take part in a decision."""
MAIN: Final = "guardrail/main.rego"
"""Where the shipped collecting rule stands in a bundle that brings no package `guardrail` of its own."""

APPROVAL: Final = "approval/approval.rego"
"""Where the shipped approval policy stands; it gives way to a package `guardrail.approval` of one's own."""

APPROVAL_PACKAGE: Final = re.compile(r"^\s*package\s+guardrail\.approval\s*(#.*)?$", re.MULTILINE)
"""Finds that package in a module."""
_MAIN_PACKAGE: Final = re.compile(r"^\s*package\s+guardrail\s*(#.*)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Rego modules and data. A bundle whose rules have no package `guardrail` gets the shipped `main.rego`.

    Attributes:
        modules: path inside the bundle, with `/` → Rego source.
        data_json: the data document, one JSON object, as canonical bytes.

    Raises:
        PolicyError: it is too large.
    """

    modules: Mapping[str, str]
    data_json: bytes = b"{}"

    def __post_init__(self) -> None:
        modules = dict(self.modules)
        if not any(_MAIN_PACKAGE.search(source) for source in _rules(modules).values()):
            modules[MAIN] = (shipped_folder() / "main.rego").read_text(encoding="utf-8")
        if len(modules) > MAX_FILES:
            raise PolicyError(f"the bundle has {len(modules):,} modules; at most {MAX_FILES:,} are accepted")
        size = sum(len(source.encode()) for source in modules.values())
        if max(size, len(self.data_json)) > MAX_BYTES:
            raise PolicyError(
                f"the bundle holds {size:,} bytes of Rego and {len(self.data_json):,} of data; "
                f"at most {MAX_BYTES:,} bytes of each are accepted"
            )
        object.__setattr__(self, "modules", MappingProxyType(dict(sorted(modules.items()))))

    @classmethod
    def of(cls, modules: Mapping[str, str], data: Mapping[str, Any] | None = None) -> Self:
        """Make a bundle from source text.

        Args:
            modules: path inside the bundle → Rego source.
            data: the data document.

        Raises:
            PolicyError: it is too large, or the data has no faithful JSON form.
        """
        try:
            return cls(modules=modules, data_json=canonical(dict(data or {}), max_bytes=MAX_BYTES))
        except InvalidArguments as error:
            raise PolicyError(
                f"the data of the bundle cannot be used: {error.message}", fix=error.fix
            ) from error

    @classmethod
    def from_directory(cls, *folders: str | Path, packs: Iterable[str] | None = None) -> Self:
        """Read one or several folders as one bundle.

        Args:
            folders: read in order; the same path twice is refused.
            packs: names of the packs that are read of `shipped_folder()`; None = all of them.

        Raises:
            PolicyError: a folder is missing, or a file may not stand in a bundle; the message names it.
        """
        modules: dict[str, str] = {}
        data: dict[str, Any] = {}
        shipped: set[str] = set()
        picked = None if packs is None else frozenset(packs)
        for folder in folders:
            root = Path(folder)
            if not root.is_dir():
                raise PolicyError(f"{root} is not a folder of policies", fix="name an existing folder")
            for file in _files(root):
                path = file.relative_to(root).as_posix()
                if picked is not None and root == shipped_folder() and not is_picked(path, picked):
                    continue
                if file.name == "data.json":
                    merge_data(data, placed(_read_data(file), file.parent.relative_to(root).parts), str(file))
                elif path in modules:
                    raise PolicyError(f"{path} stands in two of the folders", fix="rename one of them")
                else:
                    modules[path] = _read(file)
                    shipped.update({path} if root == shipped_folder() else ())
        if APPROVAL in shipped and _has_approval(
            {path: text for path, text in modules.items() if path != APPROVAL}
        ):
            del modules[APPROVAL]
        if not modules:
            raise PolicyError(
                f"no .rego file in {', '.join(map(str, folders))}",
                fix="write a rule, or leave the folder out to use the shipped policies",
            )
        return cls.of(modules, data)

    @classmethod
    def shipped(cls, packs: Iterable[str] = DEFAULT) -> Self:
        """The policies that come with guardrail.

        Args:
            packs: what is picked of them, beside what is always there.
        """
        return cls.from_directory(shipped_folder(), packs=packs)

    @classmethod
    def join(cls, *bundles: Bundle) -> Self:
        """One bundle of several; data objects are merged.

        Raises:
            PolicyError: two of them hold different texts at one path, or different values in one place.
        """
        modules: dict[str, str] = {}
        data: dict[str, Any] = {}
        own_main = any(MAIN not in bundle.modules for bundle in bundles)
        for bundle in bundles:
            for path, source in bundle.modules.items():
                if path == MAIN and own_main:
                    continue
                if modules.setdefault(path, source) != source:
                    raise PolicyError(
                        f"{path} stands in two bundles with different texts", fix="rename one of them"
                    )
            merge_data(data, bundle.data, "one of the bundles")
        return cls.of(modules, data)

    @property
    def data(self) -> dict[str, Any]:
        """A fresh copy of the data document."""
        value: dict[str, Any] = thaw(self.data_json)
        return value

    @property
    def rules(self) -> Mapping[str, str]:
        """The modules that take part in decisions: all but the tests."""
        return _rules(self.modules)

    @cached_property
    def revision(self) -> str:
        """SHA-256 over every module, with its path, and the data."""
        named = (part.encode() for item in self.modules.items() for part in item)
        return digest(b"guardrail bundle 1", *named, self.data_json)

    def as_json(self) -> dict[str, Any]:
        """The form in which the ledger stores it."""
        return {"modules": dict(self.modules), "data": self.data}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The bundle again that `as_json` gave.

        Raises:
            PolicyError: this is not such a form.
        """
        fields = cast("Mapping[str, Any]", stored if isinstance(stored, Mapping) else {})
        modules, data = fields.get("modules"), fields.get("data")
        if not isinstance(modules, Mapping) or not isinstance(data, Mapping):
            raise PolicyError("what is stored is not a bundle: modules (path to text) and data were expected")
        return cls.of(cast("Mapping[str, str]", modules), cast("Mapping[str, Any]", data))


def _has_approval(modules: Mapping[str, str]) -> bool:
    return any(APPROVAL_PACKAGE.search(source) for source in _rules(modules).values())


def _rules(modules: Mapping[str, str]) -> dict[str, str]:
    return {path: source for path, source in modules.items() if not path.endswith(TEST_SUFFIX)}


def shipped_folder() -> Path:
    """The folder of the policies that come with guardrail: in the package, or in a checkout beside it."""
    packaged = Path(__file__).parent / "policies"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "policies"


def _files(root: Path) -> Iterator[Path]:
    """The modules and data files under `root`, in a fixed order."""
    home = root.resolve()
    count = 0
    for folder, names, files in os.walk(root):
        here = Path(folder)
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in names:
            if (here / name).is_symlink():
                raise PolicyError(f"{here / name} is a linked folder", fix="put the folder itself there")
        for name in sorted(files):
            file = here / name
            if name.startswith(".") or not (name.endswith(".rego") or name.startswith("data.")):
                continue
            if name.startswith("data.") and name != "data.json":
                raise PolicyError(f"{file} would not be read", fix="write data as data.json")
            if not file.resolve().is_relative_to(home):
                raise PolicyError(
                    f"{file} is a link out of the folder {root}", fix="put the file itself there"
                )
            count += 1
            if count > MAX_FILES:
                raise PolicyError(f"{root} holds more than {MAX_FILES:,} modules and data files")
            yield file


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise PolicyError(f"{file} is larger than {MAX_BYTES:,} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _read_data(file: Path) -> dict[str, Any]:
    try:
        value = parse(_read(file), max_bytes=MAX_BYTES)
    except InvalidArguments as error:
        raise PolicyError(f"{file}: {error.message}", fix=error.fix) from error
    if not isinstance(value, dict):
        raise PolicyError(f"{file} holds no JSON object")
    return value  # pyright: ignore[reportUnknownVariableType]


def placed(value: dict[str, Any], parts: Iterable[str]) -> dict[str, Any]:
    """The value inside one object for each folder on its path."""
    for name in reversed(tuple(parts)):
        value = {name: value}
    return value


def merge_data(into: dict[str, Any], value: Mapping[str, Any], source: str, where: str = "data") -> None:
    """Put data beside data.

    Args:
        into: changed.
        value: what is put there.
        source: who says so.
        where: the path, for people.

    Raises:
        PolicyError: another value stands in one place already.
    """
    for key, item in value.items():
        if key not in into:
            into[key] = item
        elif isinstance(into[key], dict) and isinstance(item, dict):
            merge_data(into[key], item, source, f"{where}.{key}")  # pyright: ignore[reportUnknownArgumentType]
        elif into[key] != item:
            raise PolicyError(
                f"{source} gives {where}.{key} another value than a file before it", fix="say it once"
            )
