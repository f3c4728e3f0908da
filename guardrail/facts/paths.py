"""Paths: where an argument leads once every link is followed, and which roots that is in.

Read as `open` reads it on a POSIX system. What other readers might take for something else (`~`,
`$HOME`, a backslash, a URL) is not understood: nothing is expanded here, and whether the tool
expands it is not known. A path says where it led when it was looked at; a tool that lets others
change links meanwhile has to open it beneath its root itself.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings

MAX_BYTES: Final = 4096
"""The longest path, in bytes (PATH_MAX of Linux)."""
MAX_LINKS: Final = 40
"""How many links one path may go through, as on Linux."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VARIABLE: Final = re.compile(r"\$[\w{(]")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


def read_path(text: str, given: Surroundings) -> Findings:
    """Where the path leads: `raw`, `resolved`, `inside`, `exists`, `kind` and `links`.

    `resolved` is absolute and free of links. Of a path that does not exist yet, the nearest existing
    folder is resolved and the rest follows as it stands. `inside` names the roots that hold it, the
    innermost first; `links` says whether a symbolic link was followed.

    Raises:
        NotUnderstoodError: it may mean several places, or none that can be told.
    """
    _check_spelling(text)
    try:
        place = _follow(text, given.folder)
        place.at.encode()
    except OSError as error:
        raise NotUnderstoodError(f"it cannot be looked at: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise NotUnderstoodError("it leads through a name that is no text") from error
    inside = [(name, root) for name, root in given.roots.items() if is_inside(place.at, root)]
    inside.sort(key=lambda item: (-len(item[1].parts), item[0]))
    fact: Mapping[str, Any] = {
        "raw": text,
        "resolved": place.at,
        "inside": [name for name, _ in inside],
        "exists": place.mode is not None,
        "kind": _kind(place.mode),
        "links": place.links > 0,
    }
    return Findings(
        facts=(fact,), caution="it is a device, a pipe or a socket" if fact["kind"] == "other" else ""
    )


def is_inside(resolved: str, root: Path) -> bool:
    """Whether a resolved path is the root or beneath it; `/srv/app2` is not beneath `/srv/app`."""
    return f"{resolved}/".startswith(f"{root}/" if root.name else "/")


def _check_spelling(text: str) -> None:
    if not text:
        raise NotUnderstoodError("it is empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise NotUnderstoodError("it holds a lone surrogate") from error
    if size > MAX_BYTES:
        raise NotUnderstoodError(f"it is longer than {MAX_BYTES:,} bytes")
    if _CONTROL.search(text):
        raise NotUnderstoodError("it holds a control character")
    if "\\" in text:
        raise NotUnderstoodError("it holds a backslash, which some programs take for a separator")
    if text.startswith("~"):
        raise NotUnderstoodError("it begins with '~', which some programs expand and others do not")
    if _VARIABLE.search(text):
        raise NotUnderstoodError("it holds a variable, which some programs expand and others do not")
    if _URL.match(text):
        raise NotUnderstoodError("it is a URL, not a path")
    if not text.isascii():
        _check_unicode(text)


def _check_unicode(text: str) -> None:
    """Refuse what another normal form (Unicode, annex 15) would make another path of."""
    if not unicodedata.is_normalized("NFC", text):
        raise NotUnderstoodError("it is not in Unicode normal form C: file systems differ on what it names")
    for name in text.split("/"):
        compatible = unicodedata.normalize("NFKC", name)
        if compatible != name and (compatible in {".", ".."} or "/" in compatible or "\\" in compatible):
            raise NotUnderstoodError("it holds look-alikes of dots or separators")


@dataclass(slots=True, kw_only=True)
class _Place:
    """Where a walk stands: `at` is absolute and free of links; `mode` is None where nothing exists."""

    at: str
    mode: int | None
    links: int = 0


def _follow(text: str, folder: Path) -> _Place:
    """Walk the path as the system would: a link is followed before the `..` behind it.

    Raises:
        OSError: a part cannot be looked at (no right, a file where a folder is needed, a name too long).
        NotUnderstoodError: it goes nowhere that can be told.
    """
    start = "/" if text.startswith("/") else os.path.realpath(folder, strict=True)
    place = _Place(at=start, mode=os.lstat(start).st_mode)
    ahead = [(name, False) for name in reversed(text.split("/"))]  # (name, stands in a link's target)
    while ahead:
        name, linked = ahead.pop()
        if name in {"", "."}:
            if place.mode is not None and not stat.S_ISDIR(place.mode):
                raise NotUnderstoodError("it goes on from something that is no folder")
            continue
        if name == "..":
            if place.mode is None or not stat.S_ISDIR(place.mode):
                raise NotUnderstoodError("it goes up from something that is no folder")
            place.at = str(Path(place.at).parent)
            continue
        target = _step(place, name, linked=linked)
        if target is not None:
            ahead += [(part, True) for part in reversed(target.split("/"))]
    return place


def _step(place: _Place, name: str, *, linked: bool) -> str | None:
    """Go to one more name; where that is a link, stay (or go to the top) and answer its target."""
    beneath = place.at.rstrip("/") + "/" + name
    if place.mode is None:
        place.at = beneath
        return None
    try:
        mode = os.lstat(beneath).st_mode
    except FileNotFoundError:
        if linked:
            raise NotUnderstoodError("it goes through a link that leads nowhere") from None
        place.at, place.mode = beneath, None
        return None
    if not stat.S_ISLNK(mode):
        place.at, place.mode = beneath, mode
        return None
    place.links += 1
    if place.links > MAX_LINKS:
        raise NotUnderstoodError("it goes through a loop of links")
    if beneath.startswith("/proc/"):
        raise NotUnderstoodError("it goes through a link of /proc, which leads elsewhere than it says")
    target = os.readlink(beneath)  # noqa: PTH115  a Path would drop the end of `file/.`, which leads nowhere
    if target.startswith("/"):
        place.at = "/"
    return target


def _kind(mode: int | None) -> str:
    if mode is None:
        return "missing"
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "other"
