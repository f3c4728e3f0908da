# METADATA
# title: Recipients
# description: >-
#   A tool that stays here by itself may still reach others through an argument that names them: the participants of an
#   event, the person whom a file is shared with. settings.recipients says which argument of which tool; where one
#   names somebody, a person is asked.
# scope: package
package guardrail.rules.recipients

import data.guardrail.settings

# METADATA
# title: What reaches others waits for a person
# custom:
#   rule: recipients.named
#   atlas: [AML.T0086]
ask contains object.union(settings.approval, {
	"rule": "recipients.named",
	"message": sprintf("%s names who else gets to see it", [argument]),
	"fix": "leave it empty, or ask the user",
}) if {
	some argument in arguments
	some value in [input.arguments[argument]]
	named(value)
}

default arguments := []

arguments := data.settings.recipients[input.tool.name]

named(value) if {
	is_string(value)
	value != ""
}

named(value) if {
	is_array(value)
	count(value) > 0
}
