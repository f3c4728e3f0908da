# METADATA
# title: Mask
# description: >-
#   What nothing may show: arguments, and members of them at any depth, whose name says that they are secret, and
#   arguments in which a key, a token or a password was found.
# scope: package
package guardrail.mask

# METADATA
# title: Arguments and members with the name of a secret
# custom:
#   rule: mask.arguments
#   atlas: [AML.T0086]
hide contains pointer if {
	walk(input.arguments, [path, _])
	count(path) > 0
	is_secret(path[count(path) - 1])
	pointer := concat("", [sprintf("/%s", [escaped(step)]) | is_array(path); some step in path])
}

# METADATA
# title: Arguments in which a secret was found
# custom:
#   rule: mask.found
#   atlas: [AML.T0086]
hide contains sprintf("/%s", [argument]) if {
	some fact in input.facts.secrets
	fact.category == "secret"
	argument := split(fact.argument, "/")[1] # the whole of it: it may have been found in the name of a member
}

is_secret(name) if {
	is_string(name)
	lower(name) in data.guardrail.settings.secret_arguments
}

# What is no list names everything.
is_secret(_) if not is_array(data.guardrail.settings.secret_arguments)

escaped(step) := replace(replace(sprintf("%v", [step]), "~", "~0"), "/", "~1")
