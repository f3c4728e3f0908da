"""The folder of the demo: made anew each time, and never at the cost of anything the demo did not write.

A folder that the demo has made holds a list of what it wrote, with digests. On the next run it is replaced
only where that list still tells the whole content; where anything was added or changed, it is left alone
and the next free name is used.
"""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from guardrail.bundles import shipped_folder

LIST: Final = ".guardrail-demo.json"
"""The list: path → SHA-256, in hex."""

OWN: Final = frozenset(
    ["guardrail.key", LIST]
    + [
        f"{name}.db{suffix}"
        for name in ("guardrail", "bank", "graph")
        for suffix in ("", "-wal", "-shm", "-journal", ".lock")
    ]
)
"""What belongs to the demo whatever it holds: looking at the ledger afterwards changes its files."""

PACKS: Final = ("egress", "filesystem", "mask", "runaway")
"""Shipped policies that stand beside the demo's own."""

OURS, THEIRS = "127.0.0.1:8650", "localhost:8666"
"""Addresses of the supplier directory and of the swindler's server, as they stand in the demo's files."""

FOLDER: Final = "folder"
OTHER: Final = "other"

CONFIG: Final = "guardrail.toml"


def make(wanted: Path, *, replacing: Mapping[str, str]) -> Path:
    """Make the folder, at `wanted` or at the next free name beside it, and fill it.

    Args:
        wanted: where it is to be.
        replacing: text → what stands in its place in every file (the addresses of the servers).

    Raises:
        OSError: it cannot be written there.
    """
    folder = next(filter(_vacated, _names(wanted)))
    _copy(resources.files("guardrail_langgraph.demo").joinpath("files"), folder, replacing)
    _copy_policies(folder / "policies")
    (folder / "workspace" / "notes").mkdir()
    remember(folder)
    return folder


def remember(folder: Path) -> None:
    """Write the list of everything in the folder, as it is now."""
    found = {name: _state(path) for name, path in _content(folder).items() if name not in OWN}
    (folder / LIST).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _names(wanted: Path) -> Iterator[Path]:
    yield wanted
    for number in count(2):
        yield wanted.with_name(f"{wanted.name}-{number}")


def _vacated(folder: Path) -> bool:
    """Whether the folder is there, and empty: it was made, was empty, or was cleared of an earlier demo."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            return False
    content = _content(folder)
    if content and not _untouched(folder, content):
        return False
    for path in reversed(content.values()):
        if _state(path) == FOLDER:
            path.rmdir()
        else:
            path.unlink()
    return True


def _untouched(folder: Path, content: Mapping[str, Path]) -> bool:
    """Whether everything in the folder is as the demo left it."""
    try:
        known = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(known, dict):
        return False
    listed = cast("dict[str, Any]", known)
    return all(
        _state(path) != OTHER and (name in OWN or _state(path) == listed.get(name))
        for name, path in content.items()
    )


def _content(folder: Path) -> dict[str, Path]:
    """Everything in the folder, what holds something before what it holds; links are not followed."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}


def _state(path: Path) -> str:
    """The digest of a file; `FOLDER`; or `OTHER` (a link, a pipe)."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        return FOLDER
    return sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else OTHER


def _copy_policies(target: Path) -> None:
    """What stands at the top of the shipped policies, and the packs."""
    shipped = shipped_folder()
    for file in shipped.glob("*.rego"):
        shutil.copyfile(file, target / file.name)
    for pack in PACKS:
        shutil.copytree(shipped / pack, target / pack, copy_function=shutil.copyfile)


def _copy(source: Traversable, target: Path, replacing: Mapping[str, str]) -> None:
    for item in source.iterdir():
        if item.is_dir():
            (target / item.name).mkdir()
            _copy(item, target / item.name, replacing)
        else:
            text = item.read_text(encoding="utf-8")
            for given, put in replacing.items():
                text = text.replace(given, put)
            (target / item.name).write_text(text, encoding="utf-8")
