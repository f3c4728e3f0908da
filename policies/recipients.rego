# METADATA
# title: Recipients
# description: >-
#   Whether a recipient, as the facts show it, is among those that a list names: as it is written in normal form
#   ("anna@example.com"), or everybody at a domain ("*@example.com").
# scope: package
package guardrail.recipients

among(recipient, patterns) if {
	is_array(patterns)
	recipient.normal in patterns
}

among(recipient, patterns) if {
	is_array(patterns)
	recipient.kind == "email"
	sprintf("*@%s", [recipient.domain]) in patterns
}
