package tests.egress

import data.guardrail.hosts
import data.guardrail.rules.egress

call(urls) := {"point": "action", "facts": {"urls": urls}}

url(host, class) := {
	"host": host, "address_class": class, "credentials": false, "addresses": [], "resolution": "unasked", "why": "",
}

leading(host, addresses) := object.union(url(host, "name"), {"addresses": addresses, "resolution": "found"})

lost(host, why) := object.union(url(host, "name"), {"resolution": "failed", "why": why})

rules(reasons) := {reason.rule | some reason in reasons}

test_a_public_host_is_fine if {
	given := call([url("example.com", "name"), url("93.184.216.34", "global")])
	count(egress.deny) == 0 with input as given
	count(egress.ask) == 0 with input as given
}

test_no_url_is_fine if {
	count(egress.deny) == 0 with input as call([]) with data.settings as {"hosts": ["example.com"]}
	count(egress.ask) == 0 with input as call([]) with data.settings as {"hosts": ["example.com"]}
}

test_what_is_not_public_is_denied if {
	classes := ["private", "loopback", "link_local", "metadata", "multicast", "reserved", "", "GLOBAL", "unheard-of"]
	every class in classes {
		rules(egress.deny) == {"egress.address"} with input as call([url("10.0.0.1", class)])
	}
}

test_one_bad_address_among_good_ones_is_denied if {
	given := call([url("example.com", "name"), url("169.254.169.254", "metadata")])
	expected := {{
		"rule": "egress.address",
		"message": "169.254.169.254 is not on the public network (metadata)",
		"fix": "use a public host; the owner can list this one under settings.private_hosts",
	}}
	egress.deny == expected with input as given
}

test_a_name_that_leads_to_the_public_network_is_fine if {
	given := call([leading("example.com", [{"address": "93.184.216.34", "class": "global"}])])
	count(egress.deny) == 0 with input as given
}

test_a_name_that_leads_nearer_is_denied if {
	addresses := [{"address": "93.184.216.34", "class": "global"}, {"address": "10.0.0.1", "class": "private"}]
	expected := {{
		"rule": "egress.address",
		"message": "example.com leads to 10.0.0.1, which is not on the public network (private)",
		"fix": "use a public host; the owner can list this one under settings.private_hosts",
	}}
	egress.deny == expected with input as call([leading("example.com", addresses)])
	guessed := {"point": "action", "facts": {"urls": [], "guessed": {"urls": [leading("example.com", addresses)]}}}
	egress.deny == expected with input as guessed
}

test_a_listed_private_host_may_lead_nearer if {
	given := call([leading("git.example.com", [{"address": "10.0.0.1", "class": "private"}])])
	count(egress.deny) == 0 with input as given with data.settings as {"private_hosts": ["git.example.com"]}
}

test_a_name_that_could_not_be_looked_up_is_denied_listed_or_not if {
	expected := {{
		"rule": "egress.unresolved",
		"message": "where git.example.com leads could not be found out: no answer in time",
		"fix": "check the name; if it is right, call again later",
	}}
	given := call([lost("git.example.com", "no answer in time")])
	egress.deny == expected with input as given
	egress.deny == expected with input as given with data.settings as {"private_hosts": ["git.example.com"]}
	guessed := {"point": "action", "facts": {"urls": [], "guessed": {"urls": given.facts.urls}}}
	egress.deny == expected with input as guessed
}

test_a_listed_private_host_is_fine if {
	given := call([url("127.0.0.1", "loopback")])
	count(egress.deny) == 0 with input as given with data.settings as {"private_hosts": ["127.0.0.1"]}
}

test_a_host_of_partners_does_not_open_private_addresses if {
	given := call([url("127.0.0.1", "loopback")])
	rules(egress.deny) == {"egress.address"} with input as given with data.settings as {"hosts": ["127.0.0.1"]}
}

test_credentials_are_denied if {
	given := call([object.union(url("example.com", "name"), {"credentials": true})])
	rules(egress.deny) == {"egress.credentials"} with input as given
}

test_a_stranger_asks_once_hosts_are_listed if {
	given := call([url("evil.example", "name"), url("api.example.com", "name")])
	settings := {"hosts": ["api.example.com"]}
	rules(egress.ask) == {"egress.stranger"} with input as given with data.settings as settings
	count(egress.deny) == 0 with input as given with data.settings as settings
}

test_a_stranger_is_denied_where_the_owner_says_anything_but_ask if {
	given := call([url("evil.example", "name")])
	every word in ["deny", "Ask", "", null, false] {
		settings := {"hosts": ["api.example.com"], "strangers": word}
		rules(egress.deny) == {"egress.stranger"} with input as given with data.settings as settings
		count(egress.ask) == 0 with input as given with data.settings as settings
	}
}

test_a_host_is_listed_by_its_name_or_below_a_star if {
	hosts.listed("example.com", ["example.com"])
	hosts.listed("a.example.com", ["*.example.com"])
	hosts.listed("a.b.example.com", ["*.example.com"])
}

test_a_host_is_not_listed_by_part_of_its_name if {
	not hosts.listed("example.com", ["*.example.com"])
	not hosts.listed("evilexample.com", ["*.example.com"])
	not hosts.listed("evil-example.com", ["example.com"])
	not hosts.listed("example.com.evil.example", ["example.com", "*.example.com"])
	not hosts.listed("a.example.com", ["example.com"])
	not hosts.listed("example.com", [])
	not hosts.listed("example.com", "example.com")
	not hosts.listed("example.com", null)
}

test_an_undeclared_url_to_a_private_address_is_denied if {
	given := {"point": "action", "facts": {"urls": [], "guessed": {"urls": [url("169.254.169.254", "metadata")]}}}
	rules(egress.deny) == {"egress.address"} with input as given
}

test_an_undeclared_url_is_no_stranger if {
	given := {"point": "action", "facts": {"urls": [], "guessed": {"urls": [url("evil.example", "name")]}}}
	count(egress.ask) == 0 with input as given with data.settings as {"hosts": ["api.example.com"]}
}
