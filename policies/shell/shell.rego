# METADATA
# title: Shell
# description: >-
#   A shell can do whatever its user can. Every program that a command runs waits for a person until the owner has
#   listed it, also where it is run through another one (sudo, sh -c, xargs), and so does writing a file by redirection.
# custom:
#   decides: commands and what they write
# scope: package
package guardrail.rules.shell

# METADATA
# title: A program that is not listed waits for a person
# custom:
#   rule: shell.program
#   atlas: [AML.T0053]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "shell.program",
	"message": sprintf("the command runs %s, which is not a listed program", [title(command)]),
	"fix": "use a program that the owner has listed under settings.programs",
}) if {
	some command in input.facts.commands
	not listed(command)
	input.point == "action"
}

# METADATA
# title: Writing a file by redirection waits for a person
# custom:
#   rule: shell.redirect
#   atlas: [AML.T0053, AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "shell.redirect",
	"message": sprintf("the command writes to %s by a redirection", [redirect.target]),
	"fix": "print the text, or write it with a tool for files",
}) if {
	some command in input.facts.commands
	some redirect in command.redirects
	redirect.writes
	redirect.target != "/dev/null"
	input.point == "action"
}

listed(command) if {
	command.program in data.guardrail.settings.programs
}

listed(command) if {
	command.subcommand != ""
	concat(" ", [command.program, command.subcommand]) in data.guardrail.settings.programs
}

listed(command) if {
	count(command.words) == 0
	command.complete
}

title(command) := trim_space(concat(" ", [command.program, command.subcommand]))
