"""A snapshot: all names of a registry on one day, and since which snapshot each of them has been there.

A folder with `snapshot.json` (date, sources, digests) and one trie (marisa) an ecosystem, of about 5 bytes a name.
Whoever was there on a day is at least as old as that day; whoever was not is missing, as long as the snapshot is fresh.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, cast

import orjson

from guardrail.errors import ConfigError
from guardrail.registry.names import Ecosystem, can_exist

_MANIFEST: Final = "snapshot.json"
_SCHEMA: Final = 1
_FIX: Final = "build it with `guardrail packages snapshot`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a snapshot has of one ecosystem.

    Attributes:
        date: the day on which the names were read.
        digest: SHA-256 of the trie, in hexadecimal digits.
        names: how many.
        trie: name → the day (ordinal) of the first snapshot that had it.
    """

    date: date
    digest: str
    names: int
    trie: Any


class Snapshot:
    """A snapshot, open for reading."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self.parts = parts

    @classmethod
    def open(cls, folder: Path) -> Snapshot:
        """Open a snapshot.

        Raises:
            ConfigError: there is none, or a part is not what its digest says.
        """
        parts: dict[str, Part] = {}
        for ecosystem, described in _manifest(folder).items():
            file = folder / str(described["file"])
            try:
                if hashlib.sha256(file.read_bytes()).hexdigest() != described["digest"]:
                    raise ConfigError(f"the snapshot {file} is not what its digest says", fix=_FIX)
                trie = _trie().mmap(str(file))
            except OSError as error:
                raise ConfigError(f"the snapshot {file} cannot be read: {error}", fix=_FIX) from error
            parts[ecosystem] = Part(
                date=date.fromisoformat(described["date"]),
                digest=described["digest"],
                names=int(described["names"]),
                trie=trie,
            )
        return cls(parts)

    def since(self, ecosystem: str, name: str) -> date | None:
        """The day of the first snapshot that had a name; None where this one has not."""
        part = self.parts.get(ecosystem)
        found = part.trie.get(name) if part is not None else None
        return date.fromordinal(found[0][0]) if found else None


def build(folder: Path, ecosystem: Ecosystem, names: Collection[str], *, day: date, source: str) -> Part:
    """Write a snapshot, or the new one of an ecosystem; names that were in the old one keep their day.

    Args:
        folder: made where it is not there.
        ecosystem: whose names these are.
        names: all of them; names that no package can have are left out.
        day: on which they were read.
        source: where they come from, for people.

    Raises:
        ConfigError: it cannot be written, or there is one that cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = (folder / _MANIFEST).exists()
        before = Snapshot.open(folder) if there else Snapshot({})
        items = list(_days(before, ecosystem, names, day))
        trie = _trie(items)
        body: bytes = trie.tobytes()
        digest = hashlib.sha256(body).hexdigest()
        file = f"{ecosystem}-{day.isoformat()}-{digest[:16]}.trie"
        described = {
            "file": file, "digest": digest, "names": len(items), "date": day.isoformat(), "source": source,
        }  # fmt: skip
        _replace(folder / file, body)
        parts = {**(_manifest(folder) if there else {}), ecosystem: described}
        document = {"schema": _SCHEMA, "ecosystems": parts}
        _replace(folder / _MANIFEST, orjson.dumps(document, option=orjson.OPT_INDENT_2))
        for old in folder.glob(f"{ecosystem}-*.trie"):
            if old.name != file:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"the snapshot {folder} cannot be written: {error}") from error
    return Part(date=day, digest=digest, names=len(items), trie=trie)


def _trie(items: Iterable[tuple[str, tuple[int]]] = ()) -> Any:
    """Names with one number each."""
    marisa_trie: Any = import_module("marisa_trie")  # no types; see ADR 6
    return marisa_trie.RecordTrie("<I", items)


def _days(
    before: Snapshot, ecosystem: Ecosystem, names: Iterable[str], day: date
) -> Iterable[tuple[str, tuple[int]]]:
    for name in sorted(set(names)):
        if can_exist(ecosystem, name):
            yield name, ((before.since(ecosystem, name) or day).toordinal(),)


def _replace(path: Path, body: bytes) -> None:
    """Write a file whole: whoever reads meanwhile sees the old one or the new one."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", delete=False) as file:
        try:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    file = folder / _MANIFEST
    try:
        found = orjson.loads(file.read_bytes())
        if found["schema"] != _SCHEMA:
            raise ConfigError(f"{file} has another form than this version reads", fix=_FIX)
        parts = cast("dict[str, dict[str, Any]]", found["ecosystems"])
        for part in parts.values():
            date.fromisoformat(part["date"])
            file_name, _ = Path(str(part["file"])).name, int(part["names"])
            part["file"], part["digest"] = file_name, str(part["digest"])
    except FileNotFoundError as error:
        raise ConfigError(f"there is no snapshot in {folder}", fix=_FIX) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is no snapshot", fix=_FIX) from error
    return parts
