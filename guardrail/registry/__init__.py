"""The registry: what is known of the packages that a call asks for.

That a name exists says little: one that a model made up may have been taken by somebody who expected that. So facts of
packages say also since when a package is there, whether it was missing when somebody looked before, how much it is
used, and which popular names its name is like or joined from. Policies decide (`policies/packages`).
"""

from __future__ import annotations

from guardrail.registry.hosts import Limits
from guardrail.registry.indexes import Index
from guardrail.registry.likeness import Likeness, Popular
from guardrail.registry.looks import Freshness
from guardrail.registry.observations import Observation, Observations
from guardrail.registry.registry import Registry
from guardrail.registry.snapshot import Snapshot, build

__all__ = [
    "Freshness",
    "Index",
    "Likeness",
    "Limits",
    "Observation",
    "Observations",
    "Popular",
    "Registry",
    "Snapshot",
    "build",
]
