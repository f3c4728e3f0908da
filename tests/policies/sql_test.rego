package tests.sql

import data.guardrail.rules.sql

call(effect, statements) := {"point": "action", "tool": {"effect": effect}, "facts": {"sql": statements}}

statement(kind, writes) := {"statement": kind, "tables": ["t", "u"], "writes": writes}

rules(reasons) := {reason.rule | some reason in reasons}

test_no_statement_is_fine if {
	count(sql.deny) == 0 with input as call("read", [])
	count(sql.ask) == 0 with input as call("read", [])
}

test_a_tool_that_reads_may_select if {
	count(sql.deny) == 0 with input as call("read", [statement("select", [])])
	count(sql.ask) == 0 with input as call("read", [statement("select", [])])
}

test_a_tool_that_reads_changes_nothing if {
	expected := {{
		"rule": "sql.changes",
		"message": "the statement changes t, and the tool is declared to read",
		"fix": "read with SELECT; to change something, use a tool that is there for it",
	}}
	every kind in ["select", "insert", "update", "delete"] {
		sql.deny == expected with input as call("read", [statement("select", []), statement(kind, ["t"])])
	}
}

test_a_tool_that_reads_runs_nothing_but_queries if {
	every kind in ["truncate", "grant", "alter", "drop", "replace", "merge", "copy", "call", "do", "set", "load"] {
		sql.deny == {{
			"rule": "sql.changes",
			"message": sprintf("the statement is no query (%s), and the tool is declared to read", [kind]),
			"fix": "read with SELECT; to change something, use a tool that is there for it",
		}} with input as call("read", [statement(kind, [])])
		count(sql.deny) == 0 with input as call("write", [statement(kind, [])])
	}
	every kind in ["values", "explain", "show", "describe", "pragma"] {
		count(sql.deny) == 0 with input as call("read", [statement(kind, [])])
	}
}

test_a_tool_that_writes_may_change_rows if {
	every effect in ["write", "irreversible"] {
		count(sql.deny) == 0 with input as call(effect, [statement("update", ["t"])])
		count(sql.ask) == 0 with input as call(effect, [statement("update", ["t"])])
	}
}

test_the_shape_of_the_data_waits_for_a_person if {
	every kind in ["create", "drop", "alter", "truncate", "rename", "grant", "revoke"] {
		rules(sql.ask) == {"sql.definition"} with input as call("write", [statement(kind, [])])
	}
}
