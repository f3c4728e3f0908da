# METADATA
# title: Dataflow
# description: >-
#   Where the arguments came from, against what the call does with them. The user's own words and trusted outputs vouch for
#   who gets something; untrusted outputs and nobody do not. What only some may read does not leave to others, and once a run
#   has seen a secret, strangers wait. Values are compared, so paraphrase and what a text talked the agent into are not seen.
# custom:
#   decides: where arguments came from, against recipients, URLs, amounts and content
# scope: package
package guardrail.rules.dataflow

import data.guardrail.hosts
import data.guardrail.provenance
import data.guardrail.recipients
import data.guardrail.vouching

# METADATA
# title: What cannot be undone is allowed where all that matters is vouched for, and the owner says so
# custom:
#   rule: dataflow.vouched
#   atlas: [AML.T0053, AML.T0101]
allow contains {
	"rule": "dataflow.vouched",
	"message": "the user's own words and trusted outputs vouch for what the call does",
} if {
	not input.tool.effect in {"read", "write"}
	data.guardrail.provenance.unattended
	input.point == "action"
}

# METADATA
# title: A recipient that nobody vouched for waits for a person
# custom:
#   rule: dataflow.recipient
#   atlas: [AML.T0051.001, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.recipient",
	"message": sprintf("%s came from %s", [recipient.value, recipient.source]),
	"fix": "ask the user whom it should go to, or find it with a tool that is trusted",
}) if {
	data.guardrail.dataflow.strangers == "ask"
	some recipient in strangers
}

# METADATA
# title: A recipient that nobody vouched for is refused, where the owner says so
# custom:
#   rule: dataflow.recipient
#   atlas: [AML.T0051.001, AML.T0086]
deny contains {
	"rule": "dataflow.recipient",
	"message": sprintf("%s came from %s", [recipient.value, recipient.source]),
	"fix": "ask the user whom it should go to, or find it with a tool that is trusted",
} if {
	data.guardrail.dataflow.strangers != "ask"
	some recipient in strangers
}

# METADATA
# title: A URL that nobody vouched for waits for a person
# custom:
#   rule: dataflow.url
#   atlas: [AML.T0051.001, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.url",
	"message": sprintf("the URL of %s came from %s", [place.host, place.source]),
	"fix": "use a URL as the user gave it, or a host that the owner has listed under settings.hosts",
}) if {
	data.guardrail.dataflow.strangers == "ask"
	some place in places
}

# METADATA
# title: A URL that nobody vouched for is refused, where the owner says so
# custom:
#   rule: dataflow.url
#   atlas: [AML.T0051.001, AML.T0086]
deny contains {
	"rule": "dataflow.url",
	"message": sprintf("the URL of %s came from %s", [place.host, place.source]),
	"fix": "use a URL as the user gave it, or a host that the owner has listed under settings.hosts",
} if {
	data.guardrail.dataflow.strangers != "ask"
	some place in places
}

# METADATA
# title: What cannot be undone, with values out of untrusted outputs, waits for a person
# custom:
#   rule: dataflow.irreversible
#   atlas: [AML.T0051.001, AML.T0101]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.irreversible",
	"message": sprintf("%s came from an untrusted output", [argument]),
	"fix": "take the value from the user's words or from a trusted tool, or ask the user",
}) if {
	not input.tool.effect in {"read", "write"}
	some argument in data.guardrail.vouching.foreign
	input.point == "action"
}

# METADATA
# title: Writing what came out of untrusted outputs waits for a person where nothing else vouches for the call
# description: Where nothing in a call is the user's or a trusted tool's, it is likely that the idea of it is not either.
# custom:
#   rule: dataflow.orders
#   atlas: [AML.T0051.001]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.orders",
	"message": sprintf("%s came from an untrusted output, and nothing in the call is the user's", [argument]),
	"fix": "write what the user asked for, or ask the user",
}) if {
	input.tool.effect == "write"
	some argument, _ in input.labels.arguments
	provenance.trust(argument) == "untrusted"
	not is_anchored
	input.point == "action"
}

# Something in the call is the user's, or a trusted tool's: what the tool's own definition offers does not count.
is_anchored if {
	some argument, _ in input.labels.arguments
	provenance.vouched(argument)
	count(vouching.origins(argument) & {"user", "trusted"}) > 0
}

# METADATA
# title: A link out of an untrusted output is handed on by a person
# custom:
#   rule: dataflow.link
#   atlas: [AML.T0051.001, AML.T0052]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.link",
	"message": sprintf("%s links to %s, out of an untrusted output", [content.argument, link.host]),
	"fix": "leave the link out, or ask the user",
}) if {
	some content in input.facts.contents
	some link in content.links
	vouching.is_foreign(content, link)
	not is_listed(link.host)
	input.tool.effect != "read"
	input.point == "action"
}

# METADATA
# title: Quoting untrusted outputs to somebody whom the user did not name waits for a person
# custom:
#   rule: dataflow.quotes
#   atlas: [AML.T0051.001, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.quotes",
	"message": sprintf("%s quotes an untrusted output, and the user did not name %s", [argument, recipient.value]),
	"fix": "write it in your own words, or ask the user",
}) if {
	some recipient in input.facts.recipients
	provenance.trust(recipient.argument) != "user"
	not recipients.among(recipient, data.guardrail.dataflow.recipients)
	some argument in data.guardrail.vouching.quoting
	input.point == "action"
}

# METADATA
# title: What only some may read does not leave to others
# custom:
#   rule: dataflow.readers
#   atlas: [AML.T0057, AML.T0086]
deny contains {
	"rule": "dataflow.readers",
	"message": sprintf("%s may be read by %s only, and would go to %s", [
		leak.argument, leak.readers, leak.to,
	]),
	"fix": "leave it out, or send it to somebody who may read it",
} if {
	data.guardrail.dataflow.readers != "ask"
	some leak in leaks
}

# METADATA
# title: What only some may read waits for a person, where the owner says so
# custom:
#   rule: dataflow.readers
#   atlas: [AML.T0057, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.readers",
	"message": sprintf("%s may be read by %s only, and would go to %s", [
		leak.argument, leak.readers, leak.to,
	]),
	"fix": "leave it out, or send it to somebody who may read it",
}) if {
	data.guardrail.dataflow.readers == "ask"
	some leak in leaks
}

# METADATA
# title: Once a run has seen a secret, whoever the user did not name waits for a person
# custom:
#   rule: dataflow.secret
#   atlas: [AML.T0057, AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "dataflow.secret",
	"message": sprintf("the run has seen a secret, and the call reaches %s", [name]),
	"fix": "reach those whom the user named or the owner has listed, or ask the user",
}) if {
	data.guardrail.dataflow.secrets == "ask"
	"secret" in input.labels.run
	some name in unnamed
}

# METADATA
# title: Once a run has seen a secret, whoever the user did not name is refused, where the owner says so
# custom:
#   rule: dataflow.secret
#   atlas: [AML.T0057, AML.T0086]
deny contains {
	"rule": "dataflow.secret",
	"message": sprintf("the run has seen a secret, and the call reaches %s", [name]),
	"fix": "reach those whom the user named or the owner has listed, or ask the user",
} if {
	data.guardrail.dataflow.secrets != "ask"
	"secret" in input.labels.run
	some name in unnamed
}

strangers contains {"value": recipient.value, "source": source(recipient.argument)} if {
	some recipient in input.facts.recipients
	not provenance.vouched(recipient.argument)
	not recipients.among(recipient, data.guardrail.dataflow.recipients)
	input.point == "action"
}

places contains {"host": url.host, "source": source(url.argument)} if {
	some url in input.facts.urls
	not provenance.vouched(url.argument)
	not is_listed(url.host)
	not is_followed(url.argument)
	input.point == "action"
}

# A link is followed where a tool reads it letter by letter as an untrusted output had it.
is_followed(argument) if {
	data.guardrail.dataflow.links == "follow"
	input.tool.effect == "read"
	provenance.trust(argument) == "untrusted"
	provenance.whole(argument)
}

is_listed(host) if hosts.listed(host, data.guardrail.settings.hosts)

is_listed(host) if hosts.listed(host, data.guardrail.settings.private_hosts)

source(argument) := "an untrusted output" if provenance.trust(argument) == "untrusted"

source(argument) := "nobody that is known" if not provenance.trust(argument) == "untrusted"

leaks contains {"argument": argument, "readers": concat(", ", readers), "to": recipient.value} if {
	some argument, _ in input.labels.arguments
	readers := object.get(input.labels.arguments, [argument, "readers"], null)
	readers != null
	some recipient in input.facts.recipients
	not recipients.among(recipient, readers)
	input.point == "action"
}

leaks contains {"argument": argument, "readers": concat(", ", readers), "to": url.host} if {
	some argument, _ in input.labels.arguments
	readers := object.get(input.labels.arguments, [argument, "readers"], null)
	readers != null
	some url in input.facts.urls
	not hosts.listed(url.host, readers)
	input.point == "action"
}

unnamed contains recipient.value if {
	some recipient in input.facts.recipients
	provenance.trust(recipient.argument) != "user"
	not recipients.among(recipient, data.guardrail.dataflow.recipients)
	input.point == "action"
}

unnamed contains url.host if {
	some url in input.facts.urls
	provenance.trust(url.argument) != "user"
	not is_listed(url.host)
	input.point == "action"
}
