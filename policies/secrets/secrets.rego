# METADATA
# title: Secrets
# description: >-
#   A key or a token in an argument was read somewhere and is on its way elsewhere: to a tool that does more than read, or with
#   a URL, a recipient or a content. Tools have credentials of their own.
# custom:
#   decides: keys and tokens in any argument
# scope: package
package guardrail.rules.secrets

# METADATA
# title: A secret on its way out waits for a person
# custom:
#   rule: secrets.outward
#   atlas: [AML.T0086]
ask contains object.union(data.guardrail.settings.approval, {
	"rule": "secrets.outward",
	"message": sprintf("%s holds a secret (%s)", [secret.argument, secret.kind]),
	"fix": "leave the secret out; the tools have credentials of their own",
}) if {
	outward
	some secret in input.facts.secrets
	secret.category == "secret"
	input.point == "action"
}

outward if input.tool.effect != "read"

outward if {
	some led in [input.facts.urls, input.facts.guessed.urls, input.facts.recipients, input.facts.contents]
	count(led) > 0
}
