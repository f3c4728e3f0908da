package tests.outputs

import data.guardrail.rules.outputs

check(name, verdict, findings) := {
	"name": name, "version": "1", "verdict": verdict, "required": true, "message": "because", "score": null,
	"findings": findings,
}

finding := {"kind": "aws_key", "at": "/content/3", "start": 10, "end": 30}

returned(checks) := {"point": "output", "output": {"content": "x", "bytes": 1, "sink": "agent", "trust": "untrusted", "checks": checks}}

rules(reasons) := {reason.rule | some reason in reasons}

said(given, failed) := {"deny": deny, "ask": ask, "allow": allow} if {
	deny := rules(outputs.deny) with input as given with data.settings as {"outputs": {"failed": failed}}
	ask := rules(outputs.ask) with input as given with data.settings as {"outputs": {"failed": failed}}
	allow := rules(outputs.allow) with input as given with data.settings as {"outputs": {"failed": failed}}
}

passed := {"deny": set(), "ask": set(), "allow": {"outputs.passed"}}

test_without_checks_all_passes if {
	said(returned([]), {}) == passed
}

test_what_passes_is_handed_on if {
	said(returned([check("secrets", "pass", []), check("size", "skipped", [])]), {}) == passed
}

test_what_was_found_is_blanked if {
	given := returned([check("secrets", "fail", [finding]), check("personal", "fail", [finding]), check("size", "pass", [])])
	said(given, {}) == {"deny": set(), "ask": set(), "allow": {"outputs.redacted"}}
	expected := {{
		"rule": "outputs.redacted",
		"message": "what these checks found is blanked: personal, secrets",
		"obligations": {"redact": ["personal", "secrets"]},
	}}
	outputs.allow == expected with input as given
}

test_what_fails_without_saying_where_is_withheld if {
	given := returned([check("size", "fail", [])])
	said(given, {}) == {"deny": {"outputs.failed"}, "ask": set(), "allow": {"outputs.passed"}}
	said(given, {"size": "redact"}) == {"deny": {"outputs.failed"}, "ask": set(), "allow": {"outputs.passed"}}
}

test_the_owner_says_what_happens_with_what_fails if {
	given := returned([check("secrets", "fail", [finding])])
	said(given, {"secrets": "allow"}) == passed
	said(given, {"secrets": "ask"}) == {"deny": set(), "ask": {"outputs.asked"}, "allow": {"outputs.passed"}}
	every word in ["deny", "Redact", "", null, true, 5, ["redact"]] {
		said(given, {"secrets": word}) == {"deny": {"outputs.failed"}, "ask": set(), "allow": {"outputs.passed"}}
	}
}

test_a_required_check_that_could_not_look_lets_nothing_pass if {
	every verdict in ["error", "", null, "Pass"] {
		given := returned([check("secrets", verdict, [])])
		said(given, {"secrets": "allow"}).deny == {"outputs.unchecked"}
	}
}

test_one_that_is_not_required_does if {
	given := returned([object.union(check("secrets", "error", []), {"required": false})])
	said(given, {}) == passed
}

test_calls_are_for_other_rules if {
	given := object.union(returned([check("secrets", "error", []), check("size", "fail", [])]), {"point": "action"})
	said(given, {}) == {"deny": set(), "ask": set(), "allow": set()}
	said({"point": "action", "output": null}, {}) == {"deny": set(), "ask": set(), "allow": set()}
}
