"""Outputs: what tools return and agents say, checked before anybody reads it.

A check answers one question about an output: whether it holds a secret, whether it has the promised form. What follows
from the answers is a policy's to say. `run_checks` asks them all, `redacted` takes out what a policy wants nobody to
read, `checks_of` makes the checks that a configuration names.
"""

from guardrail.calls import Trust
from guardrail.outputs.check import (
    Answer,
    Check,
    CheckFactory,
    CheckResult,
    CheckVerdict,
    ConfiguredCheck,
    Finding,
)
from guardrail.outputs.choice import BUILT_IN, Wanted, checks_of, default_checks
from guardrail.outputs.output import Output, Sink, Text
from guardrail.outputs.packages import named_in
from guardrail.outputs.redaction import REDACTED, redacted
from guardrail.outputs.running import are_quick, run_checks, unlooked

__all__ = [
    "BUILT_IN",
    "REDACTED",
    "Answer",
    "Check",
    "CheckFactory",
    "CheckResult",
    "CheckVerdict",
    "ConfiguredCheck",
    "Finding",
    "Output",
    "Sink",
    "Text",
    "Trust",
    "Wanted",
    "are_quick",
    "checks_of",
    "default_checks",
    "named_in",
    "redacted",
    "run_checks",
    "unlooked",
]
