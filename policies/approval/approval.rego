# METADATA
# title: Approval
# description: >-
#   Who may answer for a call, and when the answers are enough. Asked at every vote, and again when the call is about to
#   run. A file of your own in this package takes the place of this one. Whatever it says: agents, and the person they
#   act for, never vote; nobody counts twice; one no is final; and nothing is met without anybody's yes.
# scope: package
package guardrail.approval

# METADATA
# title: What guardrail reads
# entrypoint: true
decision := {"barred": barred, "met": met}

# METADATA
# title: Agents do not vote
# custom:
#   rule: approval.agent
#   atlas: [AML.T0053]
barred contains {
	"rule": "approval.agent",
	"message": "an agent of this call does not vote",
} if {
	input.person.id in input.request.chain
}

# METADATA
# title: Whom the agents act for does not vote
# custom:
#   rule: approval.principal
#   atlas: [AML.T0053]
barred contains {
	"rule": "approval.principal",
	"message": "the agents act for this person: somebody else has to answer",
} if {
	input.request.principal in names(input.person)
}

# METADATA
# title: Only approvers vote
# custom:
#   rule: approval.approvers
#   atlas: [AML.T0053]
barred contains {
	"rule": "approval.approvers",
	"message": sprintf("%s is not an approver of this request", [input.person.id]),
	"fix": sprintf("ask one of: %s", [concat(", ", sort(wanted))]),
} if {
	count(answerable) == 0
}

# METADATA
# title: Two people
# description: Whoever changed the arguments does not approve them.
# custom:
#   rule: approval.two_person
#   atlas: [AML.T0053]
barred contains {
	"rule": "approval.two_person",
	"message": "this person changed the arguments: somebody else has to answer",
} if {
	two_person
	input.person.id == input.request.edited_by
}

# METADATA
# title: Tiers are written as they are read
# description: Nobody can say what a tier that is written otherwise was meant to ask for, so nobody answers.
# custom:
#   rule: approval.tier
#   atlas: [AML.T0053]
barred contains {
	"rule": "approval.tier",
	"message": "a tier of settings.tiers is not written as tiers are",
	"fix": "repair data.json: tool, argument and over, and approvers or quorum",
} if {
	is_broken
}

# METADATA
# title: Everything that is asked for
# description: What the policy asked for this call, and what the amount asks for besides.
requirements := array.concat(input.request.asks, tiers_that_apply)

# METADATA
# title: The answers are enough
# description: Every requirement has its number of different people who said yes.
default met := false

met if {
	not is_broken
	every requirement in requirements {
		is_number(requirement.quorum)
		count(agreed(requirement)) >= requirement.quorum
	}
	count(everybody) >= least
}

default least := 1

least := 2 if two_person

# METADATA
# title: Who said yes to a requirement
# description: By a vote, or by a scope that was remembered and that this call is in.
agreed(requirement) := {person.id |
	some person in yes
	may_answer(requirement, person)
	not edits_and_agrees(person)
}

# METADATA
# title: Everybody who said yes
# description: Somebody who may answer nothing that is asked is nobody here.
everybody := {person.id |
	some person in yes
	some requirement in requirements
	may_answer(requirement, person)
	not edits_and_agrees(person)
}

yes contains vote.person if {
	some vote in input.votes
	vote.answer == "approve"
}

yes contains scope.person if some scope in input.remembered

edits_and_agrees(person) if {
	two_person
	person.id == input.request.edited_by
}

answerable contains number if {
	some number, requirement in requirements
	may_answer(requirement, input.person)
}

wanted contains name if {
	some requirement in requirements
	is_array(requirement.approvers)
	some name in requirement.approvers
}

may_answer(requirement, _) if {
	is_array(requirement.approvers)
	count(requirement.approvers) == 0
}

may_answer(requirement, person) if {
	is_array(requirement.approvers)
	count(names(person) & {name | some name in requirement.approvers}) > 0
}

# METADATA
# title: Names that approvers may be given by
# description: The id of a person, whom agents act for where they act for this person, and `role:NAME` for every role.
names(person) := ({person.id} | {name | some name in person.principals}) | {sprintf("role:%s", [role]) |
	some role in person.roles
} if {
	is_array(person.principals)
	is_array(person.roles)
}

# METADATA
# title: Tiers that a call is in
# description: One whose argument is no number is in every tier of its tool.
tiers_that_apply := [asked |
	is_array(tiers)
	some tier in tiers
	object.get(tier, "tool", input.request.tool) == input.request.tool
	not is_below(tier)
	asked := {
		"rule": "approval.tier",
		"message": sprintf("%v is over %v", [object.get(tier, "argument", "?"), object.get(tier, "over", "?")]),
		"approvers": object.get(tier, "approvers", []),
		"quorum": object.get(tier, "quorum", 1),
	}
]

is_below(tier) if {
	amount := object.get(input.call.arguments, tier.argument, null)
	is_number(amount)
	is_number(tier.over)
	amount <= tier.over
}

# METADATA
# title: A tier is written otherwise than tiers are
default is_broken := false

is_broken if not is_array(tiers)

is_broken if {
	is_array(tiers)
	some tier in tiers
	not is_tier(tier)
}

is_tier(tier) if {
	is_object(tier)
	is_string(tier.tool)
	is_string(tier.argument)
	is_number(tier.over)
	is_array(object.get(tier, "approvers", []))
	is_number(object.get(tier, "quorum", 1))
	count(object.keys(tier) - {"tool", "argument", "over", "approvers", "quorum"}) == 0
}

# METADATA
# title: Tiers by amount
# description: >-
#   Of the bundle's data: {"settings": {"tiers": [{"tool": "bank/send_money", "argument": "amount", "over": 1000,
#   "approvers": ["role:finance"], "quorum": 2}]}}.
default tiers := []

tiers := data.settings.tiers

# METADATA
# title: Two people for everything
# description: Of the bundle's data, settings.two_person. Whoever changes the arguments is not one of the two.
default two_person := false

two_person := data.settings.two_person
