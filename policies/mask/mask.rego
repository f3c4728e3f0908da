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
	lower(name) in settings.secret_arguments
	escaped := replace(replace(name, "~", "~0"), "/", "~1")
}
