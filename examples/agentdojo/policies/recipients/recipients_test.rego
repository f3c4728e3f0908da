package guardrail.rules.recipients_test

import data.guardrail.rules.recipients

settings := {"invite": ["people"], "share": ["email"]}

said(tool, arguments) := rules if {
	given := {"tool": {"name": tool}, "arguments": arguments}
	rules := {reason.rule | some reason in recipients.ask} with input as given with data.settings.recipients as settings
}

test_somebody_named_is_asked_for if {
	said("invite", {"people": ["ann@example.com"], "title": "Lunch"}) == {"recipients.named"}
	said("share", {"email": "ann@example.com"}) == {"recipients.named"}
}

test_nobody_named_is_not if {
	said("invite", {"people": [], "title": "Lunch"}) == set()
	said("invite", {"people": null, "title": "Lunch"}) == set()
	said("share", {"email": ""}) == set()
}

test_a_tool_without_recipients_is_not if {
	said("note", {"people": ["ann@example.com"]}) == set()
}
