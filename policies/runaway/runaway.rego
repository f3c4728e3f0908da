# METADATA
# title: Runaway
# description: >-
#   An agent that is refused and goes on is stuck, or looks for a way around. After too many refusals of one tool, or in
#   one run, it is refused until a person has looked at it.
# custom:
#   decides: refusals in the history and totals of the run
# scope: package
package guardrail.rules.runaway

# METADATA
# title: A tool that was refused over and over stays refused
# custom:
#   rule: runaway.repeated
#   atlas: [AML.T0034.002]
deny contains {
	"rule": "runaway.repeated",
	"message": sprintf("%s was refused %d times in the last calls of this agent", [tool, count(refused)]),
	"fix": "stop trying, and tell the user what was refused and why",
} if {
	count(refused) >= data.guardrail.settings.repeats
	input.point == "action"
}

# METADATA
# title: A run that was refused too often stops
# custom:
#   rule: runaway.denials
#   atlas: [AML.T0034.002]
deny contains {
	"rule": "runaway.denials",
	"message": sprintf("%d calls of this run were refused", [denied]),
	"fix": "stop, and ask a person to look at this run",
} if {
	denied := object.get(input.usage, "denied", 0)
	is_number(denied)
	denied >= data.guardrail.settings.denials
	input.point == "action"
}

refused contains past.id if {
	some past in input.history
	past.outcome in {"denied", "blocked"}
	past.tool == tool
	past.agent == input.agent.id
}

tool := concat("/", [input.tool.server, input.tool.name])
