# METADATA
# title: Mask
# description: Arguments whose name says that they are secret are shown to nobody.
# scope: package
package guardrail.mask

import data.guardrail.settings

# METADATA
# title: Arguments with the name of a secret
# custom:
#   rule: mask.arguments
#   atlas: [AML.T0086]
hide contains sprintf("/%s", [escaped]) if {
	some name, _ in input.arguments
	is_secret(name)
	escaped := replace(replace(name, "~", "~0"), "/", "~1")
}

is_secret(name) if lower(name) in settings.secret_arguments

# What is no list names everything.
is_secret(_) if not is_array(settings.secret_arguments)
