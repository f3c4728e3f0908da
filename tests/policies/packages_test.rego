package tests.packages

import data.guardrail.rules.packages

call(found) := {"point": "action", "facts": {"packages": found, "guessed": {"packages": []}}}

# A package as facts have it that nothing speaks against, but for what is given.
package_of(name, fields) := object.union(
	{
		"ecosystem": "pypi", "name": name, "version": "", "source": "install", "raw": name, "known": true,
		"registry": "pypi", "checked": "2026-01-01T00:00:00Z", "why": "", "age_days": 4000, "releases": 9, "rank": null,
		"appeared": false, "nearest": "", "distance": null, "conflation": false, "elsewhere": [], "snapshot": "",
	},
	fields,
)

rules(reasons) := {reason.rule | some reason in reasons}

silent(given) if {
	count(packages.ask) == 0 with input as given
	count(packages.deny) == 0 with input as given
}

test_no_package_is_fine if silent(call([]))

test_an_established_package_is_fine if silent(call([package_of("six", {})]))

test_a_package_that_does_not_exist_is_refused if {
	expected := {{
		"rule": "packages.missing",
		"message": "pypi/left-pad does not exist",
		"fix": "find its name in the documentation of the project that you mean, and try no similar ones (this name is on npm)",
	}}
	given := call([package_of("left-pad", {"known": false, "age_days": null, "elsewhere": ["npm"]})])
	packages.deny == expected with input as given
	count(packages.ask) == 0 with input as given
}

test_a_guessed_package_that_does_not_exist_is_refused if {
	given := {"point": "action", "facts": {"packages": [], "guessed": {"packages": [package_of("invented", {"known": false})]}}}
	{reason.message | some reason in packages.deny} == {"pypi/invented does not exist"} with input as given
}

test_a_package_that_nobody_could_look_up_asks_or_is_refused if {
	given := call([package_of("six", {"known": null, "rank": 14, "why": "pypi: it answered with 503"})])
	expected := {
		"rule": "packages.unknown",
		"message": "whether pypi/six exists could not be found out: pypi: it answered with 503",
		"fix": "use a package that the owner has listed under settings.packages, or try again later",
	}
	packages.ask == {expected} with input as given
	count(packages.deny) == 0 with input as given
	packages.deny == {expected} with input as given with data.settings as {"unknown_packages": "deny"}
	count(packages.ask) == 0 with input as given with data.settings as {"unknown_packages": "deny"}
}

doubtful := {
	"packages.young": [{"age_days": 29}, {"age_days": null}, {"age_days": 0, "releases": 0}],
	"packages.appeared": [{"appeared": true}],
	"packages.near": [{"nearest": "six", "distance": 1, "age_days": 364}],
	"packages.conflation": [{"conflation": true, "age_days": 364}],
}

test_a_doubtful_package_asks_or_is_refused if {
	every rule, cases in doubtful {
		every fields in cases {
			given := call([package_of("sixx", fields)])
			rules(packages.ask) == {rule} with input as given
			count(packages.deny) == 0 with input as given
			rules(packages.deny) == {rule} with input as given with data.settings as {"doubtful_packages": "deny"}
			count(packages.ask) == 0 with input as given with data.settings as {"doubtful_packages": "deny"}
		}
	}
}

test_a_setting_that_is_no_choice_refuses if {
	every chosen in ["allow", "", null, 5, [], true] {
		settings := {"unknown_packages": chosen, "doubtful_packages": chosen}
		given := call([package_of("a", {"known": null}), package_of("b", {"age_days": 1})])
		rules(packages.deny) == {"packages.unknown", "packages.young"} with input as given with data.settings as settings
	}
}

test_what_many_use_is_not_doubtful if {
	every fields in [{"age_days": null}, {"age_days": 3}, {"appeared": true}] {
		silent(call([package_of("six", object.union(fields, {"rank": 14}))]))
	}
}

test_an_old_package_may_be_named_like_another_one if {
	silent(call([package_of("sixx", {"nearest": "six", "distance": 1, "conflation": true, "age_days": 365})]))
}

test_how_old_a_package_has_to_be_is_a_setting if {
	given := call([package_of("a", {"age_days": 40})])
	silent(given)
	rules(packages.ask) == {"packages.young"} with input as given with data.settings as {"min_age_days": 41}
}

test_an_age_limit_that_is_no_number_opens_nothing if {
	given := call([package_of("a", {"age_days": 3}), package_of("b", {"age_days": null})])
	every limit in ["5", [], {}, null] {
		settings := {"min_age_days": limit, "established_days": limit}
		rules(packages.ask) == {"packages.young"} with input as given with data.settings as settings
	}
}

test_packages_of_a_registry_of_ones_own_may_be_young if {
	given := call([package_of("a", {"age_days": 0, "registry": "private:corp"})])
	rules(packages.ask) == {"packages.young"} with input as given
	count(packages.ask) == 0 with input as given with data.settings as {"own_registries": ["private:corp"]}
}

test_a_listed_package_passes_whatever_is_known_of_it_and_lists_no_other if {
	settings := {"packages": ["pypi/a", "npm/b"]}
	every fields in [{"known": false}, {"known": null}, {"age_days": 0, "appeared": true, "nearest": "b"}] {
		given := call([package_of("a", fields)])
		count(packages.ask) == 0 with input as given with data.settings as settings
		count(packages.deny) == 0 with input as given with data.settings as settings
		every name in ["b", "A", "a2", ""] {
			both := call([package_of("a", fields), package_of(name, {"known": false})])
			rules(packages.deny) == {"packages.missing"} with input as both with data.settings as settings
		}
	}
}

test_an_import_installs_nothing if {
	every fields in [{"known": false}, {"known": null}, {"age_days": 0}] {
		silent(call([package_of("a", object.union(fields, {"source": "import"}))]))
	}
}

test_packages_that_are_no_list_open_nothing if {
	every listed in [null, true, 5, {}] {
		given := call([package_of("requests", {"known": false})])
		rules(packages.deny) == {"packages.missing"} with input as given with data.settings as {"packages": listed}
	}
}

test_whatever_is_not_listed_asks_where_the_owner_wants_that if {
	given := call([package_of("six", {"rank": 14})])
	rules(packages.ask) == {"packages.install"} with input as given with data.settings as {"unlisted_packages": "ask"}
}

test_nothing_is_said_of_what_a_tool_returns if {
	given := object.union(call([package_of("a", {"known": false}), package_of("b", {"known": null})]), {"point": "output"})
	silent(given)
}
