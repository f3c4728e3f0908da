# METADATA
# title: SQL
# description: >-
#   A tool that is declared to read changes nothing, whatever the model writes for it, and the shape of the data is
#   for people to change. Rights in the database come first: views and triggers are not seen here.
# custom:
#   decides: statements of SQL
# scope: package
package guardrail.rules.sql

# METADATA
# title: A tool that reads changes nothing
# custom:
#   rule: sql.changes
#   atlas: [AML.T0053, AML.T0101]
deny contains {
	"rule": "sql.changes",
	"message": sprintf("the statement changes %s, and the tool is declared to read", [table]),
	"fix": "read with SELECT; to change something, use a tool that is there for it",
} if {
	input.tool.effect == "read"
	some statement in input.facts.sql
	some table in statement.writes
	input.point == "action"
}

# METADATA
# title: A tool that reads runs nothing but queries
# custom:
#   rule: sql.changes
#   atlas: [AML.T0053, AML.T0101]
deny contains {
	"rule": "sql.changes",
	"message": sprintf("the statement is no query (%s), and the tool is declared to read", [statement.statement]),
	"fix": "read with SELECT; to change something, use a tool that is there for it",
} if {
	input.tool.effect == "read"
	some statement in input.facts.sql
	count(statement.writes) == 0
	not statement.statement in {"select", "values", "explain", "show", "describe", "desc", "pragma", "table"}
	input.point == "action"
}

# METADATA
# title: Tables are made and dropped by people
# custom:
#   rule: sql.definition
#   atlas: [AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "sql.definition",
	"message": sprintf("the statement would %s tables or views", [statement.statement]),
	"fix": "work with the tables that are there",
}) if {
	some statement in input.facts.sql
	statement.statement in {"create", "drop", "alter", "truncate", "rename", "grant", "revoke"}
	input.point == "action"
}
