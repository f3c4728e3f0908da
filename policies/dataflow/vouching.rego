# METADATA
# title: Vouching
# description: >-
#   Whether what the user said and what trusted tools returned vouch for all that a call does. Free words the model may
#   write itself, so that nobody has to vouch for them; quoting is another matter.
# scope: package
package guardrail.vouching

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
	is_short(argument)
}

# METADATA
# title: What others get to see
contents contains content.argument if some content in input.facts.contents

# METADATA
# title: What decides who gets what
reaching contains recipient.argument if some recipient in input.facts.recipients

reaching contains money.argument if some money in input.facts.money

reaching contains url.argument if some url in input.facts.urls

# METADATA
# title: What decides what is done
# description: Also where nobody has declared it, and an argument only looks like it.
consequential contains argument if some argument in reaching

consequential contains fact.argument if some fact in input.facts.paths

consequential contains fact.argument if some fact in input.facts.commands

consequential contains fact.argument if some fact in input.facts.sql

consequential contains fact.argument if some fact in input.facts.packages

consequential contains fact.argument if some fact in input.facts.guessed.paths

consequential contains fact.argument if some fact in input.facts.guessed.urls

consequential contains fact.argument if some fact in input.facts.guessed.commands

consequential contains fact.argument if some fact in input.facts.guessed.sql

consequential contains fact.argument if some fact in input.facts.guessed.packages

is_short(argument) if {
	value := object.get(input.arguments, trim_prefix(argument, "/"), "a member of a list, or of an object in it")
	beginning := substring(sprintf("%v", [value]), 0, 3)
	count(split(beginning, "")) < 3
}

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
#   All that decides what is done is vouched for; where nothing says what an argument decides, every leaf is. Nothing but free
#   words comes out of an untrusted output, and those only where the user named who gets them.
unattended if {
	data.guardrail.dataflow.vouched == "allow"
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

quotes_are_fine if {
	count(quoting) == 0
	count(linking) == 0
}

# METADATA
# title: An untrusted output may be behind a link in free words
# description: It is its own, or the words quote one and nobody vouches for the link.
is_foreign(_, link) if provenance.trust_of_link(link.url) == "untrusted"

is_foreign(content, link) if {
	provenance.trust(content.argument) == "untrusted"
	not is_vouched_for(link)
}

is_vouched_for(link) if provenance.trust_of_link(link.url) in {"user", "trusted"}

linking contains content.argument if {
	some content in input.facts.contents
	some link in content.links
	is_foreign(content, link)
}

quotes_are_fine if {
	count(reaching) > 0
	count(linking) == 0
	every argument in reaching {
		provenance.trust(argument) == "user"
	}
}
