"""Proofs: how checkpoints are signed, and where they are kept so that nobody can take one back.

What verifies them is `guardrail.verifier`; what they are made of is in the ledger.
"""
