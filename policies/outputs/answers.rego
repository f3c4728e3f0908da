# METADATA
# title: Packages that an answer tells the user to install
# scope: package
package guardrail.named.answers

packages contains found if {
	input.point == "output"
	some found in input.output.packages
}
