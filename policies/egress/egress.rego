# METADATA
# title: Egress
# description: >-
#   Where a call may lead. Addresses nearer than the public network are refused unless the owner has listed them: a
#   model that was talked into it reads cloud credentials and internal services there. Once hosts are listed,
#   every other one is a stranger, who waits for a person or is refused.
# custom:
#   decides: URLs
# scope: package
package guardrail.rules.egress

import data.guardrail.hosts

# METADATA
# title: No private, loopback, link-local, metadata or reserved address
# custom:
#   rule: egress.address
#   atlas: [AML.T0053, AML.T0086]
deny contains {
	"rule": "egress.address",
	"message": sprintf("%s is not on the public network (%s)", [place.host, place.address_class]),
	"fix": "use a public host; the owner can list this one under settings.private_hosts",
} if {
	some place in near
	input.point == "action"
}

# METADATA
# title: No name that leads to such an address
# description: Known where names are looked up (`[names] resolve`).
# custom:
#   rule: egress.address
#   atlas: [AML.T0053, AML.T0086]
deny contains {
	"rule": "egress.address",
	"message": sprintf("%s leads to %s, which is not on the public network (%s)", [at.host, at.address, at.class]),
	"fix": "use a public host; the owner can list this one under settings.private_hosts",
} if {
	some at in led
	input.point == "action"
}

# METADATA
# title: No name that could not be looked up
# description: Where names are looked up (`[names] resolve`).
# custom:
#   rule: egress.unresolved
#   atlas: [AML.T0086]
deny contains {
	"rule": "egress.unresolved",
	"message": sprintf("where %s leads could not be found out: %s", [url.host, url.why]),
	"fix": "check the name; if it is right, call again later",
} if {
	some url in unresolved
	input.point == "action"
}

# METADATA
# title: No user name or password in a URL
# custom:
#   rule: egress.credentials
#   atlas: [AML.T0086]
deny contains {
	"rule": "egress.credentials",
	"message": sprintf("the URL of %s carries a user name or password", [host]),
	"fix": "leave the credentials out; the tool has its own",
} if {
	some host in entered
	input.point == "action"
}

# METADATA
# title: A stranger waits for a person
# custom:
#   rule: egress.stranger
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "egress.stranger",
	"message": sprintf("%s is not a listed host", [host]),
	"fix": "use a host that the owner has listed under settings.hosts",
}) if {
	some host in strangers
	data.guardrail.settings.strangers == "ask"
	input.point == "action"
}

# METADATA
# title: A stranger is refused, where the owner says so
# custom:
#   rule: egress.stranger
#   atlas: [AML.T0086]
deny contains {
	"rule": "egress.stranger",
	"message": sprintf("%s is not a listed host", [host]),
	"fix": "use a host that the owner has listed under settings.hosts",
} if {
	some host in strangers
	data.guardrail.settings.strangers != "ask"
	input.point == "action"
}

strangers contains url.host if {
	some url in input.facts.urls
	count(data.guardrail.settings.hosts) > 0
	not hosts.listed(url.host, data.guardrail.settings.hosts)
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}

# Places that are not on the public network, in undeclared arguments too.
near contains {"host": url.host, "address_class": url.address_class} if {
	some url in input.facts.urls
	not url.address_class in {"name", "global"}
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}

near contains {"host": url.host, "address_class": url.address_class} if {
	some url in input.facts.guessed.urls
	not url.address_class in {"name", "global"}
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}

# Where names lead to that is not on the public network, in undeclared arguments too.
led contains {"host": url.host, "address": found.address, "class": found["class"]} if {
	some url in input.facts.urls
	some found in url.addresses
	found["class"] != "global"
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}

led contains {"host": url.host, "address": found.address, "class": found["class"]} if {
	some url in input.facts.guessed.urls
	some found in url.addresses
	found["class"] != "global"
	not hosts.listed(url.host, data.guardrail.settings.private_hosts)
}

unresolved contains {"host": url.host, "why": url.why} if {
	some url in input.facts.urls
	url.resolution == "failed"
}

unresolved contains {"host": url.host, "why": url.why} if {
	some url in input.facts.guessed.urls
	url.resolution == "failed"
}

# Hosts that a URL enters with a name or password.
entered contains url.host if {
	some url in input.facts.urls
	url.credentials
}

entered contains url.host if {
	some url in input.facts.guessed.urls
	url.credentials
}
