# METADATA
# title: Vouching
# description: >-
#   Whether what the user said and what trusted tools returned vouch for all that a call does. Free words the model may
#   write itself, so that nobody has to vouch for them; quoting is another matter.
# scope: package
package guardrail.vouching

import data.guardrail.dataflow
import data.guardrail.provenance

# METADATA
# title: Whose words a leaf stands in
origins(argument) := {origin.kind | some origin in listed} if {
	listed := object.get(input.labels.arguments, [argument, "origins"], [])
	is_array(listed)
}

# METADATA
# title: Vouched for, and not by way of an untrusted output
# description: >-
#   Where a trusted output has a value and an untrusted one has it too, whoever wrote that one may have picked it: an id of a
#   file in the list, a name in the directory. True it is all the same; that it is meant, nobody says. A value of one or two
#   characters stands everywhere, which says nothing.
settled(argument) if provenance.trust(argument) == "user"

settled(argument) if {
	provenance.trust(argument) == "trusted"
	kinds := origins(argument)
	not "untrusted" in kinds
}

settled(argument) if {
	provenance.trust(argument) == "trusted"
	is_set(origins(argument))
	value := object.get(input.arguments, trim_prefix(argument, "/"), "a member of a list, or of an object in it")
	count(sprintf("%v", [value])) < 3
}

# METADATA
# title: What others get to see
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
	provenance.trust(argument) == "untrusted"
	not argument in contents
}

# METADATA
# title: Free words that quote an untrusted output
quoting contains argument if {
	some argument in contents
	provenance.trust(argument) == "untrusted"
}

# METADATA
# title: The call needs no person, where the owner says so
# description: >-
#   All that decides who gets what is vouched for; where a tool has declared nothing of that, every leaf is. Nothing but free
#   words comes out of an untrusted output, and those only where the user named who gets them.
unattended if {
	dataflow.vouched == "allow"
	some argument, _ in input.labels.arguments
	not argument in contents
	settled(argument)
	count(loose) == 0
	count(foreign) == 0
	quotes_are_fine
}

loose contains argument if {
	some argument in consequential
	not settled(argument)
}

loose contains argument if {
	count(consequential) == 0
	some argument, _ in input.labels.arguments
	not argument in contents
	not settled(argument)
}

quotes_are_fine if count(quoting) == 0

# METADATA
# title: Free words with links, quoting an untrusted output
linking contains content.argument if {
	some content in input.facts.contents
	count(content.links) > 0
	content.argument in quoting
}

quotes_are_fine if {
	count(consequential) > 0
	count(linking) == 0
	every argument in consequential {
		provenance.trust(argument) == "user"
	}
}
