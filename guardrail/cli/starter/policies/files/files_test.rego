# Run with `guardrail test`. A test is a rule test_*; it passes where it is true.
package guardrail.rules.files_test

import data.guardrail.rules.files

call(effect, path) := {
	"tool": {"effect": effect},
	"facts": {"paths": [{"raw": path, "resolved": concat("/", ["/home/me/workspace", path])}]},
}

said(reasons) := {reason.rule | some reason in reasons}

test_reading_is_allowed if {
	said(files.allow) == {"files.read"} with input as call("read", "notes.txt")
	count(files.ask) == 0 with input as call("read", "notes.txt")
}

test_writing_waits_for_a_person if {
	said(files.ask) == {"files.write"} with input as call("write", "notes.txt")
	count(files.allow) == 0 with input as call("write", "notes.txt")
}

test_secrets_stay_closed_to_readers_too if {
	said(files.deny) == {"files.secrets"} with input as call("read", ".env")
}
