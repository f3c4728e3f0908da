package tests.dataflow

import data.guardrail.rules.dataflow
import data.guardrail.rules.effects

ann := {"argument": "/to", "kind": "email", "value": "ann@example.com", "normal": "ann@example.com", "domain": "example.com"}

page := {"argument": "/url", "raw": "https://a.example/x", "url": "https://a.example/x", "host": "a.example"}

call(effect, facts, labels) := {
	"point": "action", "tool": {"server": "mail", "name": "send", "effect": effect},
	"facts": object.union({"recipients": [], "urls": [], "money": [], "contents": []}, facts),
	"labels": {"run": [], "arguments": labels}, "arguments": {},
}

mail(trust) := call("write", {"recipients": [ann], "contents": [{"argument": "/body", "characters": 9, "links": []}]}, {
	"/to": from(trust),
	"/body": from("user"),
})

from(trust) := {
	"trust": trust, "origins": [{"kind": trust, "tool": "", "call": "", "field": ""}],
	"readers": null, "whole": true,
}

rules(reasons) := {reason.rule | some reason in reasons}

said(given, settings) := {"deny": deny, "ask": ask} if {
	deny := rules(dataflow.deny) with input as given with data.settings as settings
	ask := rules(dataflow.ask) with input as given with data.settings as settings
}

nothing := {"deny": set(), "ask": set()}

only_asks(rule) := {"deny": set(), "ask": {rule}}

only_denies(rule) := {"deny": {rule}, "ask": set()}

unattended(given) if {
	rules(dataflow.allow) == {"dataflow.vouched"} with input as given with data.settings as {"dataflow": {"vouched": "allow"}}
	count(effects.ask) == 0 with input as given with data.settings as {"dataflow": {"vouched": "allow"}}
}

asks(given) if {
	rules(effects.ask) == {"effects.irreversible"} with input as given with data.settings as {"dataflow": {"vouched": "allow"}}
	count(dataflow.allow) == 0 with input as given with data.settings as {"dataflow": {"vouched": "allow"}}
}

# --- recipients -----------------------------------------------------------------------------------

test_whom_the_user_or_a_trusted_tool_named_is_fine if {
	said(mail("user"), {}) == nothing
	said(mail("trusted"), {}) == nothing
}

test_a_recipient_that_nobody_vouched_for_asks if {
	every trust in ["untrusted", "unknown", "", null, true, ["user"]] {
		said(mail(trust), {}) == only_asks("dataflow.recipient")
	}
	expected := {{
		"rule": "dataflow.recipient",
		"message": "ann@example.com came from an untrusted output",
		"fix": "ask the user whom it should go to, or find it with a tool that is trusted",
	}}
	dataflow.ask == expected with input as mail("untrusted")
}

test_where_nobody_knows_anything_a_recipient_asks if {
	said(call("write", {"recipients": [ann]}, {}), {}) == only_asks("dataflow.recipient")
	said(call("write", {"recipients": [ann]}, {"/to": {}}), {}) == only_asks("dataflow.recipient")
	said(call("write", {"recipients": [ann]}, {"/to": null}), {}) == only_asks("dataflow.recipient")
}

test_a_listed_recipient_is_fine_wherever_the_name_came_from if {
	said(mail("untrusted"), {"dataflow": {"recipients": ["*@example.com"]}}) == nothing
	said(mail("untrusted"), {"dataflow": {"recipients": ["*@other.example"]}}) == only_asks("dataflow.recipient")
}

test_strangers_are_refused_where_the_owner_says_so if {
	every word in ["deny", "", null] {
		said(mail("unknown"), {"dataflow": {"strangers": word}}) == only_denies("dataflow.recipient")
	}
}

# --- URLs -----------------------------------------------------------------------------------------

fetch(effect, label) := call(effect, {"urls": [page]}, {"/url": label})

test_a_url_that_the_user_gave_is_fine if {
	said(fetch("read", from("user")), {}) == nothing
	said(fetch("write", from("trusted")), {}) == nothing
}

test_a_url_that_nobody_knows_asks if {
	said(fetch("read", from("unknown")), {}) == only_asks("dataflow.url")
	said(call("read", {"urls": [page]}, {}), {}) == only_asks("dataflow.url")
}

test_a_link_is_followed_as_it_was_found if {
	said(fetch("read", from("untrusted")), {}) == nothing
	said(fetch("read", from("untrusted")), {"dataflow": {"links": "ask"}}) == only_asks("dataflow.url")
	said(fetch("write", from("untrusted")), {}).ask == {"dataflow.url", "dataflow.orders"}
}

test_a_link_that_was_put_together_asks if {
	every whole in [false, null, "true", 1] {
		made := object.union(from("untrusted"), {"whole": whole})
		said(fetch("read", made), {}) == only_asks("dataflow.url")
	}
	said(fetch("read", {"trust": "untrusted", "readers": null}), {}) == only_asks("dataflow.url")
}

test_a_listed_host_is_fine_wherever_the_url_came_from if {
	said(fetch("read", from("unknown")), {"hosts": ["a.example"]}) == nothing
	said(fetch("read", from("unknown")), {"private_hosts": ["a.example"]}) == nothing
	said(fetch("read", from("unknown")), {"hosts": ["b.example"]}) == only_asks("dataflow.url")
}

test_urls_are_refused_where_the_owner_says_so if {
	said(fetch("read", from("unknown")), {"dataflow": {"strangers": "deny"}}) == only_denies("dataflow.url")
}

# --- what comes out of untrusted outputs ---------------------------------------------------------------

test_what_cannot_be_undone_asks_with_values_out_of_untrusted_outputs if {
	every effect in ["irreversible", "", null] {
		given := call(effect, {}, {"/id": from("untrusted"), "/why": from("user")})
		said(given, {}) == only_asks("dataflow.irreversible")
	}
	said(call("irreversible", {}, {"/id": from("user")}), {}) == nothing
	said(call("irreversible", {}, {"/id": from("unknown")}), {}) == nothing
}

test_writing_what_is_untrusted_asks_where_nothing_else_vouches_for_the_call if {
	said(call("write", {}, {"/a": from("untrusted"), "/b": from("untrusted")}), {}) == only_asks("dataflow.orders")
	said(call("write", {}, {"/a": from("untrusted"), "/b": from("unknown")}), {}) == only_asks("dataflow.orders")
	said(call("write", {}, {"/a": from("untrusted"), "/b": from("user")}), {}) == nothing
	said(call("write", {}, {"/a": from("untrusted"), "/b": from("trusted")}), {}) == nothing
	said(call("write", {}, {"/a": from("unknown")}), {}) == nothing
	said(call("write", {}, {}), {}) == nothing
	said(call("read", {}, {"/a": from("untrusted")}), {}) == nothing
}

test_what_the_definition_of_the_tool_offers_is_nobodys_wish if {
	offered := {"trust": "trusted", "origins": [{"kind": "definition"}], "readers": null}
	said(call("write", {}, {"/a": from("untrusted"), "/b": offered}), {}) == only_asks("dataflow.orders")
}

linking(trust, host) := object.union(mail("user"), {
	"facts": {"contents": [{"argument": "/body", "characters": 9, "links": [{"url": host, "host": host}]}]},
	"labels": {"arguments": {"/body": from(trust)}},
})

test_a_link_out_of_an_untrusted_output_is_handed_on_by_a_person if {
	said(linking("untrusted", "evil.example"), {}) == only_asks("dataflow.link")
	said(linking("untrusted", "docs.example.com"), {"hosts": ["*.example.com"]}) == nothing
	said(linking("user", "evil.example"), {}) == nothing
	said(linking("unknown", "evil.example"), {}) == nothing
	said(object.union(linking("untrusted", "evil.example"), {"tool": {"effect": "read"}}), {}) == nothing
}

behind(trust, of_link) := object.union(linking(trust, "evil.example"), {"labels": {"links": {"evil.example": from(of_link)}}})

test_a_link_counts_by_itself_whatever_it_stands_in if {
	every trust in ["user", "unknown", "untrusted"] {
		said(behind(trust, "untrusted"), {}) == only_asks("dataflow.link")
		asks(irreversible(behind(trust, "untrusted")))
	}
	said(behind("untrusted", "user"), {}) == nothing
	said(behind("untrusted", "unknown"), {}) == only_asks("dataflow.link")
	said(behind("user", "unknown"), {}) == nothing
	unattended(irreversible(behind("untrusted", "user")))
}

test_quoting_asks_where_the_user_did_not_name_the_recipient if {
	quoted := {"labels": {"arguments": {"/body": from("untrusted")}}}
	said(object.union(mail("trusted"), quoted), {}) == only_asks("dataflow.quotes")
	said(object.union(mail("user"), quoted), {}) == nothing
	said(object.union(mail("trusted"), quoted), {"dataflow": {"recipients": ["*@example.com"]}}) == nothing
}

# --- readers --------------------------------------------------------------------------------------

restricted(readers) := object.union(mail("user"), {"labels": {"arguments": {"/body": {
	"trust": "trusted", "origins": [], "readers": readers,
}}}})

test_what_everybody_may_read_may_go_anywhere if {
	said(restricted(null), {}) == nothing
}

test_readers_get_what_they_may_read if {
	said(restricted(["*@example.com"]), {}) == nothing
	said(restricted(["ann@example.com"]), {}) == nothing
}

test_others_do_not if {
	every readers in [["*@other.example"], [], ["example.com"]] {
		said(restricted(readers), {}) == only_denies("dataflow.readers")
		said(restricted(readers), {"dataflow": {"readers": "ask"}}) == only_asks("dataflow.readers")
	}
	expected := {{
		"rule": "dataflow.readers",
		"message": "/body may be read by *@other.example only, and would go to ann@example.com",
		"fix": "leave it out, or send it to somebody who may read it",
	}}
	dataflow.deny == expected with input as restricted(["*@other.example"])
}

to_page(readers) := object.union(fetch("write", from("user")), {"labels": {"arguments": {"/text": {
	"trust": "trusted", "origins": [], "readers": readers,
}}}})

test_a_url_leads_to_readers_too if {
	said(to_page(["a.example"]), {}) == nothing
	said(to_page(["b.example"]), {}) == only_denies("dataflow.readers")
}

# --- secrets --------------------------------------------------------------------------------------

after_a_secret(given) := object.union(given, {"labels": {"run": ["untrusted", "secret"]}})

test_after_a_secret_only_those_whom_the_user_named_are_reached if {
	said(after_a_secret(mail("user")), {}) == nothing
	said(after_a_secret(mail("trusted")), {}) == only_asks("dataflow.secret")
	said(after_a_secret(mail("trusted")), {"dataflow": {"secrets": "deny"}}) == only_denies("dataflow.secret")
	said(after_a_secret(mail("trusted")), {"dataflow": {"recipients": ["*@example.com"]}}) == nothing
	said(after_a_secret(fetch("read", from("untrusted"))), {}) == only_asks("dataflow.secret")
	said(after_a_secret(fetch("read", from("untrusted"))), {"hosts": ["a.example"]}) == nothing
	said(after_a_secret(call("write", {}, {"/a": from("user")})), {}) == nothing
}

# --- unattended -----------------------------------------------------------------------------------

irreversible(given) := object.union(given, {"tool": {"effect": "irreversible"}})

test_what_the_user_named_goes_without_a_person_where_the_owner_says_so if {
	unattended(irreversible(mail("user")))
	unattended(irreversible(mail("trusted")))
	every word in ["ask", "Allow", true, null] {
		settings := {"dataflow": {"vouched": word}}
		rules(effects.ask) == {"effects.irreversible"} with input as irreversible(mail("user")) with data.settings as settings
	}
}

test_what_is_not_vouched_for_does_not if {
	every trust in ["untrusted", "unknown", null] {
		asks(irreversible(mail(trust)))
	}
	asks(irreversible(call("write", {"recipients": [ann]}, {})))
}

test_nothing_is_vouched_for_where_nothing_is_known if {
	asks(call("irreversible", {}, {}))
	asks(call("irreversible", {"contents": [{"argument": "/body", "characters": 9, "links": []}]}, {"/body": from("user")}))
}

test_where_a_tool_declares_nothing_every_leaf_counts if {
	unattended(call("irreversible", {}, {"/id": from("user"), "/date": from("trusted")}))
	asks(call("irreversible", {}, {"/id": from("user"), "/date": from("unknown")}))
}

pay(trust) := call("irreversible", {"recipients": [ann], "money": [{"argument": "/amount"}]}, {
	"/to": from("user"), "/amount": from(trust), "/reference": from("unknown"),
})

test_an_amount_has_to_be_vouched_for if {
	unattended(pay("user"))
	asks(pay("unknown"))
	asks(pay("untrusted"))
}

deploying(facts, trust) := call("irreversible", object.union({"recipients": [ann]}, facts), {
	"/to": from("user"), "/what": from(trust),
})

test_paths_commands_sql_and_packages_have_to_be_vouched_for_declared_or_not if {
	every kind in ["paths", "commands", "sql", "packages"] {
		every facts in [{kind: [{"argument": "/what"}]}, {"guessed": {kind: [{"argument": "/what"}]}}] {
			unattended(deploying(facts, "user"))
			asks(deploying(facts, "unknown"))
		}
	}
	asks(deploying({"guessed": {"urls": [{"argument": "/what"}]}}, "unknown"))
	unattended(deploying({"guessed": {"urls": [{"argument": "/what"}]}}, "trusted"))
}

test_anything_out_of_an_untrusted_output_asks if {
	asks(call("irreversible", {"recipients": [ann]}, {"/to": from("user"), "/reference": from("untrusted")}))
}

test_a_quotation_goes_to_those_whom_the_user_named if {
	quoted := {"labels": {"arguments": {"/body": from("untrusted")}}}
	unattended(object.union(irreversible(mail("user")), quoted))
	asks(object.union(irreversible(mail("trusted")), quoted))
}

test_a_link_goes_with_a_person if {
	asks(irreversible(linking("untrusted", "evil.example")))
	unattended(irreversible(linking("unknown", "evil.example")))
}

# Trusted, and in an untrusted output too.
contested := {"trust": "trusted", "origins": [{"kind": "trusted"}, {"kind": "untrusted"}], "readers": null}

naming(value) := object.union(call("irreversible", {}, {"/id": contested}), {"arguments": {"id": value}})

test_what_an_untrusted_output_names_too_may_be_its_choice if {
	asks(naming("file_4711"))
	asks(naming(4711))
	asks(naming(null))
	asks(object.remove(naming("x"), ["arguments"]))
	asks(object.union(naming("x"), {"labels": {"arguments": {"/ids/0": contested}}}))
	asks(irreversible(object.union(mail("user"), {"labels": {"arguments": {"/to": contested}}})))
}

test_a_value_of_two_characters_stands_everywhere if {
	unattended(naming("13"))
	unattended(naming(13))
}

test_origins_that_are_no_list_vouch_for_nothing if {
	every wrong in [null, "trusted", {}, 5] {
		asks(call("irreversible", {}, {"/id": {"trust": "trusted", "origins": wrong}}))
	}
}

# --- outputs --------------------------------------------------------------------------------------

test_outputs_are_for_other_rules if {
	given := object.union(after_a_secret(irreversible(restricted([]))), {"point": "output"})
	every facts in [{"recipients": [ann]}, {"urls": [page]}] {
		said(object.union(given, {"facts": facts, "labels": {"arguments": {"/id": from("untrusted")}}}), {}) == nothing
	}
}
