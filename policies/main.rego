# METADATA
# title: The decision
# description: >-
#   Collects what every pack says. A pack is a package guardrail.rules.NAME that defines deny, ask or allow as a set
#   of {"rule", "message", "fix"?}. guardrail reads the answer: deny wins over ask, ask over allow, and silence is a deny.
# scope: package
package guardrail

# METADATA
# title: What every pack says, and what a record hides
# entrypoint: true
decision := {
	"deny": {reason | some pack in packs; some reason in pack.deny},
	"ask": {reason | some pack in packs; some reason in pack.ask},
	"allow": {reason | some pack in packs; some reason in pack.allow},
	"mask": {pointer | some pointer in data.guardrail.mask.hide},
} if {
	packs := data.guardrail.rules
}
