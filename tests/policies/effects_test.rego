package tests.effects

import data.guardrail.rules.effects

call(effect, urls) := {"point": "action", "tool": {"effect": effect}, "facts": {"urls": urls}}

url(host) := {"host": host}

rules(reasons) := {reason.rule | some reason in reasons}

test_reading_is_allowed if {
	rules(effects.allow) == {"effects.read"} with input as call("read", [url("example.com")])
	count(effects.ask) == 0 with input as call("read", [url("example.com")])
}

test_writing_here_is_allowed if {
	rules(effects.allow) == {"effects.write"} with input as call("write", [])
	count(effects.ask) == 0 with input as call("write", [])
}

test_writing_outside_asks if {
	given := call("write", [url("b.example"), url("a.example")])
	expected := {{
		"rule": "effects.outward",
		"message": "the tool writes to a.example, b.example",
		"fix": "write to a host that the owner has listed under settings.hosts",
	}}
	effects.ask == expected with input as given
	count(effects.allow) == 0 with input as given
}

test_writing_to_a_listed_host_is_allowed if {
	given := call("write", [url("api.example.com"), url("db.internal")])
	settings := {"hosts": ["*.example.com"], "private_hosts": ["db.internal"]}
	rules(effects.allow) == {"effects.write"} with input as given with data.settings as settings
}

test_one_stranger_among_listed_hosts_asks if {
	given := call("write", [url("api.example.com"), url("evil.example")])
	rules(effects.ask) == {"effects.outward"} with input as given with data.settings as {"hosts": ["*.example.com"]}
	count(effects.allow) == 0 with input as given with data.settings as {"hosts": ["*.example.com"]}
}

test_what_cannot_be_undone_asks if {
	rules(effects.ask) == {"effects.irreversible"} with input as call("irreversible", [])
	count(effects.allow) == 0 with input as call("irreversible", [])
}

test_an_effect_that_nobody_knows_asks if {
	every effect in ["", "READ", null, 1, true, ["read"]] {
		rules(effects.ask) == {"effects.irreversible"} with input as call(effect, [])
		count(effects.allow) == 0 with input as call(effect, [])
	}
}

test_who_is_asked_is_data if {
	approval := {"approvers": ["user:anna", "user:ben"], "quorum": 2, "expires_in": "1h", "rule": "mine"}
	some reason in effects.ask with input as call("irreversible", []) with data.settings.approval as approval
	object.remove(reason, ["message", "fix"]) == {
		"rule": "effects.irreversible",
		"approvers": ["user:anna", "user:ben"],
		"quorum": 2,
		"expires_in": "1h",
	}
}
