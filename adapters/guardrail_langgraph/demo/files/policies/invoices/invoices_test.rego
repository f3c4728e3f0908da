# Run with `guardrail test`. A test is a rule test_*; it passes where it is true.
package guardrail.rules.invoices_test

import data.guardrail.rules.invoices

call(tool, effect, arguments) := {
	"tool": {"name": tool, "effect": effect},
	"arguments": arguments,
	"facts": {"paths": []},
}

payment(cents) := call("send_money", "irreversible", {"account": "ACC-1", "amount_cents": cents, "memo": ""})

note(folder) := object.union(
	call("write_file", "write", {}),
	{"facts": {"paths": [{"raw": "a.md", "inside": [folder]}]}},
)

said(reasons) := {reason.rule | some reason in reasons}

test_reading_is_allowed if {
	said(invoices.allow) == {"invoices.read"} with input as call("read_file", "read", {})
}

test_a_note_is_allowed if {
	said(invoices.allow) == {"invoices.notes"} with input as note("workspace/notes")
	count(invoices.deny) == 0 with input as note("workspace/notes")
}

test_nothing_else_is_written if {
	said(invoices.deny) == {"invoices.notes_only"} with input as note("workspace/inbox")
	count(invoices.allow) == 0 with input as note("workspace/inbox")
}

test_posting_waits_for_a_person if {
	said(invoices.ask) == {"invoices.post"} with input as call("http_post", "write", {})
}

test_a_small_payment_is_allowed if {
	said(invoices.allow) == {"invoices.small_payment"} with input as payment(10000)
	count(invoices.ask) == 0 with input as payment(10000)
}

test_a_large_payment_waits_for_a_person if {
	said(invoices.ask) == {"invoices.large_payment"} with input as payment(10001)
	count(invoices.allow) == 0 with input as payment(10001)
}

test_a_payment_that_is_no_positive_number_is_not_small if {
	count(invoices.allow) == 0 with input as payment("25")
	count(invoices.allow) == 0 with input as payment(-25)
	count(invoices.allow) == 0 with input as payment(null)
}

test_deleting_waits_for_a_person if {
	said(invoices.ask) == {"invoices.irreversible"} with input as call("delete_file", "irreversible", {})
}
