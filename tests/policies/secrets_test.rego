package tests.secrets

import data.guardrail.rules.secrets

call(effect, found) := {"point": "action", "tool": {"effect": effect}, "facts": {"secrets": found}}

found(category) := {"argument": "/note", "kind": "github_token", "category": category, "start": 0, "end": 40}

test_no_secret_is_fine if {
	count(secrets.ask) == 0 with input as call("write", [])
}

test_a_secret_on_its_way_out_asks if {
	expected := {{
		"rule": "secrets.outward",
		"message": "/note holds a secret (github_token)",
		"fix": "leave the secret out; the tools have credentials of their own",
	}}
	every effect in ["write", "irreversible", ""] {
		secrets.ask == expected with input as call(effect, [found("secret")])
	}
}

test_a_tool_that_reads_may_have_it if {
	count(secrets.ask) == 0 with input as call("read", [found("secret")])
}

test_a_tool_that_reads_takes_none_along if {
	every led in [
		{"urls": [{"host": "a.example"}]}, {"recipients": [{"normal": "a"}]}, {"contents": [{"characters": 1}]},
		{"guessed": {"urls": [{"host": "a.example"}]}},
	] {
		none := {"urls": [], "recipients": [], "contents": [], "guessed": {"urls": []}}
		given := object.union(call("read", [found("secret")]), {"facts": object.union(none, led)})
		count(secrets.ask) == 1 with input as given
	}
}

test_personal_data_is_for_other_rules if {
	count(secrets.ask) == 0 with input as call("write", [found("personal")])
}
