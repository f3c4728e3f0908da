"""Provenance: whose words the values of a call are.

Every text and number among the arguments is looked for in what its run has seen so far: the user's own words, what
trusted tools returned, what others returned. One module a step: `forms` (when two spellings are one value), `sources`
(what entered the run), `pools` (where it is searched), `seen` (what is said of a call's arguments).
"""

from __future__ import annotations

from guardrail.provenance.seen import Seen
from guardrail.provenance.sources import Source, Vouching

__all__ = ["Seen", "Source", "Vouching"]
