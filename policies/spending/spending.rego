# METADATA
# title: Spending
# description: >-
#   Amounts against the limits of the owner, exactly, in the currency that is written. Until there is a limit for a currency,
#   spending in it waits for a person. Budgets of an agent's boundary come on top: no race gets past those.
# custom:
#   decides: amounts (arguments of the kind `money`), and what the run has spent
# scope: package
package guardrail.rules.spending

import data.guardrail.settings
import data.guardrail.spending

# METADATA
# title: An amount without a limit waits for a person
# custom:
#   rule: spending.unlisted
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(settings.approval, {
	"rule": "spending.unlisted",
	"message": sprintf("there is no limit for spending %s %s", [amount.amount, amount.currency]),
	"fix": "use a currency for which the owner has set a limit under settings.spending.limits",
}) if {
	some amount in spent
	not listed(amount.currency)
}

# METADATA
# title: A large amount waits for a person
# custom:
#   rule: spending.large
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(settings.approval, {
	"rule": "spending.large",
	"message": sprintf("%s %s is more than may be spent without asking", [amount.amount, amount.currency]),
	"fix": "stay within the limit, or ask the user whether less would do",
}) if {
	some amount in limited
	not within(amount.millionths, amount.ask_over)
}

# METADATA
# title: An amount above the limit is refused
# custom:
#   rule: spending.limit
#   atlas: [AML.T0053, AML.T0101]
deny contains {
	"rule": "spending.limit",
	"message": sprintf("%s %s is above the limit", [amount.amount, amount.currency]),
	"fix": "stay within the limit; the owner can raise it under settings.spending.limits",
} if {
	some amount in limited
	amount.deny_over != "none"
	not within(amount.millionths, amount.deny_over)
}

# METADATA
# title: An amount is more than nothing
# custom:
#   rule: spending.negative
#   atlas: [AML.T0053, AML.T0101]
deny contains {
	"rule": "spending.negative",
	"message": sprintf("%s is no amount to spend", [amount.amount]),
	"fix": "give an amount above zero",
} if {
	some amount in spent
	amount.millionths <= 0
}

# METADATA
# title: Once much was spent, somebody looks
# custom:
#   rule: spending.budget
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(settings.approval, {
	"rule": "spending.budget",
	"message": sprintf("the budget %s is used up beyond %v", [name, limit]),
	"fix": "tell the user what was spent, and ask how to go on",
}) if {
	count(spent) > 0
	some name, limit in spending.budgets
	used := object.get(input.usage, ["spent", name], 0)
	not within(used, limit)
}

# What a call would spend: a tool that reads spends nothing.
spent contains {"amount": money.amount, "currency": money.currency, "millionths": money.millionths} if {
	some money in input.facts.money
	input.tool.effect != "read"
	input.point == "action"
}

# The same beside each limit that speaks of it.
limited contains {
	"amount": spend.amount, "currency": spend.currency, "millionths": spend.millionths,
	"ask_over": object.get(limit, "ask_over", null), "deny_over": object.get(limit, "deny_over", "none"),
} if {
	some spend in spent
	some limit in spending.limits
	object.get(limit, "currency", "") == spend.currency
	object.get(limit, "tool", tool) == tool
}

listed(currency) if {
	some spend in limited
	spend.currency == currency
}

tool := concat("/", [input.tool.server, input.tool.name])

within(millionths, most) if {
	is_number(most)
	is_number(millionths)
	millionths <= most * 1000000
}
