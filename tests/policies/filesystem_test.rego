package tests.filesystem

import data.guardrail.rules.filesystem

call(effect, paths) := {"point": "action", "tool": {"effect": effect}, "facts": {"paths": paths}}

inside(path) := {"raw": path, "resolved": path, "inside": ["work"]}

rules(reasons) := {reason.rule | some reason in reasons}

test_a_path_inside_is_fine if {
	count(filesystem.deny) == 0 with input as call("write", [inside("/work/a.txt")])
	count(filesystem.ask) == 0 with input as call("write", [inside("/work/a.txt")])
}

test_a_path_outside_is_denied_whatever_the_effect if {
	outside := {"raw": "../b", "resolved": "/b", "inside": []}
	every effect in ["read", "write", "irreversible"] {
		rules(filesystem.deny) == {"filesystem.outside"} with input as call(effect, [inside("/work/a"), outside])
	}
}

test_protected_files_are_not_written if {
	every path in ["/work/.git/config", "/work/.env", "/work/sub/guardrail.toml"] {
		rules(filesystem.deny) == {"filesystem.protected"} with input as call("write", [inside(path)])
		rules(filesystem.deny) == {"filesystem.protected"} with input as call("irreversible", [inside(path)])
	}
}

test_names_count_in_any_case_and_by_their_beginning if {
	every path in ["/work/.GIT/config", "/work/.Env", "/work/.env.production", "/work/.ENV.local"] {
		rules(filesystem.deny) == {"filesystem.protected"} with input as call("write", [inside(path)])
	}
	every path in ["/work/ID_ECDSA", "/work/.env.production"] {
		rules(filesystem.ask) == {"filesystem.credentials"} with input as call("read", [inside(path)])
	}
}

test_what_an_undeclared_argument_looks_like_counts_too if {
	given := {"point": "action", "tool": {"effect": "write"}, "facts": {"paths": [], "guessed": {"paths": [
		{"raw": "/x/.ssh/id_rsa", "resolved": "/x/.ssh/id_rsa", "inside": []},
	]}}}
	rules(filesystem.deny) == {"filesystem.protected"} with input as given
	rules(filesystem.ask) == {"filesystem.credentials"} with input as given
}

test_a_list_of_the_wrong_type_names_everything if {
	every wrong in [".git", null, {"a": 1}, 5] {
		settings := {"protected": wrong, "credentials": wrong}
		given := call("write", [inside("/work/plan.md")])
		rules(filesystem.deny) == {"filesystem.protected"} with input as given with data.settings as settings
		rules(filesystem.ask) == {"filesystem.credentials"} with input as given with data.settings as settings
	}
}

test_protected_files_are_read if {
	count(filesystem.deny) == 0 with input as call("read", [inside("/work/.git/config")])
}

test_a_name_counts_as_a_whole if {
	every path in ["/work/.gitignore", "/work/my.env", "/work/guardrail.toml.md"] {
		count(filesystem.deny) == 0 with input as call("write", [inside(path)])
		count(filesystem.ask) == 0 with input as call("write", [inside(path)])
	}
}

test_files_with_credentials_ask if {
	every path in ["/work/.env", "/work/.ssh/id_rsa", "/work/.aws/credentials"] {
		rules(filesystem.ask) == {"filesystem.credentials"} with input as call("read", [inside(path)])
	}
}

test_the_lists_are_data if {
	settings := {"protected": ["plan.md"], "credentials": ["keys"]}
	given := call("write", [inside("/work/plan.md"), inside("/work/keys"), inside("/work/.env")])
	{reason.message | some reason in filesystem.deny} == {"/work/plan.md is protected (plan.md)"} with input as given
		with data.settings as settings
	{reason.message | some reason in filesystem.ask} == {"/work/keys may hold credentials (keys)"} with input as given
		with data.settings as settings
}
