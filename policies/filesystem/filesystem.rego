# METADATA
# title: Filesystem
# description: >-
#   Paths are judged where they lead, links followed. Outside of every folder of the agent nothing is touched, what
#   configures agents and their guard is not written, and what holds credentials is not read without a person.
# custom:
#   decides: paths, where they lead
# scope: package
package guardrail.rules.filesystem

# METADATA
# title: Nothing outside of the agent's folders
# custom:
#   rule: filesystem.outside
#   atlas: [AML.T0053]
deny contains {
	"rule": "filesystem.outside",
	"message": sprintf("%s is outside of every folder of this agent", [path.raw]),
	"fix": "use a path inside one of the agent's folders",
} if {
	some path in input.facts.paths
	count(path.inside) == 0
	input.point == "action"
}

# METADATA
# title: What configures agents, version control or the guard is not written
# custom:
#   rule: filesystem.protected
#   atlas: [AML.T0081, AML.T0101]
deny contains {
	"rule": "filesystem.protected",
	"message": sprintf("%s is protected (%s)", [path.raw, part]),
	"fix": "write somewhere else; the owner changes such files by hand",
} if {
	some path in touched
	input.tool.effect != "read"
	some part in split(path.resolved, "/")
	named(part, data.guardrail.settings.protected)
	input.point == "action"
}

# METADATA
# title: What holds credentials waits for a person
# custom:
#   rule: filesystem.credentials
#   atlas: [AML.T0053, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "filesystem.credentials",
	"message": sprintf("%s may hold credentials (%s)", [path.raw, part]),
	"fix": "work without the credentials; the tools have their own",
}) if {
	some path in touched
	some part in split(path.resolved, "/")
	named(part, data.guardrail.settings.credentials)
	input.point == "action"
}

# Paths in arguments that nobody declared, too.
touched contains {"raw": path.raw, "resolved": path.resolved} if some path in input.facts.paths

touched contains {"raw": path.raw, "resolved": path.resolved} if some path in input.facts.guessed.paths

# Whether a name is on a list, whatever its case: on many file systems `.GIT` is `.git`. What is no list names everything.
named(_, names) if not is_array(names)

named(part, names) if {
	is_array(names)
	some name in names
	lower(part) == lower(name)
}

named(part, names) if {
	is_array(names)
	some name in names
	endswith(name, "*")
	startswith(lower(part), lower(trim_suffix(name, "*")))
}
