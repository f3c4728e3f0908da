"""What registries answer: PEP 691 and PEP 700 for indexes of Python, PyPI's own JSON, packuments of npm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson

SIMPLE: Final = "application/vnd.pypi.simple.v1+json"
"""Media type of the Simple API (PEP 691)."""

_HELD: Final = "-security"  # npm's own version of what it holds in place of a package that it removed


class BadAnswerError(Exception):
    """An answer is not of the form that the registry's interface has; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What an index says of a package.

    Attributes:
        known: it is there.
        uploaded: when its first file came, RFC 3339; None = not told.
        releases: how many there are that are not taken back; None = not told.
    """

    known: bool
    uploaded: str | None = None
    releases: int | None = None


MISSING: Final = Presence(known=False)


def read_simple(body: bytes, name: str) -> Presence:
    """The page of a project in the Simple API. Times and versions are there from API 1.1 on (PEP 700).

    Raises:
        BadAnswerError: it is another document.
    """
    from packaging.utils import canonicalize_name  # noqa: PLC0415  see ADR 6

    page = _object(body)
    version, title = _member(page, "meta").get("api-version"), page.get("name")
    if not (isinstance(version, str) and version.startswith("1.") and isinstance(title, str)):
        raise BadAnswerError("it is no page of the Simple API 1")
    if canonicalize_name(title) != name:
        raise BadAnswerError("it is about another package")
    files = _objects(page.get("files"))
    versions = page.get("versions")
    kept = any(not item.get("yanked") for item in files)
    return Presence(
        known=True,
        uploaded=_first(item.get("upload-time") for item in files),
        releases=(len(_list(versions)) if kept else 0) if versions is not None else None,
    )


def read_project(body: bytes, name: str) -> Presence:
    """A project in the JSON of PyPI, older than PEP 700 and with the same in it.

    Raises:
        BadAnswerError: it is another document.
    """
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    project = _object(body)
    title, releases = _member(project, "info").get("name"), _member(project, "releases")
    if not isinstance(title, str) or canonicalize_name(title) != name:
        raise BadAnswerError("it is about another package")
    files = {version: _objects(items) for version, items in releases.items()}
    return Presence(
        known=True,
        uploaded=_first(item.get("upload_time_iso_8601") for items in files.values() for item in items),
        releases=sum(any(not item.get("yanked") for item in items) for items in files.values()),
    )


def read_packument(body: bytes, name: str) -> Presence:
    """A package of npm. One without versions, or which npm itself holds after a removal, is missing.

    Raises:
        BadAnswerError: it is another document.
    """
    packument = _object(body)
    if packument.get("name") != name:
        raise BadAnswerError("it is about another package")
    versions = packument.get("versions", {})
    if not isinstance(versions, dict):
        raise BadAnswerError("its versions have another form")
    held = cast("dict[str, Any]", versions)
    if all(version.endswith(_HELD) for version in held):
        return MISSING
    taken_back = sum(bool(item.get("deprecated")) for item in _objects(list(held.values())))
    times = packument.get("time")
    created = cast("dict[str, Any]", times).get("created") if isinstance(times, dict) else None
    return Presence(known=True, uploaded=_first([created]), releases=len(held) - taken_back)


def read_names(body: bytes) -> tuple[str, ...]:
    """All names of an index, from the root of its Simple API, in their normal form.

    Raises:
        BadAnswerError: it is another document.
    """
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    titles = [item.get("name") for item in _objects(_object(body).get("projects"))]
    return tuple(sorted({canonicalize_name(title) for title in titles if isinstance(title, str)}))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError("it is no JSON") from error
    if not isinstance(found, dict):
        raise BadAnswerError("it is no object")
    return cast("dict[str, Any]", found)


def _member(owner: dict[str, Any], name: str) -> dict[str, Any]:
    found = owner.get(name)
    if not isinstance(found, dict):
        raise BadAnswerError(f"it has no {name}")
    return cast("dict[str, Any]", found)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise BadAnswerError("a list in it has another form")
    return cast("list[Any]", value)


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [cast("dict[str, Any]", item) for item in _list(value) if isinstance(item, dict)]


def _first(times: Iterable[object]) -> str | None:
    """The earliest of these times that can be read."""
    read = [moment for time in times if isinstance(time, str) and (moment := _moment(time)) is not None]
    return f"{min(read).isoformat(timespec='seconds')[:19]}Z" if read else None


def _moment(time: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(time)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
