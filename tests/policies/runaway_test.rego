package tests.runaway

import data.guardrail.rules.runaway

call(history, usage) := {
	"point": "action",
	"tool": {"server": "local", "name": "send"},
	"agent": {"id": "payer"},
	"history": history,
	"usage": usage,
}

past(amount, tool, agent, outcome) := [entry |
	some i in numbers.range(1, amount)
	entry := {"id": sprintf("%s-%s-%d", [tool, agent, i]), "tool": tool, "agent": agent, "outcome": outcome}
]

rules(reasons) := {reason.rule | some reason in reasons}

test_a_fresh_run_goes_on if {
	count(runaway.deny) == 0 with input as call([], {})
}

test_a_tool_that_was_refused_five_times_stays_refused if {
	every outcome in ["denied", "blocked"] {
		given := call(past(5, "local/send", "payer", outcome), {"denied": 5})
		rules(runaway.deny) == {"runaway.repeated"} with input as given
	}
}

test_four_refusals_are_not_enough if {
	count(runaway.deny) == 0 with input as call(past(4, "local/send", "payer", "denied"), {"denied": 4})
}

test_only_refusals_of_this_tool_and_agent_count if {
	other := array.concat(past(5, "local/read", "payer", "denied"), past(5, "local/send", "writer", "denied"))
	ran := past(5, "local/send", "payer", "returned")
	count(runaway.deny) == 0 with input as call(array.concat(other, ran), {"denied": 10})
}

test_a_run_that_was_refused_too_often_stops if {
	expected := {{
		"rule": "runaway.denials",
		"message": "25 calls of this run were refused",
		"fix": "stop, and ask a person to look at this run",
	}}
	runaway.deny == expected with input as call([], {"denied": 25})
	count(runaway.deny) == 0 with input as call([], {"denied": 24})
}

test_the_limits_are_data if {
	given := call(past(2, "local/send", "payer", "denied"), {"denied": 2})
	settings := {"repeats": 2, "denials": 2}
	rules(runaway.deny) == {"runaway.repeated", "runaway.denials"} with input as given with data.settings as settings
}
