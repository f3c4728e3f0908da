package tests.approval

import data.guardrail.approval

ask(approvers, quorum) := {"rule": "x", "message": "m", "approvers": approvers, "quorum": quorum}

person(id, roles) := {"id": id, "roles": roles, "principals": [concat(":", ["user", id])], "attributes": {}}

yes(id, roles) := {"person": person(id, roles), "answer": "approve", "channel": "cli", "at": "2026-01-31T12:00:00Z"}

no(id) := {"person": person(id, []), "answer": "reject", "channel": "cli", "at": "2026-01-31T12:00:00Z"}

given(asks, who, votes) := {
	"request": {
		"chain": ["supervisor", "payer"],
		"principal": "user:anna",
		"tool": "bank/send_money",
		"asks": asks,
		"edited_by": "eve",
	},
	"call": {"arguments": {"amount": 5000}},
	"person": who,
	"votes": votes,
	"remembered": [],
}

tiers := [{
	"tool": "bank/send_money",
	"argument": "amount",
	"over": 1000,
	"approvers": ["role:finance"],
	"quorum": 2,
}]

rules(reasons) := {reason.rule | some reason in reasons}

test_anybody_who_is_not_barred_may_answer if {
	count(approval.barred) == 0 with input as given([ask([], 1)], person("bob", []), [])
}

test_an_agent_does_not if {
	rules(approval.barred) == {"approval.agent"} with input as given([ask([], 1)], person("payer", []), [])
}

test_whom_the_agents_act_for_does_not if {
	rules(approval.barred) == {"approval.principal"} with input as given([ask([], 1)], person("anna", []), [])
}

test_approvers_are_people_or_roles if {
	asks := [ask(["bob", "role:finance", "user:mia"], 1)]
	every who in [person("bob", []), person("joe", ["finance"]), person("mia", [])] {
		count(approval.barred) == 0 with input as given(asks, who, [])
	}
	barred := approval.barred with input as given(asks, person("mallory", ["sales"]), [])
	barred == {{
		"rule": "approval.approvers",
		"message": "mallory is not an approver of this request",
		"fix": "ask one of: bob, role:finance, user:mia",
	}}
}

test_every_requirement_needs_its_number_of_people if {
	asks := [ask([], 2), ask(["role:finance"], 1)]
	not approval.met with input as given(asks, person("", []), [yes("bob", []), yes("joe", [])])
	not approval.met with input as given(asks, person("", []), [yes("bob", ["finance"])])
	not approval.met with input as given(asks, person("", []), [yes("bob", ["finance"]), no("joe")])
	approval.met with input as given(asks, person("", []), [yes("bob", ["finance"]), yes("joe", [])])
}

test_nothing_is_met_by_nobody if {
	not approval.met with input as given([], person("", []), [])
}

test_what_is_remembered_is_a_yes if {
	asked := given([ask(["role:finance"], 1)], person("", []), [])
	scope := {"id": "s", "person": person("bob", ["finance"]), "at": "", "until": ""}
	approval.met with input as object.union(asked, {"remembered": [scope]})
}

test_the_amount_asks_for_more if {
	one := [yes("bob", ["finance"])]
	two := [yes("bob", ["finance"]), yes("joe", ["finance"])]
	not approval.met with input as given([ask([], 1)], person("", []), one) with data.settings.tiers as tiers
	approval.met with input as given([ask([], 1)], person("", []), two) with data.settings.tiers as tiers
}

test_an_amount_that_is_none_is_in_every_tier if {
	one := given([ask([], 1)], person("", []), [yes("bob", ["finance"])])
	every amount in [null, "5", true, [1], {}, 1000.5] {
		asked := object.union(one, {"call": {"arguments": {"amount": amount}}})
		not approval.met with input as asked with data.settings.tiers as tiers
	}
	below := object.union(one, {"call": {"arguments": {"amount": 1000}}})
	approval.met with input as below with data.settings.tiers as tiers
}

test_a_tier_that_is_written_wrongly_is_never_met_and_bars_everybody if {
	two := given([ask([], 1)], person("bob", ["finance"]), [yes("bob", ["finance"]), yes("joe", ["finance"])])
	every wrong in [
		object.union(tiers[0], {"approvers": "role:finance"}),
		object.union(tiers[0], {"approver": ["role:cfo"]}),
		object.union(tiers[0], {"over": "1000"}),
		object.remove(tiers[0], ["over"]),
		object.remove(tiers[0], ["argument"]),
		object.remove(tiers[0], ["tool"]),
	] {
		not approval.met with input as two with data.settings.tiers as [wrong]
		rules(approval.barred) == {"approval.tier"} with input as two with data.settings.tiers as [wrong]
	}
}

test_tiers_that_are_no_list_bar_everybody if {
	two := given([ask([], 1)], person("bob", ["finance"]), [yes("bob", ["finance"]), yes("joe", ["finance"])])
	every wrong in [null, 5, "none", {"tool": "bank/send_money"}] {
		not approval.met with input as two with data.settings.tiers as wrong
		rules(approval.barred) == {"approval.tier"} with input as two with data.settings.tiers as wrong
	}
}

test_two_people_may_both_answer_what_is_asked if {
	asked := given([ask(["role:finance"], 1)], person("", []), [yes("bob", ["finance"]), yes("joe", [])])
	approval.met with input as asked
	not approval.met with input as asked with data.settings.two_person as true
}

test_two_people_are_two_and_none_of_them_changed_the_arguments if {
	asks := [ask([], 1)]
	one := [yes("bob", [])]
	editor := [yes("bob", []), yes("eve", [])]
	two := [yes("bob", []), yes("joe", [])]
	not approval.met with input as given(asks, person("", []), one) with data.settings.two_person as true
	not approval.met with input as given(asks, person("", []), editor) with data.settings.two_person as true
	approval.met with input as given(asks, person("", []), two) with data.settings.two_person as true
	barred := approval.barred with input as given(asks, person("eve", []), []) with data.settings.two_person as true
	rules(barred) == {"approval.two_person"}
	count(approval.barred) == 0 with input as given(asks, person("eve", []), [])
}
