# METADATA
# title: Settings of the pack dataflow
# description: >-
#   Of the bundle's data: {"settings": {"dataflow": {"vouched": "allow", "recipients": ["*@example.com"]}}}.
# scope: package
package guardrail.dataflow

# METADATA
# title: What happens with what cannot be undone where all that matters is vouched for
# description: '"ask" or "allow". The labels of the arguments say who vouches for them.'
default vouched := "ask"

vouched := data.settings.dataflow.vouched

# METADATA
# title: What happens with recipients and URLs that nobody vouched for
# description: '"ask" or "deny".'
default strangers := "ask"

strangers := data.settings.dataflow.strangers

# METADATA
# title: Who may be reached wherever the name came from
# description: As the facts show it in normal form ("ann@partner.example"), or a domain ("*@example.com").
default recipients := []

recipients := data.settings.dataflow.recipients

# METADATA
# title: Whether a link that stands as it is in an untrusted output may be read
# description: >-
#   "follow" or "ask". Such a link carries out nothing that its author did not know, and still says that it was read. One that
#   was put together from parts is asked for in any case.
default links := "follow"

links := data.settings.dataflow.links

# METADATA
# title: What happens with content that goes to somebody who may not read it
# description: '"ask" or "deny".'
default readers := "deny"

readers := data.settings.dataflow.readers

# METADATA
# title: What happens with strangers once the run has seen a secret
# description: '"ask" or "deny".'
default secrets := "ask"

secrets := data.settings.dataflow.secrets
