"""What a deny or ask quotes: where it may be left out, the rule is refused, for the verdict would vanish."""

import pytest

from guardrail.bundles import Bundle
from guardrail.errors import PreflightError
from guardrail.rego import RegoPolicy, preflight

HEAD = """package guardrail.rules.pay

import input.arguments as args

allow contains {"rule": "pay.ok", "message": "m"} if input.tool.effect == "read"

big if {
    is_number(input.arguments.amount)
    input.arguments.amount > 100
}

title := concat("/", [input.tool.server, input.tool.name])

memo := input.arguments.memo

default note := ""

note := input.arguments.note

default named(_) := "somebody"

named(x) := input.arguments.names[x]

quoted(x) := sprintf("<%v>", [x])

partial(x) := x if x != ""

route(url) := concat("://", [url.scheme, url.host])

places contains {"host": url.host, "memo": input.arguments.memo} if some url in input.facts.urls

crowded if count(places) > 3

"""
LINE = HEAD.count("\n") + 1


def rule(message: str, body: str = "big", *, verdict: str = "deny") -> str:
    return f'{verdict} contains {{"rule": "pay.r", "message": {message}}} if {{\n    {body}\n}}\n'


def findings(source: str) -> list[str]:
    with pytest.raises(PreflightError) as caught:
        preflight(Bundle.of({"pay.rego": HEAD + source}))
    return list(caught.value.findings)


def finding(line: int, what: str, advice: str) -> str:
    return (
        f"pay.rego:{line}: {what} may have no value, and then neither has this reason: it refuses nothing; "
        f"{advice} [quote]"
    )


QUOTED = {
    "input.arguments.memo": ("input.arguments.memo", 'write `object.get(input.arguments, "memo", "")`'),
    'sprintf("%v", [input.arguments.memo])': (
        "input.arguments.memo",
        'write `object.get(input.arguments, "memo", "")`',
    ),
    'sprintf("%v", [args.memo])': ("args.memo", 'write `object.get(args, "memo", "")`'),
    'input.arguments["memo"]': ("input.arguments.memo", 'write `object.get(input.arguments, "memo", "")`'),
    "input.arguments.to.name": ("input.arguments.to.name", 'write `object.get(input.arguments, ["to", "name"], "")`'),
    "input.arguments[input.tool.name]": (
        "input.arguments[input.tool.name]",
        'write `object.get(input.arguments, input.tool.name, "")`',
    ),
    "input.agent.attributes.team": (
        "input.agent.attributes.team",
        'write `object.get(input.agent.attributes, "team", "")`',
    ),
    'concat(", ", [memo])': ("memo", "give memo a `default`"),
    'partial("x")': ('partial("x")', "give the function a `default`, or read it in a rule that has one"),
    "route(args)": ("route(args)", "give the function a `default`, or read it in a rule that has one"),
    "max([])": ("max([…])", "give the function a `default`, or read it in a rule that has one"),
}  # fmt: skip


@pytest.mark.parametrize("verdict", ["deny", "ask"])
@pytest.mark.parametrize("message", QUOTED)
def test_a_reason_that_quotes_what_may_be_left_out_is_refused(message: str, verdict: str):
    what, advice = QUOTED[message]
    assert findings(rule(message, verdict=verdict)) == [finding(LINE, what, advice)]


@pytest.mark.parametrize(
    "body",
    [
        "big; m := input.arguments.memo",
        "m := input.arguments.memo; big",
        'big; m := sprintf("%v", [input.arguments.memo])',
        "big; m = input.arguments.memo",
        'big; sprintf("%v", [input.arguments.memo], m)',
        "big; x := input.arguments.memo; m := lower(x)",
        'big; [m, _] := [input.arguments.memo, "b"]',
    ],
)
def test_a_name_that_only_the_reason_reads_is_a_part_of_it(body: str):
    assert findings(rule("m", body)) == [
        finding(LINE + 1, "input.arguments.memo", 'write `object.get(input.arguments, "memo", "")`')
    ]


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ("input.arguments.amount", "big"),  # a rule that is asked insists on it
        ('object.get(input.arguments, "memo", "")', "big"),
        ("m", 'big; m := object.get(input.arguments, "memo", "")'),
        ("input.arguments.memo", "big; input.arguments.memo"),
        ("input.arguments.memo", 'big; args.memo != "gift"'),
        ("input.arguments.memo", "big; is_string(input.arguments.memo)"),
        ("m", 'big; m := input.arguments.memo; m != ""'),
        ("m", "big; m := input.arguments.memo; is_string(m)"),
        ("title", "big"),
        ("quoted(title)", "big"),
        ("note", "big"),
        ("named(input.tool.name)", "big"),
        ("[x | x := input.arguments.memo]", "big"),
        ("url.host", "some url in input.facts.urls"),
        ("url.host", "url := input.facts.urls[_]"),
        ("route(url)", "some url in input.facts.urls"),
        ("place.memo", "some place in places"),  # what has no memo is no member
        ("input.facts.urls[i].host", "some i; input.facts.urls[i].credentials"),
        ("key", "some key, _ in input.arguments"),
        (
            "input.agent.id",
            "big; seen := input.arguments.memo",
        ),  # nobody reads it: it asks whether it is there
    ],
)
def test_a_reason_whose_parts_are_there_where_its_body_holds_is_fine(message: str, body: str):
    preflight(Bundle.of({"pay.rego": HEAD + rule(message, body)}))


def test_a_reason_that_another_rule_makes_is_looked_at_there():
    made = """deny contains reason if some reason in reasons

reasons contains {"rule": "pay.r", "message": input.arguments.memo} if big
"""
    advice = 'write `object.get(input.arguments, "memo", "")`'
    assert findings(made) == [finding(LINE + 2, "input.arguments.memo", advice)]
    taken = """deny contains reason if {
    reason := violation
}

violation := {"rule": "pay.r", "message": input.arguments.memo} if big
"""
    assert findings(taken) == [finding(LINE + 4, "input.arguments.memo", advice)]


def test_a_rule_that_may_have_no_value_and_makes_no_reason_is_fine():
    preflight(Bundle.of({"pay.rego": HEAD + rule('"m"', 'memo == "gift"')}))


def test_an_allow_that_vanishes_refuses():
    preflight(Bundle.of({"pay.rego": HEAD + rule("input.arguments.memo", verdict="allow")}))


def test_what_is_advised_is_accepted_and_refuses_without_the_argument():
    source = HEAD + rule('sprintf("too much: %v", [object.get(input.arguments, "memo", "")])')
    policy = RegoPolicy(Bundle.of({"pay.rego": source}))
    policy.close()
