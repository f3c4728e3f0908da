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
