"""Editions: policies as a team hands them out, read whole or refused with the reason."""

from guardrail.editions.edition import Edition, read_edition
from guardrail.editions.signatures import Algorithm, VerificationKey

__all__ = ["Algorithm", "Edition", "VerificationKey", "read_edition"]
