# METADATA
# title: Settings of the pack messaging
# description: >-
#   Of the bundle's data: {"settings": {"messaging": {"recipients": ["*@example.com", "ann@partner.example"]}}}.
# scope: package
package guardrail.messaging

# METADATA
# title: Who may be written to without asking
# description: As the facts show it in normal form ("ann@partner.example"), or a domain ("*@example.com").
default recipients := []

recipients := data.settings.messaging.recipients

# METADATA
# title: What happens with everybody else
# description: '"ask" or "deny".'
default strangers := "ask"

strangers := data.settings.messaging.strangers

# METADATA
# title: How many one call may reach without asking
default most := 10

most := data.settings.messaging.most
