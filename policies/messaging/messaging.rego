# METADATA
# title: Messaging
# description: >-
#   Who gets to see something. Whoever the owner has not listed waits for a person or is refused, many at once wait for a
#   person, and so does personal data on its way to somebody who is not listed.
# custom:
#   decides: recipients (arguments of the kind `recipient`), and personal data in what is sent
# scope: package
package guardrail.rules.messaging

import data.guardrail.recipients

# METADATA
# title: Somebody who is not listed waits for a person
# custom:
#   rule: messaging.stranger
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "messaging.stranger",
	"message": sprintf("%s is not a listed recipient", [recipient.value]),
	"fix": "write to somebody whom the owner has listed under settings.messaging.recipients, or ask the user",
}) if {
	data.guardrail.messaging.strangers == "ask"
	some recipient in strangers
}

# METADATA
# title: Somebody who is not listed is refused, where the owner says so
# custom:
#   rule: messaging.stranger
#   atlas: [AML.T0086]
deny contains {
	"rule": "messaging.stranger",
	"message": sprintf("%s is not a listed recipient", [recipient.value]),
	"fix": "write to somebody whom the owner has listed under settings.messaging.recipients",
} if {
	data.guardrail.messaging.strangers != "ask"
	some recipient in strangers
}

# METADATA
# title: Many at once wait for a person
# custom:
#   rule: messaging.many
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "messaging.many",
	"message": sprintf("the call reaches %d recipients at once", [count(reached)]),
	"fix": "write to fewer, or ask the user",
}) if {
	count(reached) > 0
	not few
}

# METADATA
# title: Personal data for somebody who is not listed waits for a person
# custom:
#   rule: messaging.personal
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "messaging.personal",
	"message": sprintf("%s holds personal data (%s), and %s is not a listed recipient", [
		found.argument, found.kind, recipient.value,
	]),
	"fix": "leave the personal data out, or ask the user",
}) if {
	some recipient in strangers
	some found in input.facts.secrets
	found.category == "personal"
	found.argument != recipient.argument
}

reached contains recipient.normal if {
	some recipient in input.facts.recipients
	input.point == "action"
}

few if {
	is_number(data.guardrail.messaging.most)
	count(reached) <= data.guardrail.messaging.most
}

strangers contains {"value": recipient.value, "argument": recipient.argument} if {
	some recipient in input.facts.recipients
	not recipients.among(recipient, data.guardrail.messaging.recipients)
	input.point == "action"
}
