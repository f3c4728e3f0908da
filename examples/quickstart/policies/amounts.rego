# METADATA
# title: Small payments run, larger ones are denied
# description: Types first. Rego orders values of different types, and null <= 100 is true.
package guardrail.rules.amounts

amount := input.arguments.amount if is_number(input.arguments.amount)

small if amount <= 100

allow contains {"rule": "amounts.small", "message": "a payment of at most 100"} if {
	input.tool.name == "send_money"
	small
}

deny contains {
	"rule": "amounts.large",
	"message": "payments over 100 are made by people",
	"fix": "pay at most 100, or ask the accounting team",
} if {
	input.tool.name == "send_money"
	not small
}
