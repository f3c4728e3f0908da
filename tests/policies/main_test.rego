package tests.main

reason(rule) := {"rule": rule, "message": "because"}

test_every_pack_is_collected if {
	packs := {
		"a": {"deny": {reason("a.1")}, "ask": {reason("a.2")}},
		"b": {"deny": {reason("b.1")}, "allow": {reason("b.2")}},
		"c": {"helper": true},
	}
	expected := {
		"deny": {reason("a.1"), reason("b.1")},
		"ask": {reason("a.2")},
		"allow": {reason("b.2")},
		"mask": {"/secret"},
	}
	data.guardrail.decision == expected with data.guardrail.rules as packs with data.guardrail.mask.hide as {"/secret"}
}

test_silence_is_four_empty_sets if {
	expected := {"deny": set(), "ask": set(), "allow": set(), "mask": set()}
	data.guardrail.decision == expected with data.guardrail.rules as {} with data.guardrail.mask.hide as set()
}
