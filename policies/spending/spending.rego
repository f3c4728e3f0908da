# METADATA
# title: Spending
# description: >-
#   Amounts against the limits of the owner, exactly, in the currency that is written. Until there is a limit for a currency,
#   spending in it waits for a person. All amounts of a call in one currency count together. Budgets of an agent's boundary come on top: no race gets past those.
# custom:
#   decides: amounts (arguments of the kind `money`), and what the run has spent
# scope: package
package guardrail.rules.spending

# METADATA
# title: An amount without a limit waits for a person
# custom:
#   rule: spending.unlisted
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
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
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "spending.large",
	"message": sprintf("%s %s is more than may be spent without asking", [total.amount, total.currency]),
	"fix": "stay within the limit, or ask the user whether less would do",
}) if {
	some total in limited
	not within(total.millionths, total.ask_over)
}

# METADATA
# title: An amount above the limit is refused
# custom:
#   rule: spending.limit
#   atlas: [AML.T0053, AML.T0101]
deny contains {
	"rule": "spending.limit",
	"message": sprintf("%s %s is above the limit", [total.amount, total.currency]),
	"fix": "stay within the limit; the owner can raise it under settings.spending.limits",
} if {
	some total in limited
	total.deny_over != "none"
	not within(total.millionths, total.deny_over)
}

# METADATA
# title: A limit that says what nobody reads refuses
# description: A misspelt `deny_over` would be no limit at all.
# custom:
#   rule: spending.settings
#   atlas: [AML.T0101]
deny contains {
	"rule": "spending.settings",
	"message": sprintf("settings.spending.limits has a field %q, which means nothing", [name]),
	"fix": "tell whoever runs this system: the fields are currency, tool, ask_over and deny_over",
} if {
	count(spent) > 0
	some limit in data.guardrail.spending.limits
	some name, _ in limit
	not name in {"currency", "tool", "ask_over", "deny_over"}
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
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "spending.budget",
	"message": sprintf("the budget %s is used up beyond %v", [name, limit]),
	"fix": "tell the user what was spent, and ask how to go on",
}) if {
	count(spent) > 0
	some name, limit in data.guardrail.spending.budgets
	used := object.get(input.usage, ["spent", name], 0)
	not within(used, limit)
}

# What a call would spend, place by place: a tool that reads spends nothing.
spent contains {
	"argument": money.argument, "amount": money.amount, "currency": money.currency, "millionths": money.millionths,
} if {
	some money in input.facts.money
	input.tool.effect != "read"
	input.point == "action"
}

# All of it in one currency.
totals contains {"currency": one.currency, "millionths": sum(each), "amount": written(one, each)} if {
	some one in spent
	each := [other.millionths | some other in spent; other.currency == one.currency]
}

written(one, each) := one.amount if count(each) == 1

written(_, each) := sprintf("%v", [sum(each) / 1000000]) if count(each) > 1

# The same beside each limit that speaks of it.
limited contains {
	"amount": total.amount, "currency": total.currency, "millionths": total.millionths,
	"ask_over": object.get(limit, "ask_over", null), "deny_over": object.get(limit, "deny_over", "none"),
} if {
	some total in totals
	some limit in data.guardrail.spending.limits
	object.get(limit, "currency", "") == total.currency
	object.get(limit, "tool", tool) == tool
}

listed(currency) if {
	some total in limited
	total.currency == currency
}

tool := concat("/", [input.tool.server, input.tool.name])

within(millionths, most) if {
	is_number(most)
	is_number(millionths)
	millionths <= most * 1000000
}
