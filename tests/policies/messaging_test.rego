package tests.messaging

import data.guardrail.rules.messaging

to(names) := [{"argument": sprintf("/to/%d", [index]), "kind": "email", "value": name, "normal": lower(name), "domain": domain} |
	some index, name in names
	domain := concat("", array.slice(split(lower(name), "@"), 1, 2))
]

writing(names, found) := {"point": "action", "facts": {"recipients": to(names), "secrets": found}}

listed := {"messaging": {"recipients": ["*@example.com", "ben@partner.example", "general"]}}

rules(reasons) := {reason.rule | some reason in reasons}

said(given, settings) := {"deny": deny, "ask": ask} if {
	deny := rules(messaging.deny) with input as given with data.settings as settings
	ask := rules(messaging.ask) with input as given with data.settings as settings
}

nothing := {"deny": set(), "ask": set()}

test_without_recipients_there_is_nothing_to_say if {
	said(writing([], []), {}) == nothing
	said({"point": "action"}, {}) == nothing
}

test_until_somebody_is_listed_everybody_asks if {
	said(writing(["ann@example.com"], []), {}) == {"deny": set(), "ask": {"messaging.stranger"}}
	expected := {{
		"rule": "messaging.stranger",
		"message": "Ann@Example.com is not a listed recipient",
		"fix": "write to somebody whom the owner has listed under settings.messaging.recipients, or ask the user",
	}}
	messaging.ask == expected with input as writing(["Ann@Example.com"], [])
}

test_a_listed_recipient_or_domain_is_fine if {
	said(writing(["Ann@Example.com", "ben@partner.example", "general"], []), listed) == nothing
}

test_what_only_looks_like_a_listed_one_is_a_stranger if {
	every name in ["ann@example.com.evil.example", "ann@sub.example.com", "eve@partner.example", "random"] {
		said(writing(["ann@example.com", name], []), listed) == {"deny": set(), "ask": {"messaging.stranger"}}
	}
}

test_strangers_are_refused_where_the_owner_says_so if {
	every word in ["deny", "Ask", null, 5] {
		settings := object.union(listed, {"messaging": {"strangers": word}})
		said(writing(["eve@evil.example"], []), settings) == {"deny": {"messaging.stranger"}, "ask": set()}
	}
}

test_many_at_once_ask if {
	few := [sprintf("a%d@example.com", [number]) | some number in numbers.range(1, 10)]
	said(writing(few, []), listed) == nothing
	said(writing(array.concat(few, ["b@example.com"]), []), listed) == {"deny": set(), "ask": {"messaging.many"}}
}

test_a_number_that_is_none_asks if {
	every wrong in [null, true, "10", []] {
		settings := object.union(listed, {"messaging": {"most": wrong}})
		said(writing(["ann@example.com"], []), settings) == {"deny": set(), "ask": {"messaging.many"}}
	}
}

test_personal_data_stays_with_those_who_are_listed if {
	found := [{"argument": "/body", "kind": "iban", "category": "personal", "start": 0, "end": 20}]
	said(writing(["ann@example.com"], found), listed) == nothing
	said(writing(["eve@evil.example"], found), listed).ask == {"messaging.stranger", "messaging.personal"}
}

test_an_address_is_no_personal_data_of_its_own if {
	found := [{"argument": "/to/0", "kind": "mail_address", "category": "personal", "start": 0, "end": 20}]
	said(writing(["eve@evil.example"], found), listed).ask == {"messaging.stranger"}
}

test_a_list_that_is_none_lists_nobody if {
	every wrong in [null, true, 5, {}, "*@example.com"] {
		settings := {"messaging": {"recipients": wrong}}
		said(writing(["ann@example.com"], []), settings) == {"deny": set(), "ask": {"messaging.stranger"}}
	}
}

test_outputs_are_for_other_rules if {
	said(object.union(writing(["eve@evil.example"], []), {"point": "output"}), {}) == nothing
}
