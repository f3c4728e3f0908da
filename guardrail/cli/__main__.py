"""`python -m guardrail.cli` is `guardrail`."""

from guardrail.cli import main

main()
