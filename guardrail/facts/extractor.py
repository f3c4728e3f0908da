"""What every extractor is: given one text, it understands it fully or says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a text has to be read against.

    Attributes:
        roots: the path roots of the acting agent: name as configured → absolute folder, links resolved.
        folder: what a relative path is relative to; itself relative to the working folder of the process.
    """

    roots: Mapping[str, Path]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a text means.

    Attributes:
        facts: what was understood, without `argument`, which `extract` adds.
        packages: packages that it asks for, beside the facts of its own kind.
        secrets: secrets and personal data in it, likewise.
        urls: where it leads, likewise.
        caution: why this is not to be allowed unattended: it was not understood, or it was and still asks for
            a person (a URL that carries a password, a device); empty = nothing speaks against it.
    """

    facts: tuple[Mapping[str, Any], ...] = ()
    packages: tuple[Mapping[str, Any], ...] = ()
    secrets: tuple[Mapping[str, Any], ...] = ()
    urls: tuple[Mapping[str, Any], ...] = ()
    caution: str = ""


class NotUnderstoodError(Exception):
    """An extractor cannot say with certainty what a text means; the message says why, without the text."""


Extractor = Callable[[str, Surroundings], Findings]
"""Reads one text. Raises `NotUnderstoodError` and nothing else, and answers the same for the same text."""
