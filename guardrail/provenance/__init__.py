"""Provenance: whose words the values of a call are.

Every text and number among the arguments is looked for in what its run has seen so far: the user's own words, what
trusted tools returned, what others returned. One module a step: `forms` (when two spellings are one value), `sources`
(what entered the run), `pools` (where it is searched), `matching` (what is found of a value), `seen` (what is said of a
call's arguments). Why values are matched: `docs/adr/0009-values-are-matched.md`.
"""

from __future__ import annotations

from guardrail.provenance.seen import Seen
from guardrail.provenance.sources import Source, Vouching, values_in

__all__ = ["Seen", "Source", "Vouching", "values_in"]
