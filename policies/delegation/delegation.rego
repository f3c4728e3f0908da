# METADATA
# title: Delegation
# description: >-
#   Who acts through whom. A chain that is too deep or turns in a circle is refused, and so are agents together that are to be
#   kept apart. What cannot be undone waits for a person where an agent does it for another one, and so do orders whose
#   words came out of untrusted outputs. An agent's boundary says to whom it may delegate at all.
# custom:
#   decides: the chain of agents, the effect of the tool, and where the words of a handover came from
# scope: package
package guardrail.rules.delegation

import data.guardrail.provenance

# METADATA
# title: A chain that is too deep is refused
# custom:
#   rule: delegation.deep
#   atlas: [AML.T0053]
deny contains {
	"rule": "delegation.deep",
	"message": sprintf("%d agents act one through the other", [count(input.agent.chain)]),
	"fix": "let an agent further up make the call",
} if {
	not shallow
	input.point == "action"
}

# METADATA
# title: Nobody acts through itself
# custom:
#   rule: delegation.circle
#   atlas: [AML.T0034.002]
deny contains {
	"rule": "delegation.circle",
	"message": sprintf("%s acts through itself", [agent]),
	"fix": "finish the work, or hand the result back",
} if {
	some agent in input.agent.chain
	count([1 | some other in input.agent.chain; other == agent]) > 1
	input.point == "action"
}

# METADATA
# title: Agents that are kept apart do not act through one another
# custom:
#   rule: delegation.apart
#   atlas: [AML.T0053]
deny contains {
	"rule": "delegation.apart",
	"message": sprintf("%s are to be kept apart", [concat(" and ", together)]),
	"fix": "let an agent make the call that has nothing to do with the other one",
} if {
	some names in data.guardrail.delegation.apart
	together := {name | some name in names} & {agent | some agent in input.agent.chain}
	count(together) > 1
	input.point == "action"
}

# METADATA
# title: What cannot be undone waits for a person where an agent does it for another
# custom:
#   rule: delegation.irreversible
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "delegation.irreversible",
	"message": sprintf("%s does what cannot be undone on behalf of another agent", [input.agent.id]),
	"fix": "let the user's own agent make the call; the owner can list this one under settings.delegation.trusted",
}) if {
	count(input.agent.chain) > 1
	not input.tool.effect in {"read", "write"}
	not input.agent.id in data.guardrail.delegation.trusted
	input.point == "action"
}

# METADATA
# title: Orders that came out of untrusted outputs wait for a person
# custom:
#   rule: delegation.orders
#   atlas: [AML.T0051.001]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "delegation.orders",
	"message": sprintf("%s hands on words that came out of an untrusted output", [argument]),
	"fix": "say in your own words what is to be done, as the user asked for it",
}) if {
	sprintf("%s/%s", [input.tool.server, input.tool.name]) in data.guardrail.delegation.tools
	some argument, _ in input.labels.arguments
	provenance.trust(argument) == "untrusted"
	input.point == "action"
}

shallow if {
	is_number(data.guardrail.delegation.depth)
	count(input.agent.chain) <= data.guardrail.delegation.depth + 1
}
