# METADATA
# title: Outputs
# description: >-
#   What a tool returned, before an agent reads it, and what an agent answers, before the user does. It passes where the checks
#   that were asked for let it; what a check found is blanked, and a check that is required and could not look lets
#   nothing pass.
# custom:
#   decides: the results of the checks of [outputs]
# scope: package
package guardrail.rules.outputs

# METADATA
# title: What no check objects to is handed on
# custom:
#   rule: outputs.passed
#   atlas: [AML.T0057]
allow contains {
	"rule": "outputs.passed",
	"message": "no check objects to it",
} if {
	input.point == "output"
	count(blanked) == 0
}

# METADATA
# title: What checks found is blanked
# custom:
#   rule: outputs.redacted
#   atlas: [AML.T0057]
allow contains {
	"rule": "outputs.redacted",
	"message": sprintf("what these checks found is blanked: %s", [concat(", ", blanked)]),
	"obligations": {"redact": [name | some name in blanked]},
} if {
	input.point == "output"
	count(blanked) > 0
}

# METADATA
# title: What a check objects to waits for a person, where the owner says so
# custom:
#   rule: outputs.asked
#   atlas: [AML.T0057]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "outputs.asked",
	"message": sprintf("the check %s objects: %s", [check.name, check.message]),
	"fix": "go on without it, or ask the user",
}) if {
	some check in objecting
	said(check.name) == "ask"
}

# METADATA
# title: What a check objects to is withheld
# custom:
#   rule: outputs.failed
#   atlas: [AML.T0057]
deny contains {
	"rule": "outputs.failed",
	"message": sprintf("the check %s objects: %s", [check.name, check.message]),
	"fix": "go on without it; the owner can say under settings.outputs.failed what happens then",
} if {
	some check in objecting
	not said(check.name) in {"ask", "allow"}
	not check.name in blanked
}

# METADATA
# title: Where a required check could not look, nothing is handed on
# custom:
#   rule: outputs.unchecked
#   atlas: [AML.T0057]
deny contains {
	"rule": "outputs.unchecked",
	"message": sprintf("the check %s could not look: %s", [check.name, check.message]),
	"fix": "try again later, or go on without it",
} if {
	some check in unanswered
}

# METADATA
# title: A package that is found against is not told to the user
# description: As in the pack `packages`; a name that does not exist, above all.
# custom:
#   rule: packages.missing
#   atlas: [AML.T0053]
deny contains reason if {
	input.point == "output"
	data.guardrail.outputs.packages != "pass"
	some reason in data.guardrail.packages.refused
}

# METADATA
# title: A package that is doubted waits for a person before the user is told
# custom:
#   rule: packages.near
#   atlas: [AML.T0053]
ask contains object.union(data.guardrail.settings.approval, reason) if {
	input.point == "output"
	data.guardrail.outputs.packages != "pass"
	some reason in data.guardrail.packages.asked
}

# METADATA
# title: More packages than can be looked up wait for a person
# custom:
#   rule: outputs.packages
#   atlas: [AML.T0053]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "outputs.packages",
	"message": "it names more packages than can be looked up",
	"fix": "say less at once",
}) if {
	input.point == "output"
	data.guardrail.outputs.packages != "pass"
	input.output.packages_complete == false
}

objecting contains {"name": check.name, "message": check.message, "findings": count(check.findings)} if {
	input.point == "output"
	some check in input.output.checks
	check.verdict == "fail"
}

# Checks that are required and did not look. One that was not asked about this output is not waited for.
unanswered contains {"name": check.name, "message": check.message} if {
	input.point == "output"
	some check in input.output.checks
	check.required
	not check.verdict in {"pass", "fail", "skipped"}
}

blanked contains check.name if {
	some check in objecting
	said(check.name) == "redact"
	check.findings > 0
}

# What happens where a check failed.
said(name) := object.get(data.guardrail.outputs.failed, name, "redact")
