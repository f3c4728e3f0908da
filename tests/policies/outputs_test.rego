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

told(found) := {"point": "output", "output": {
	"content": "x", "bytes": 1, "sink": "user", "trust": "trusted", "checks": [], "packages": found,
	"packages_complete": true,
}}

# A package as facts have it that nothing speaks against, but for what is given.
package_of(name, fields) := object.union(
	{
		"ecosystem": "pypi", "name": name, "version": "", "source": "install", "raw": name, "known": true,
		"registry": "pypi", "checked": "2026-01-01T00:00:00Z", "why": "", "age_days": 4000, "releases": 9, "rank": null,
		"appeared": false, "nearest": "", "distance": null, "conflation": false, "elsewhere": [], "snapshot": "",
	},
	fields,
)

test_an_answer_that_names_what_does_not_exist_is_withheld if {
	given := told([package_of("six", {}), package_of("invented", {"known": false, "age_days": null})])
	{[reason.rule, reason.message] | some reason in outputs.deny} == {["packages.missing", "pypi/invented does not exist"]} with input as given
}

test_an_answer_that_names_what_is_doubted_waits_for_a_person if {
	near := package_of("rekwests", {"nearest": "requests", "distance": 2, "age_days": 3})
	rules(outputs.ask) == {"packages.near", "packages.young"} with input as told([near])
	unknown := package_of("six", {"known": null, "why": "pypi: it answered with 503"})
	rules(outputs.ask) == {"packages.unknown"} with input as told([unknown])
	rules(outputs.deny) == {"packages.unknown"} with input as told([unknown]) with data.settings as {"unknown_packages": "deny"}
}

test_an_answer_installs_nothing if {
	given := told([package_of("six", {})])
	count(outputs.ask) == 0 with input as given with data.settings as {"unlisted_packages": "ask"}
}

test_packages_in_answers_can_be_left_alone if {
	given := told([package_of("invented", {"known": false, "age_days": null}), package_of("six", {"known": null})])
	settings := {"outputs": {"packages": "pass"}}
	said(given, {}).deny == {"packages.missing"}
	count(outputs.deny) == 0 with input as given with data.settings as settings
	count(outputs.ask) == 0 with input as given with data.settings as settings
}

test_what_the_call_would_have_installed_is_not_judged_twice if {
	given := object.union(told([]), {"facts": {"packages": [package_of("invented", {"known": false})]}})
	count(outputs.deny) == 0 with input as given
}

test_more_packages_than_can_be_looked_up_wait_for_a_person if {
	given := object.union(told([]), {"output": {"packages_complete": false}})
	rules(outputs.ask) == {"outputs.packages"} with input as given
}

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
