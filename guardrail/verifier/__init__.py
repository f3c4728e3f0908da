"""The verifier: what a third party needs to check an exported log, or the proof of one record.

It stands alone: the standard library and `cryptography`, nothing else of guardrail, no database, no way to
write. `python -m guardrail.verifier` runs it; a copy of this folder runs as well. The rest of guardrail hashes,
reads notes and checks proofs with these same modules.

What it can say is "complete up to checkpoint N", never "complete": what came after the last checkpoint that
was signed, and kept where nobody could change it, is out of reach.
"""
