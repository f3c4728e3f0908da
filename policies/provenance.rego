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
# title: The user said it, or a tool whose word is taken did
vouched(argument) if trust(argument) in {"user", "trusted"}

# METADATA
# title: What others get to see
# description: Free words. The model may write them itself, so that nobody has to vouch for them; quoting is another matter.
contents contains content.argument if some content in input.facts.contents

# METADATA
# title: What decides who gets what
consequential contains recipient.argument if some recipient in input.facts.recipients

consequential contains money.argument if some money in input.facts.money

consequential contains url.argument if some url in input.facts.urls

# METADATA
# title: Leaves that stand in untrusted outputs and nowhere better, free words left out
foreign contains argument if {
	some argument, _ in input.labels.arguments
	trust(argument) == "untrusted"
	not argument in contents
}

# METADATA
# title: Free words that quote an untrusted output
quoting contains argument if {
	some argument in contents
	trust(argument) == "untrusted"
}

# METADATA
# title: What the call does follows from what the user said and from what trusted tools returned
# description: >-
#   All that decides who gets what is vouched for; where a tool has declared nothing of that, every leaf is. Nothing but free
#   words comes out of an untrusted output, and those only where the user named who gets them.
unattended if {
	some argument, _ in input.labels.arguments
	not argument in contents
	vouched(argument)
	count(loose) == 0
	count(foreign) == 0
	quotes_are_fine
}

loose contains argument if {
	some argument in consequential
	not vouched(argument)
}

loose contains argument if {
	count(consequential) == 0
	some argument, _ in input.labels.arguments
	not argument in contents
	not vouched(argument)
}

quotes_are_fine if count(quoting) == 0

quotes_are_fine if {
	count(consequential) > 0
	every argument in consequential {
		trust(argument) == "user"
	}
}
