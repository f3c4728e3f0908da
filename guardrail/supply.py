"""The supply: where editions of the policies come from, and what is asked of each."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from guardrail.bundles import Bundle
from guardrail.editions import Edition, VerificationKey, read_edition
from guardrail.editions.sources import Fetched, Source
from guardrail.errors import BundleUnreachable, PolicyError, told
from guardrail.rego import RegoPolicy

SETTLING: Final = 1.0
"""Seconds between two looks at what is being written."""
_TRIES: Final = 20
"""How often a source that is being written is looked at where there is nothing to decide by yet."""


@contextmanager
def as_faults() -> Generator[None]:
    """Say whatever goes wrong while an edition is read and checked as a fault of it: it may have been made for that.

    Raises:
        PolicyError: there is no process for its tests, it is nested without end, it holds half a character, …
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise PolicyError(f"it could not be checked: {told(error)}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Where editions come from, and what is asked of them.

    Attributes:
        source: is looked at.
        keys: under which signatures are believed; none = they are not looked at.
        beside: what comes with guardrail and is used beside every edition.
        poll: seconds between two looks.
        limit: seconds that one evaluation may take.
        observe: ids of rules that are recorded and not enforced.
    """

    source: Source
    keys: tuple[VerificationKey, ...] = ()
    beside: Bundle | None = None
    poll: float = 30.0
    limit: float = 1.0
    observe: tuple[str, ...] = ()

    def read(self, fetched: Fetched) -> Edition:
        """The edition in what was fetched.

        Raises:
            BundleRefused: it may not decide anything.
        """
        return read_edition(fetched.files, keys=self.keys, beside=self.beside)

    def first(self) -> tuple[Edition, str]:
        """The edition that the source holds now, and what the source knows it by.

        Raises:
            BundleRefused: there is none, or it may not decide anything.
        """
        for _ in range(_TRIES):
            looked = self.source.look("")
            if isinstance(looked, Fetched):
                return self.read(looked), looked.tag
            threading.Event().wait(min(self.poll, SETTLING) / 4)
        raise BundleUnreachable(f"{self.source.title} is being written all the time")

    def policy(self, bundle: Bundle) -> RegoPolicy:
        """The policy that a bundle makes.

        Raises:
            PolicyError: it fails the pre-flight, or its tests.
        """
        return RegoPolicy(bundle, limit=self.limit, observe=self.observe)
