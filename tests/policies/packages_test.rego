package tests.packages

import data.guardrail.rules.packages

call(found) := {"facts": {"packages": found}}

package_of(name, source) := {"ecosystem": "pypi", "name": name, "version": "", "source": source, "raw": name}

rules(reasons) := {reason.rule | some reason in reasons}

test_no_package_is_fine if {
	count(packages.ask) == 0 with input as call([])
}

test_a_package_that_is_not_listed_asks if {
	expected := {{
		"rule": "packages.install",
		"message": "pypi/requests would be installed, which is not a listed package",
		"fix": "use a package that the owner has listed under settings.packages",
	}}
	every source in ["install", "requirement", "manifest"] {
		packages.ask == expected with input as call([package_of("requests", source)])
	}
}

test_a_listed_package_is_fine_and_lists_no_other if {
	settings := {"packages": ["pypi/requests", "npm/left-pad"]}
	count(packages.ask) == 0 with input as call([package_of("requests", "install")]) with data.settings as settings
	every name in ["left-pad", "Requests", "requests2", ""] {
		given := call([package_of("requests", "install"), package_of(name, "install")])
		rules(packages.ask) == {"packages.install"} with input as given with data.settings as settings
	}
}

test_an_import_installs_nothing if {
	count(packages.ask) == 0 with input as call([package_of("requests", "import")])
}

test_packages_that_are_no_list_open_nothing if {
	every listed in [null, true, 5, {}] {
		given := call([package_of("requests", "install")])
		rules(packages.ask) == {"packages.install"} with input as given with data.settings as {"packages": listed}
	}
}
