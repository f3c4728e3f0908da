"""Names of packages: which ones a registry can hold, and how they stand in an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

Ecosystem = Literal["pypi", "npm"]
"""A registry's kind of packages: those that can be looked up here."""

ECOSYSTEMS: Final[tuple[Ecosystem, ...]] = ("pypi", "npm")

_MOST: Final[Mapping[Ecosystem, int]] = {"pypi": 200, "npm": 214}
_FORMS: Final[Mapping[Ecosystem, re.Pattern[str]]] = {
    "pypi": re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*"),
    "npm": re.compile(r"(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*"),
}


def can_exist(ecosystem: Ecosystem, name: str) -> bool:
    """Whether a registry can hold a package of this name. PyPI's names are meant in their normal form (PEP 503)."""
    return len(name) <= _MOST[ecosystem] and _FORMS[ecosystem].fullmatch(name) is not None


def segment(name: str) -> str:
    """A name as one segment of a path: nothing in it leads anywhere else."""
    return quote(name, safe="@")
