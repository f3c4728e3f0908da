package tests.mask

import data.guardrail.mask

test_secrets_are_hidden_by_their_name if {
	given := {"arguments": {"Password": "x", "API_KEY": 5, "to": "anna", "pin": null}}
	mask.hide == {"/Password", "/API_KEY", "/pin"} with input as given
}

test_members_are_hidden_by_their_name_at_any_depth if {
	given := {"arguments": {"login": {"password": "x", "user": "y"}, "rows": [{"n": 1}, {"a/b": {"TOKEN": 1}}]}}
	mask.hide == {"/login/password", "/rows/1/a~1b/TOKEN"} with input as given
}

test_where_a_secret_was_found_the_argument_is_hidden if {
	found := [
		{"argument": "/env/ghp_~1x", "category": "secret", "kind": "github_token"},
		{"argument": "/body", "category": "personal", "kind": "iban"},
	]
	mask.hide == {"/env"} with input as {"arguments": {"env": {"ghp_/x": 1}, "body": "y"}, "facts": {"secrets": found}}
}

test_no_arguments_hide_nothing if {
	mask.hide == set() with input as {"arguments": {}}
}

test_the_names_are_data_and_escaped if {
	given := {"arguments": {"a/b~c": "x", "password": "y"}}
	mask.hide == {"/a~1b~0c"} with input as given with data.settings.secret_arguments as ["a/b~c"]
}

test_a_list_of_the_wrong_type_hides_everything if {
	every wrong in ["password", null, {"password": true}, 5] {
		mask.hide == {"/a", "/password"} with input as {"arguments": {"a": 1, "password": 2}}
			with data.settings as {"secret_arguments": wrong}
	}
}
