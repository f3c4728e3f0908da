# METADATA
# title: Packages
# description: >-
#   A name that a model made up may be a package that somebody else put there, so that a name exists speaks for nothing.
#   What is missing is refused. What nobody could look up, what is young, what has appeared since somebody looked, and
#   what is named like popular packages waits for a person or is refused. What the owner has listed passes. Imports
#   install nothing. A call that names no package is not looked at any further.
# custom:
#   decides: packages that a call would install, and what registries say of them
# scope: package
package guardrail.rules.packages

# METADATA
# title: What is found against packages, and refused
# custom:
#   atlas: [AML.T0053]
deny contains reason if {
	input.point == "action"
	some named in [input.facts.packages, input.facts.guessed.packages]
	count(named) > 0
	some reason in data.guardrail.packages.refused
}

# METADATA
# title: What is found against packages, and waits for a person
# custom:
#   atlas: [AML.T0053]
ask contains object.union(data.guardrail.settings.approval, reason) if {
	input.point == "action"
	count(input.facts.packages) > 0
	some reason in data.guardrail.packages.asked
}
