"""Indexes: where packages of an ecosystem are published, and what one of them says of a package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from guardrail.registry.bodies import (
    MISSING,
    SIMPLE,
    BadAnswerError,
    Presence,
    read_packument,
    read_project,
    read_simple,
)
from guardrail.registry.hosts import Host, UnreachableError
from guardrail.registry.names import Ecosystem, can_exist, segment

_SEPARATORS: Final = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index.

    Attributes:
        title: as facts name it: `pypi`, `npm` or `private:NAME`.
        ecosystem: whose packages it has.
        url: below which it has a page for every package; ends in `/`.
        json: for Python: below which PyPI's own JSON is, for what the Simple API does not say; empty = nowhere.
        names: the packages that are looked up here and nowhere else, `*` for any run of characters; empty = any
            package is looked up here first, then in what follows.
        authorization: value of the header `Authorization`; empty = none.
    """

    title: str
    ecosystem: Ecosystem
    url: str
    json: str = ""
    names: tuple[str, ...] = ()
    authorization: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it is an index of one's own, for which no list of public packages speaks."""
        return self.title.startswith("private:")

    def claims(self, name: str) -> bool:
        """Whether a package of this name, in normal form, is looked up here and nowhere else."""
        return any(fnmatchcase(name, self._normal(pattern)) for pattern in self.names)

    def _normal(self, pattern: str) -> str:
        """A pattern as names are compared: `Corp_*` means the packages that pip takes for `corp-…` (PEP 503)."""
        lower = pattern.lower()
        return _SEPARATORS.sub("-", lower) if self.ecosystem == "pypi" else lower

    async def look(self, host: Host, name: str) -> Presence:
        """What it says of a package. An answer that is too large to be read says that the package is there, no more.

        Raises:
            UnreachableError: it says nothing that can be used.
        """
        if not can_exist(self.ecosystem, name):
            return MISSING
        try:
            if self.ecosystem == "npm":
                return await self._packument(host, name)
            return await self._project(host, name)
        except BadAnswerError as error:
            raise UnreachableError(f"its answer cannot be read: {error}") from error

    async def _packument(self, host: Host, name: str) -> Presence:
        body = await self._get(host, self.url + segment(name), "application/json")
        if body is None:
            return MISSING
        return read_packument(body, name) if body else Presence(known=True)

    async def _project(self, host: Host, name: str) -> Presence:
        body = await self._get(host, f"{self.url}{segment(name)}/", SIMPLE)
        if body is None:
            return MISSING
        found = read_simple(body, name) if body else Presence(known=True)
        if found.uploaded is not None or not self.json:
            return found
        body = await self._get(host, f"{self.json}{segment(name)}/json", "application/json")
        return read_project(body, name) if body else found

    async def _get(self, host: Host, url: str, media_type: str) -> bytes | None:
        """The document; None = there is none, empty = it is too large."""
        reply = await host.get(url, accept=media_type, authorization=self.authorization)
        if reply.status == 404:
            return None
        if reply.media_type != media_type:
            raise BadAnswerError(f"it is not {media_type}")
        if reply.body == b"":
            raise BadAnswerError("it is empty")
        return reply.body or b""


def asked(indexes: tuple[Index, ...], ecosystem: str, name: str) -> tuple[Index, ...]:
    """The indexes that say whether a package exists: whoever claims its name, else all that claim none, in order."""
    candidates = tuple(index for index in indexes if index.ecosystem == ecosystem)
    claiming = tuple(index for index in candidates if index.claims(name))
    return claiming or tuple(index for index in candidates if not index.names)
