# METADATA
# title: Settings of the pack delegation
# description: >-
#   Of the bundle's data: {"settings": {"delegation": {"depth": 2, "apart": [["researcher", "payer"]]}}}.
# scope: package
package guardrail.delegation

# METADATA
# title: How many agents may act below the outermost one, one through the other
default depth := 3

depth := data.settings.delegation.depth

# METADATA
# title: Agents that may do on behalf of others what cannot be undone
default trusted := []

trusted := data.settings.delegation.trusted

# METADATA
# title: Agents that never act through one another
# description: 'Lists of agents; two of one list in one chain are refused, as in [["researcher", "payer"]].'
default apart := []

apart := data.settings.delegation.apart

# METADATA
# title: Tools that hand work to another agent
# description: As "server/name". What they are told is looked at for words that came out of untrusted outputs.
default tools := []

tools := data.settings.delegation.tools
