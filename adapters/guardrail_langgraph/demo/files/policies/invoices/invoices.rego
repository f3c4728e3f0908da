# METADATA
# title: Invoices
# description: >-
#   What the agents of this folder may do by themselves: read, take notes, and pay small amounts. Everything else that
#   changes the world waits for a person. The other packs here come with guardrail; this one is yours to change.
# scope: package
package guardrail.rules.invoices

# METADATA
# title: Reading is allowed
# custom:
#   rule: invoices.read
allow contains {
	"rule": "invoices.read",
	"message": "the tool only reads",
} if {
	input.tool.effect == "read"
}

# METADATA
# title: Notes may be written
# custom:
#   rule: invoices.notes
allow contains {
	"rule": "invoices.notes",
	"message": "the agent takes a note",
} if {
	input.tool.name == "write_file"
	not outside_of_notes
}

# METADATA
# title: Nothing but notes is written
# custom:
#   rule: invoices.notes_only
deny contains {
	"rule": "invoices.notes_only",
	"message": sprintf("%s is not among the notes", [path.raw]),
	"fix": "write below workspace/notes",
} if {
	input.tool.name == "write_file"
	some path in input.facts.paths
	not "workspace/notes" in path.inside
}

# METADATA
# title: Sending anything out waits for a person
# custom:
#   rule: invoices.post
ask contains {
	"rule": "invoices.post",
	"message": "the agent sends text to another server",
	"fix": "report it to the user instead",
} if {
	input.tool.name == "http_post"
}

# METADATA
# title: Small payments are allowed
# custom:
#   rule: invoices.small_payment
allow contains {
	"rule": "invoices.small_payment",
	"message": "the amount is small",
} if {
	input.tool.name == "send_money"
	small
}

# METADATA
# title: Large payments wait for a person
# custom:
#   rule: invoices.large_payment
ask contains {
	"rule": "invoices.large_payment",
	"message": sprintf("a person approves every payment of more than EUR %d", [small_cents / 100]),
	"fix": "wait for the person",
	"quorum": 1,
	"expires_in": "15m",
} if {
	input.tool.name == "send_money"
	not small
}

# METADATA
# title: Whatever else cannot be undone waits for a person
# custom:
#   rule: invoices.irreversible
ask contains {
	"rule": "invoices.irreversible",
	"message": "the tool does what cannot be undone",
} if {
	input.tool.effect == "irreversible"
	input.tool.name != "send_money"
}

outside_of_notes if {
	some path in input.facts.paths
	not "workspace/notes" in path.inside
}

small if {
	is_number(input.arguments.amount_cents)
	input.arguments.amount_cents > 0
	input.arguments.amount_cents <= small_cents
}

default small_cents := 10000

small_cents := data.settings.small_cents
