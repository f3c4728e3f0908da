"""The ledger: everything that was decided, admitted and done, durably and tamper-evidently, in one SQL database."""

from guardrail.ledger.ledger import Ledger

__all__ = ["Ledger"]
