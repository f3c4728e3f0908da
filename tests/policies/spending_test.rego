package tests.spending

import data.guardrail.rules.spending

money(amount, currency) := {
	"argument": "/amount", "raw": amount, "amount": amount, "millionths": to_number(amount) * 1000000, "currency": currency,
}

paying(found) := {
	"point": "action", "tool": {"server": "bank", "name": "send_money", "effect": "irreversible"},
	"facts": {"money": found}, "usage": {"spent": {"payer: payments per day": 250000000}},
}

limits := {"spending": {"limits": [{"currency": "EUR", "ask_over": 100, "deny_over": 5000}, {"currency": "USD"}]}}

rules(reasons) := {reason.rule | some reason in reasons}

said(given, settings) := {"deny": deny, "ask": ask} if {
	deny := rules(spending.deny) with input as given with data.settings as settings
	ask := rules(spending.ask) with input as given with data.settings as settings
}

test_without_an_amount_there_is_nothing_to_say if {
	said(paying([]), {}) == {"deny": set(), "ask": set()}
	said(object.remove(paying([]), ["facts"]), {}) == {"deny": set(), "ask": set()}
}

test_without_a_limit_every_amount_asks if {
	given := paying([money("5", "EUR")])
	said(given, {}) == {"deny": set(), "ask": {"spending.unlisted"}}
	said(paying([money("5", "CHF")]), limits) == {"deny": set(), "ask": {"spending.unlisted"}}
	expected := {{
		"rule": "spending.unlisted",
		"message": "there is no limit for spending 5 EUR",
		"fix": "use a currency for which the owner has set a limit under settings.spending.limits",
	}}
	spending.ask == expected with input as given
}

test_up_to_the_limit_nobody_is_asked if {
	said(paying([money("100", "EUR")]), limits) == {"deny": set(), "ask": set()}
}

test_above_it_somebody_is if {
	said(paying([money("100.01", "EUR")]), limits) == {"deny": set(), "ask": {"spending.large"}}
}

test_without_ask_over_everything_asks_and_nothing_is_too_much if {
	said(paying([money("1", "USD")]), limits) == {"deny": set(), "ask": {"spending.large"}}
	said(paying([money("1000000", "USD")]), limits) == {"deny": set(), "ask": {"spending.large"}}
}

test_far_above_it_is_refused if {
	said(paying([money("5000.01", "EUR")]), limits) == {"deny": {"spending.limit"}, "ask": {"spending.large"}}
}

at(place, found) := object.union(found, {"argument": place})

test_the_amounts_of_a_call_count_together if {
	two := paying([at("/a", money("60", "EUR")), at("/b", money("60", "EUR")), at("/c", money("60", "USD"))])
	{reason.message | some reason in spending.ask; reason.rule == "spending.large"} == {
		"120 EUR is more than may be spent without asking", "60 USD is more than may be spent without asking",
	} with input as two with data.settings as limits
	many := paying([at(sprintf("/%d", [number]), money("99", "EUR")) | some number in numbers.range(1, 100)])
	said(many, limits) == {"deny": {"spending.limit"}, "ask": {"spending.large"}}
}

test_a_limit_with_a_field_that_means_nothing_refuses if {
	misspelt := {"spending": {"limits": [{"currency": "EUR", "ask_over": 100, "deny_ovr": 5000}]}}
	said(paying([money("1", "EUR")]), misspelt) == {"deny": {"spending.settings"}, "ask": set()}
	said(paying([]), misspelt) == {"deny": set(), "ask": set()}
}

test_one_amount_of_several_is_enough if {
	said(paying([money("1", "EUR"), money("6000", "EUR")]), limits).deny == {"spending.limit"}
}

test_a_limit_of_one_tool_is_no_other_tools if {
	own := {"spending": {"limits": [{"currency": "EUR", "ask_over": 100, "tool": "bank/send_money"}]}}
	other := {"spending": {"limits": [{"currency": "EUR", "ask_over": 100, "tool": "shop/buy"}]}}
	said(paying([money("5", "EUR")]), own) == {"deny": set(), "ask": set()}
	said(paying([money("5", "EUR")]), other) == {"deny": set(), "ask": {"spending.unlisted"}}
}

test_nothing_and_less_is_refused if {
	said(paying([money("0", "EUR")]), limits).deny == {"spending.negative"}
	said(paying([money("-5", "EUR")]), limits).deny == {"spending.negative"}
}

test_beyond_a_budget_somebody_looks if {
	reached := object.union(limits, {"spending": {"budgets": {"payer: payments per day": 249}}})
	within := object.union(limits, {"spending": {"budgets": {"payer: payments per day": 250}}})
	said(paying([money("5", "EUR")]), reached) == {"deny": set(), "ask": {"spending.budget"}}
	said(paying([money("5", "EUR")]), within) == {"deny": set(), "ask": set()}
	said(paying([]), reached) == {"deny": set(), "ask": set()}
}

test_a_limit_that_is_no_number_lets_nothing_through if {
	every wrong in [null, true, "100", [], {}] {
		given := paying([money("5", "EUR")])
		said(given, {"spending": {"limits": [{"currency": "EUR", "ask_over": wrong}]}}).ask == {"spending.large"}
		said(given, {"spending": {"limits": [{"currency": "EUR", "ask_over": 9, "deny_over": wrong}]}}).deny == {"spending.limit"}
		said(given, object.union(limits, {"spending": {"budgets": {"payer: payments per day": wrong}}})).ask == {"spending.budget"}
	}
}

test_a_tool_that_reads_spends_nothing if {
	given := object.union(paying([money("-5", "EUR")]), {"tool": {"effect": "read"}})
	said(given, limits) == {"deny": set(), "ask": set()}
}

test_outputs_are_for_other_rules if {
	given := object.union(paying([money("-5", "EUR")]), {"point": "output"})
	said(given, limits) == {"deny": set(), "ask": set()}
}
