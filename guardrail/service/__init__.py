"""The approval service: the HTTP API through which people are asked, answer and halt, and its delivery.

`guardrail serve` runs it; needs the extra `serve`. Any number of instances work over one ledger.
"""

from guardrail.service.app import create_app
from guardrail.service.parts import Parts

__all__ = ["Parts", "create_app"]
