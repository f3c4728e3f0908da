"""Validators of guardrails-ai as checks of outputs, in a process of their own.

    [outputs.check.short]
    use = "guardrails-ai"
    limit = "10s"
    [[outputs.check.short.options.validators]]
    use = "guardrails_ai.valid_length:ValidLength"
    arguments = { max = 500 }

They run in a worker process: what they import, print, leak or crash stays there. Needs the extra `guardrails-ai`, here
or in an environment of its own (option `python`).
"""

from guardrail_validators.check import GuardrailsValidators, Validator, guardrails_ai
from guardrail_validators.process import Worker, WorkerError

__all__ = ["GuardrailsValidators", "Validator", "Worker", "WorkerError", "guardrails_ai"]
