package tests.delegation

import data.guardrail.rules.delegation

by(chain, effect) := {
	"point": "action", "agent": {"id": chain[count(chain) - 1], "chain": chain},
	"tool": {"server": "local", "name": "act", "effect": effect}, "labels": {"arguments": {}},
}

rules(reasons) := {reason.rule | some reason in reasons}

said(given, settings) := {"deny": deny, "ask": ask} if {
	deny := rules(delegation.deny) with input as given with data.settings as {"delegation": settings}
	ask := rules(delegation.ask) with input as given with data.settings as {"delegation": settings}
}

nothing := {"deny": set(), "ask": set()}

test_an_agent_of_its_own_is_fine if {
	said(by(["a"], "irreversible"), {}) == nothing
}

test_a_chain_is_at_most_so_deep if {
	said(by(["a", "b", "c", "d"], "read"), {}) == nothing
	said(by(["a", "b", "c", "d", "e"], "read"), {}) == {"deny": {"delegation.deep"}, "ask": set()}
	said(by(["a", "b", "c"], "read"), {"depth": 1}) == {"deny": {"delegation.deep"}, "ask": set()}
}

test_a_depth_that_is_no_number_refuses if {
	every wrong in [null, true, "3", []] {
		said(by(["a"], "read"), {"depth": wrong}) == {"deny": {"delegation.deep"}, "ask": set()}
	}
}

test_nobody_acts_through_itself if {
	said(by(["a", "b", "a"], "read"), {}) == {"deny": {"delegation.circle"}, "ask": set()}
}

test_agents_that_are_kept_apart_do_not_meet if {
	apart := {"apart": [["researcher", "payer"], ["x", "y", "z"]]}
	said(by(["lead", "researcher"], "read"), apart) == nothing
	said(by(["researcher", "payer"], "read"), apart) == {"deny": {"delegation.apart"}, "ask": set()}
	said(by(["payer", "lead", "researcher"], "read"), apart) == {"deny": {"delegation.apart"}, "ask": set()}
	said(by(["x", "z"], "read"), apart) == {"deny": {"delegation.apart"}, "ask": set()}
	expected := {{
		"rule": "delegation.apart",
		"message": "payer and researcher are to be kept apart",
		"fix": "let an agent make the call that has nothing to do with the other one",
	}}
	delegation.deny == expected with input as by(["researcher", "payer"], "read") with data.settings as {"delegation": apart}
}

test_what_cannot_be_undone_asks_on_behalf_of_another if {
	every effect in ["irreversible", "", null] {
		said(by(["a", "b"], effect), {}) == {"deny": set(), "ask": {"delegation.irreversible"}}
	}
	every effect in ["read", "write"] {
		said(by(["a", "b"], effect), {}) == nothing
	}
	said(by(["a", "b"], "irreversible"), {"trusted": ["b"]}) == nothing
	said(by(["a", "b"], "irreversible"), {"trusted": ["a"]}) == {"deny": set(), "ask": {"delegation.irreversible"}}
}

test_orders_out_of_untrusted_outputs_ask if {
	tools := {"tools": ["local/act"]}
	every trust in ["user", "trusted", "unknown", null] {
		said(object.union(by(["a"], "write"), {"labels": {"arguments": {"/task": {"trust": trust}}}}), tools) == nothing
	}
	ordered := object.union(by(["a"], "write"), {"labels": {"arguments": {"/task": {"trust": "untrusted"}}}})
	said(ordered, tools) == {"deny": set(), "ask": {"delegation.orders"}}
	said(ordered, {"tools": ["local/other"]}) == nothing
}

test_outputs_are_for_other_rules if {
	given := object.union(by(["a", "b", "a", "b", "a"], "irreversible"), {"point": "output"})
	said(given, {"apart": [["a", "b"]], "tools": ["local/act"]}) == nothing
}
