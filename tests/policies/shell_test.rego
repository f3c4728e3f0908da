package tests.shell

import data.guardrail.rules.shell

call(commands) := {"point": "action", "facts": {"commands": commands}}

command(program, subcommand) := {
	"program": program, "name": program, "subcommand": subcommand, "words": [program, subcommand], "complete": true,
	"via": [], "redirects": [],
}

writing(operator, target, writes) := object.union(command("ls", ""), {"redirects": [{
	"operator": operator, "target": target, "writes": writes,
}]})

rules(reasons) := {reason.rule | some reason in reasons}

test_no_command_is_fine if {
	count(shell.ask) == 0 with input as call([])
}

test_by_default_every_program_asks if {
	expected := {{
		"rule": "shell.program",
		"message": "the command runs git push, which is not a listed program",
		"fix": "use a program that the owner has listed under settings.programs",
	}}
	shell.ask == expected with input as call([command("git", "push")])
}

test_a_listed_program_is_fine if {
	settings := {"programs": ["ls", "git status"]}
	given := call([command("ls", ""), command("git", "status")])
	count(shell.ask) == 0 with input as given with data.settings as settings
}

test_a_listed_subcommand_lists_no_other if {
	settings := {"programs": ["ls", "git status"]}
	every other in [command("git", "push"), command("git", ""), command("./ls", ""), command("/tmp/ls", ""), command("", "")] {
		given := call([command("ls", ""), other])
		rules(shell.ask) == {"shell.program"} with input as given with data.settings as settings
	}
}

test_an_inner_command_has_to_be_listed_too if {
	settings := {"programs": ["sudo"]}
	given := call([command("sudo", ""), object.union(command("rm", ""), {"via": ["sudo"]})])
	rules(shell.ask) == {"shell.program"} with input as given with data.settings as settings
}

test_writing_by_redirection_asks if {
	settings := {"programs": ["ls"]}
	rules(shell.ask) == {"shell.redirect"} with input as call([writing(">", "a", true)]) with data.settings as settings
	count(shell.ask) == 0 with input as call([writing(">", "/dev/null", true)]) with data.settings as settings
	count(shell.ask) == 0 with input as call([writing("<", "a", false)]) with data.settings as settings
}

test_a_redirection_alone_runs_nothing if {
	alone := object.union(writing(">", "a", true), {"program": "", "words": []})
	rules(shell.ask) == {"shell.redirect"} with input as call([alone])
}

test_programs_that_are_no_list_open_nothing if {
	every programs in [null, true, 5, {}] {
		given := call([command("ls", "")])
		rules(shell.ask) == {"shell.program"} with input as given with data.settings as {"programs": programs}
	}
}
