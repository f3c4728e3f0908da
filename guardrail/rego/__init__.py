"""Policies in Rego, embedded: what decides, and what is checked before it may."""

from guardrail.rego.findings import Finding
from guardrail.rego.lint import lint
from guardrail.rego.policy import RegoPolicy
from guardrail.rego.preflight import preflight
from guardrail.rego.testing import TestResult, run_rego_tests, verify_bundle

__all__ = ["Finding", "RegoPolicy", "TestResult", "lint", "preflight", "run_rego_tests", "verify_bundle"]
