# METADATA
# title: Files
# description: >-
#   An example to change, on top of the rules that come with guardrail (which allow reading): writing waits for a person,
#   secrets stay closed. Deny wins over ask, ask over allow, and a call of which no rule says anything is denied.
# scope: package
package guardrail.rules.files

# METADATA
# title: Writing waits for a person
ask contains {
	"rule": "files.write",
	"message": "the tool changes something",
	"fix": "read instead, or say what you would write",
	"expires_in": "15m",
} if {
	input.tool.effect != "read"
}

# METADATA
# title: Files with secrets stay closed
deny contains {
	"rule": "files.secrets",
	"message": sprintf("%s may hold secrets", [path.raw]),
	"fix": "work without it",
} if {
	some path in input.facts.paths
	endswith(path.resolved, "/.env")
}
