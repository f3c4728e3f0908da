# METADATA
# title: What is found against packages
# description: >-
#   Reasons for the packs `packages` and `outputs`, as the settings have them refused or asked about.
# scope: package
package guardrail.packages

refused contains reason if some reason in missing

refused contains reason if {
	data.guardrail.settings.unknown_packages != "ask"
	some reason in unknown
}

refused contains reason if {
	data.guardrail.settings.doubtful_packages != "ask"
	some reason in doubts
}

asked contains reason if {
	data.guardrail.settings.unknown_packages == "ask"
	some reason in unknown
}

asked contains reason if {
	data.guardrail.settings.doubtful_packages == "ask"
	some reason in doubts
}

asked contains reason if {
	data.guardrail.settings.unlisted_packages != "pass"
	some reason in unlisted
}

# METADATA
# title: A package that does not exist
# custom:
#   rule: packages.missing
#   atlas: [AML.T0053]
missing contains {
	"rule": "packages.missing",
	"message": sprintf("%s does not exist", [title]),
	"fix": concat("", ["find its name in the documentation of the project that you mean, and try no similar ones", there]),
} if {
	some found in named
	found.source != "import"
	found.known == false
	title := concat("/", [found.ecosystem, found.name])
	not title in data.guardrail.settings.packages
	there := concat("", [hint | is_array(found.elsewhere); some other in found.elsewhere; hint := sprintf(" (this name is on %s)", [other])])
}

# METADATA
# title: A package that does not exist, in an argument that nobody declared
# custom:
#   rule: packages.missing
#   atlas: [AML.T0053]
missing contains {
	"rule": "packages.missing",
	"message": sprintf("%s does not exist", [title]),
	"fix": "find its name in the documentation of the project that you mean, and try no similar ones",
} if {
	input.point == "action"
	some found in input.facts.guessed.packages
	found.source != "import"
	found.known == false
	title := concat("/", [found.ecosystem, found.name])
	not title in data.guardrail.settings.packages
}

# METADATA
# title: A package that nobody could look up
# custom:
#   rule: packages.unknown
#   atlas: [AML.T0053]
unknown contains {
	"rule": "packages.unknown",
	"message": sprintf("whether %s exists could not be found out: %s", [one.title, one.why]),
	"fix": "use a package that the owner has listed under settings.packages, or try again later",
} if {
	some one in wanted
	is_null(one.known)
}

# METADATA
# title: A package that has not been there for long
# custom:
#   rule: packages.young
#   atlas: [AML.T0053]
doubts contains {
	"rule": "packages.young",
	"message": sprintf("%s is known for %v days only", [one.title, one.age]),
	"fix": "use an established package; the owner can look at this one and list it under settings.packages",
} if {
	some one in strange
	not is_null(one.age)
	not is_at_least(one.age, data.guardrail.settings.min_age_days)
}

# METADATA
# title: A package of unknown age
# custom:
#   rule: packages.young
#   atlas: [AML.T0053]
doubts contains {
	"rule": "packages.young",
	"message": sprintf("since when %s is there is not known", [one.title]),
	"fix": "use an established package; the owner can look at this one and list it under settings.packages",
} if {
	some one in strange
	is_null(one.age)
}

# METADATA
# title: A package that was missing before
# custom:
#   rule: packages.appeared
#   atlas: [AML.T0053]
doubts contains {
	"rule": "packages.appeared",
	"message": sprintf("%s did not exist when it was looked up before, and now it does", [one.title]),
	"fix": "use an established package; the owner can look at this one and list it under settings.packages",
} if {
	some one in strange
	one.appeared
}

# METADATA
# title: A package that is named like a popular one
# custom:
#   rule: packages.near
#   atlas: [AML.T0053]
doubts contains {
	"rule": "packages.near",
	"message": sprintf("%s is named almost like %s, which many use", [one.title, one.nearest]),
	"fix": "use the popular package if that is meant; else the owner can list this one under settings.packages",
} if {
	some one in strange
	one.nearest != ""
	not is_at_least(one.age, data.guardrail.settings.established_days)
}

# METADATA
# title: A package whose name is joined from those of others
# custom:
#   rule: packages.conflation
#   atlas: [AML.T0053]
doubts contains {
	"rule": "packages.conflation",
	"message": sprintf("%s is joined from names of other packages, as models make them up", [one.title]),
	"fix": "find the name in the documentation of the project that you mean, or let the owner list this one",
} if {
	some one in strange
	one.conflation
	not is_at_least(one.age, data.guardrail.settings.established_days)
}

# METADATA
# title: A package that is not listed
# custom:
#   rule: packages.install
#   atlas: [AML.T0053]
unlisted contains {
	"rule": "packages.install",
	"message": sprintf("%s would be installed, which is not a listed package", [one.title]),
	"fix": "use a package that the owner has listed under settings.packages",
} if {
	input.point == "action"
	some one in wanted
}

# What a call would install, and what an answer tells the user to: each pack that is picked names its own.
named contains found if {
	some source
	some found in data.guardrail.named[source].packages
}

# Packages that would be installed and are not listed.
wanted contains {
	"title": title, "known": found.known, "why": found.why, "registry": found.registry, "age": found.age_days,
	"rank": found.rank, "appeared": found.appeared, "nearest": found.nearest, "conflation": found.conflation,
} if {
	some found in named
	found.source != "import"
	title := concat("/", [found.ecosystem, found.name])
	not title in data.guardrail.settings.packages
}

# What is there, is not used by many, and comes from where others publish too.
strange contains {
	"title": one.title, "age": one.age, "appeared": one.appeared, "nearest": one.nearest,
	"conflation": one.conflation,
} if {
	some one in wanted
	one.known == true
	is_null(one.rank)
	not one.registry in data.guardrail.settings.own_registries
}

is_at_least(age, days) if {
	is_number(age)
	is_number(days)
	age >= days
}
