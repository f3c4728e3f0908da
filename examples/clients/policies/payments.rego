# METADATA
# title: Small payments run, larger ones are decided by people, very large ones are denied
# description: An amount that is no number above 0 is neither small nor large, and is denied.
package guardrail.rules.payments

amount := input.arguments.amount if is_number(input.arguments.amount)

small if {
	amount > 0
	amount <= 100
}

large if {
	amount > 100
	amount <= 1000
}

allow contains {"rule": "payments.small", "message": "a payment of at most 100"} if {
	input.tool.name == "pay"
	small
}

ask contains {"rule": "payments.large", "message": "payments over 100 are decided by people", "expires_in": "10m"} if {
	input.tool.name == "pay"
	large
}

deny contains {
	"rule": "payments.too_large",
	"message": "only amounts above 0 and up to 1000 are paid here",
	"fix": "pay at most 1000",
} if {
	input.tool.name == "pay"
	not small
	not large
}
