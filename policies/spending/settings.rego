# METADATA
# title: Settings of the pack spending
# description: >-
#   Of the bundle's data: {"settings": {"spending": {"limits": [{"currency": "EUR", "ask_over": 100, "deny_over": 5000}]}}}.
# scope: package
package guardrail.spending

# METADATA
# title: How much a call may spend
# description: >-
#   In each `currency` ("" = none is written) people are asked above `ask_over`, and above `deny_over` nobody is; left
#   out, everything is asked for and nothing is too much. With a `tool` ("bank/send_money") it holds for that tool only.
default limits := []

limits := data.settings.spending.limits

# METADATA
# title: Above what a budget of the run is looked at by a person
# description: "The budget as listings show it, to whole units: `payer: payments per day` to 250."
default budgets := {}

budgets := data.settings.spending.budgets
