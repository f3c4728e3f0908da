# METADATA
# title: Provenance
# description: >-
#   What the labels say of the leaves of the arguments: the texts and numbers in them. A leaf without a label is one that
#   nobody knows: unknown, and not vouched for.
# scope: package
package guardrail.provenance

# METADATA
# title: Where a leaf came from
# description: '"user", "trusted", "untrusted" or "unknown".'
trust(argument) := object.get(input.labels.arguments, [argument, "trust"], "unknown")

# METADATA
# title: The leaf stands there letter by letter
# description: What was put together, or is spelt another way, may carry out what nobody wrote.
whole(argument) if object.get(input.labels.arguments, [argument, "whole"], false) == true

# METADATA
# title: Where a link inside of a content came from
trust_of_link(url) := object.get(input.labels.links, [url, "trust"], "unknown")

# METADATA
# title: The user said it, or a tool whose word is taken did
vouched(argument) if trust(argument) in {"user", "trusted"}

# METADATA
# title: The call needs no person
# description: Where the pack dataflow is picked and says so.
default unattended := false

unattended := data.guardrail.vouching.unattended
