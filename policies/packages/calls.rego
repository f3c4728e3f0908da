# METADATA
# title: Packages that a call would install
# scope: package
package guardrail.named.calls

packages contains found if {
	input.point == "action"
	some found in input.facts.packages
}
