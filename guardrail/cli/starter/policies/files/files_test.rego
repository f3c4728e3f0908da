# Run with `guardrail test`. A test is a rule test_*; it passes where it is true.
package tests.files

import data.guardrail.rules.files

call(effect, path) := {
	"tool": {"effect": effect},
	"facts": {"paths": [{"raw": path, "resolved": concat("/", ["/home/me/workspace", path])}]},
}

said(reasons) := {reason.rule | some reason in reasons}

test_reading_is_left_to_others if {
	count(files.ask) == 0 with input as call("read", "notes.txt")
	count(files.deny) == 0 with input as call("read", "notes.txt")
}

test_writing_waits_for_a_person if {
	said(files.ask) == {"files.write"} with input as call("write", "notes.txt")
}

test_secrets_stay_closed_to_readers_too if {
	said(files.deny) == {"files.secrets"} with input as call("read", ".env")
}
