# METADATA
# title: Settings of the pack outputs
# description: >-
#   Of the bundle's data: {"settings": {"outputs": {"failed": {"injection": "ask", "size": "allow"}}}}.
# scope: package
package guardrail.outputs

# METADATA
# title: What happens where a check failed
# description: >-
#   The name of a check, to "redact" (what it found is blanked), "ask", "allow" or "deny". A check that is not named here
#   is redacted where it says what it found, and otherwise refused.
default failed := {}

failed := data.settings.outputs.failed

# METADATA
# title: What happens with packages that an answer tells the user to install
# description: >-
#   "judge": as the pack `packages` judges those of a call, with its settings; "pass": nothing. They are looked up where
#   `[registry]` or a snapshot is there.
default packages := "judge"

packages := data.settings.outputs.packages
