# METADATA
# title: Packages
# description: >-
#   A name that a model made up may be a package that somebody else put there. Until the owner has listed a package,
#   installing it waits for a person. Imports alone install nothing.
# scope: package
package guardrail.rules.packages

import data.guardrail.settings

# METADATA
# title: A package that is not listed waits for a person
# custom:
#   rule: packages.install
#   atlas: [AML.T0053]
ask contains object.union(settings.approval, {
	"rule": "packages.install",
	"message": sprintf("%s would be installed, which is not a listed package", [title]),
	"fix": "use a package that the owner has listed under settings.packages",
}) if {
	some found in input.facts.packages
	found.source != "import"
	title := concat("/", [found.ecosystem, found.name])
	not title in settings.packages
}
