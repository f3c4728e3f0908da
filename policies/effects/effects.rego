# METADATA
# title: Effects
# description: >-
#   What a call may do by itself follows from what its tool does to the world: reading is allowed, writing is allowed
#   as long as it stays here, and what leaves or cannot be undone waits for a person. Boundaries come on top.
# custom:
#   decides: the tool's effect, and where a write leads
# scope: package
package guardrail.rules.effects

import data.guardrail.hosts

# METADATA
# title: Reading is allowed
# custom:
#   rule: effects.read
#   atlas: [AML.T0053]
allow contains {
	"rule": "effects.read",
	"message": "the tool only reads",
} if {
	input.tool.effect == "read"
	input.point == "action"
}

# METADATA
# title: Writing is allowed where it does not leave
# custom:
#   rule: effects.write
#   atlas: [AML.T0053]
allow contains {
	"rule": "effects.write",
	"message": "the tool writes, and nothing in the call leads outside",
} if {
	input.tool.effect == "write"
	count(outside) == 0
	input.point == "action"
}

# METADATA
# title: Writing to somewhere outside waits for a person
# custom:
#   rule: effects.outward
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "effects.outward",
	"message": sprintf("the tool writes to %s", [concat(", ", outside)]),
	"fix": "write to a host that the owner has listed under settings.hosts",
}) if {
	input.tool.effect == "write"
	count(outside) > 0
	input.point == "action"
}

# METADATA
# title: What cannot be undone waits for a person
# custom:
#   rule: effects.irreversible
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "effects.irreversible",
	"message": "the tool does what cannot be undone",
	"fix": "use a tool that reads or that can be undone",
}) if {
	not input.tool.effect in {"read", "write"}
	not data.guardrail.provenance.unattended
	input.point == "action"
}

outside contains url.host if {
	input.tool.effect == "write"
	some url in input.facts.urls
	not hosts.listed(url.host, data.guardrail.settings.hosts)
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}
