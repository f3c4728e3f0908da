"""Secrets in outputs: keys, tokens and passwords, by the forms that `facts.secrets` knows."""

from __future__ import annotations

from guardrail.facts.secrets import may_hold_secrets, secrets_in
from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output


class Secrets:
    """Fails an output that holds a secret. Kinds are those of `facts.secrets`."""

    version = "1"

    def look(self, output: Output) -> Answer:
        """Every secret, wherever it stands."""
        if not may_hold_secrets(output.body):
            return Answer()
        findings = tuple(
            Finding.within(fact["kind"], text, fact["start"], fact["end"])
            for text in output.texts
            for fact in secrets_in(text.text)
        )
        return (
            Answer(verdict="fail", message="it holds a secret", findings=findings) if findings else Answer()
        )
