"""Where one policy would mean two things: what each construct does on OPA 1.22.2 and embedded."""

import pytest

from guardrail.bundles import Bundle
from guardrail.errors import PreflightError
from guardrail.rego import lint, preflight

HEAD = """package guardrail.rules.pay

import data.lib.text as library
import input.arguments as args

number if is_number(input.arguments.amount)

path_is_string if is_string(input.arguments.path)

either_type if is_string(input.arguments.path)

either_type if is_number(input.arguments.path)

total := input.arguments.total

known := {"a", "b"}

default limit := 10

limit := data.settings.limit

names contains name if some name, _ in input.arguments

named if count(names) > 0

is_ok(x) if startswith(x, "/ok")

maybe(x) := 1 if x == "a"

walked(xs) if {
    is_array(xs)
    some x in xs
    x == 1
}

"""
LIBRARY = "package lib.text\n\nshort(x) if count(x) < 3\n"


def bundle(body: str, *, verdict: str = "deny", more: str = "") -> Bundle:
    rule = f'{verdict} contains {{"rule": "pay.r", "message": "m"}} if {{\n    {body}\n}}\n'
    return Bundle.of(
        {"pay.rego": HEAD + more + rule, "text.rego": LIBRARY}, {"settings": {"given": 1, "list": ["a"]}}
    )


def message(body: str) -> str:
    with pytest.raises(PreflightError) as caught:
        preflight(bundle(body))
    (finding,) = caught.value.findings
    place = f"pay.rego:{HEAD.count(chr(10)) + 2}: "
    assert finding.startswith(place), finding
    return finding.removeprefix(place)


REFUSED_NEGATIONS = {
    # construct: (what has no value, the helper rule to write instead)
    "not is_number(input.arguments.amount)": (
        "input.arguments.amount",
        "amount_is_number if is_number(input.arguments.amount)",
        "not amount_is_number",
    ),
    'not startswith(input.arguments.path, "/ok")': (
        "input.arguments.path",
        'path_is_fine if { is_string(input.arguments.path); startswith(input.arguments.path, "/ok") }',
        "not path_is_fine",
    ),
    "not input.arguments.amount <= 100": (
        "input.arguments.amount",
        "amount_is_fine if input.arguments.amount <= 100",
        "not amount_is_fine",
    ),
    'not type_name(input.arguments.x) == "y"': (
        "input.arguments.x",
        'x_is_fine if type_name(input.arguments.x) == "y"',
        "not x_is_fine",
    ),
    "not is_ok(input.arguments.path)": (
        "input.arguments.path",
        "path_is_fine if is_ok(input.arguments.path)",
        "not path_is_fine",
    ),
    "not library.short(input.arguments.path)": (
        "input.arguments.path",
        "path_is_fine if library.short(input.arguments.path)",
        "not path_is_fine",
    ),
    'not "a" in input.arguments.list': (
        "input.arguments.list",
        'list_is_fine if "a" in input.arguments.list',
        "not list_is_fine",
    ),
    "not input.arguments.x in known": (
        "input.arguments.x",
        "x_is_fine if input.arguments.x in known",
        "not x_is_fine",
    ),
    "not known[input.arguments.x]": (
        "input.arguments.x",
        "x_is_fine if known[input.arguments.x]",
        "not x_is_fine",
    ),
    "not input.arguments[total]": ("total", "total_is_fine if input.arguments[total]", "not total_is_fine"),
    "not [input.arguments.x] == [1]": (
        "input.arguments.x",
        "x_is_fine if [input.arguments.x] == [1]",
        "not x_is_fine",
    ),
    'not {"a": input.arguments.x}': (
        "input.arguments.x",
        'x_is_fine if {"a": input.arguments.x}',
        "not x_is_fine",
    ),
    "not sum(input.arguments.x) == 3": (
        "input.arguments.x",
        "x_is_fine if sum(input.arguments.x) == 3",
        "not x_is_fine",
    ),
    "not max([]) == 1": ("max([…])", "max_is_fine if max([]) == 1", "not max_is_fine"),
    'not maybe(object.get(input.arguments, "x", null)) == 1': (
        'maybe(object.get(input.arguments, "x", null))',
        'maybe_is_fine if maybe(object.get(input.arguments, "x", null)) == 1',
        "not maybe_is_fine",
    ),
    "not args.amount <= 100": ("args.amount", "amount_is_fine if args.amount <= 100", "not amount_is_fine"),
    'not input.arguments["a b"] == 1': (
        "input.arguments.a b",
        'b_is_fine if input.arguments["a b"] == 1',
        "not b_is_fine",
    ),
    "not input.arguments.x != input.arguments.y": (
        "input.arguments.x",
        "x_is_fine if input.arguments.x != input.arguments.y",
        "not x_is_fine",
    ),
    "not is_string(input.agent.attributes.team)": (
        "input.agent.attributes.team",
        "team_is_string if is_string(input.agent.attributes.team)",
        "not team_is_string",
    ),
    "not input.usage.denied < 3": (
        "input.usage.denied",
        "denied_is_fine if input.usage.denied < 3",
        "not denied_is_fine",
    ),
    "not data.settings[input.point] == 1": (
        "data.settings[input.point]",
        "point_is_fine if data.settings[input.point] == 1",
        "not point_is_fine",
    ),
    "not input.arguments.x + 1 == 2": (
        "input.arguments.x",
        "x_is_fine if input.arguments.x + 1 == 2",
        "not x_is_fine",
    ),
}


@pytest.mark.parametrize("body", REFUSED_NEGATIONS)
def test_a_negation_over_what_may_be_absent_is_refused_with_the_helper_to_write(body: str):
    what, helper, ask = REFUSED_NEGATIONS[body]
    assert message(body) == (
        f"`{body}` does not hold on OPA where {what} has no value, and holds embedded; "
        f"write the helper rule `{helper}` and ask `{ask}` [parity]"
    )


@pytest.mark.parametrize("body", REFUSED_NEGATIONS)
def test_the_helper_that_is_shown_is_accepted(body: str):
    _, helper, ask = REFUSED_NEGATIONS[body]
    preflight(bundle(ask, more=helper + "\n\n"))


def test_a_helper_takes_the_local_variables_that_it_needs():
    body = 'some item in input.history; not startswith(item.effect, "read")'
    assert message(body).endswith(
        'write the helper rule `effect_is_fine(item) if startswith(item.effect, "read")` '
        "and ask `not effect_is_fine(item)` [parity]"
    )
    helper = 'effect_is_fine(item) if startswith(item.effect, "read")\n\n'
    preflight(bundle("some item in input.history; not effect_is_fine(item)", more=helper))


ACCEPTED = [
    # the same on both back ends
    "not number",
    "not data.guardrail.rules.pay.number",
    'not is_number(object.get(input, ["arguments", "amount"], null))',
    "not input.arguments.flag",
    'not input.arguments["flag"].deep',
    "not args.flag",
    "every x in input.arguments.xs { x == 1 }",
    'input.arguments.xs[_] == "a"',
    'some i; input.arguments.xs[i] == "a"',
    '"a" in input.arguments.xs',
    "count([x | x := input.arguments.xs[_]]) == 0",
    "not count([x | x := input.arguments.xs[_]]) == 0",
    "not total",
    # certain: the policy input always has it
    'not input.tool.effect in {"read", "write"}',
    'not startswith(input.tool.name, "send_")',
    "not input.run.step < 50",
    'some path in input.facts.paths; not startswith(path.resolved, "/srv")',
    'some path in input.facts.paths; some root in path.inside; not root == "work"',
    'not "untrusted" in input.labels.run',
    "some past in input.history; not past.tool == input.tool.name",
    # certain: data of the bundle, rules that always have a value
    "not data.settings.given == 1",
    "not limit == 3",
    'not "a" in names',
    "not count(known) == 2",
    'some name in data.settings.list; not name == "a"',
    # certain: another statement of the body fails without it
    'is_string(input.arguments.path); not startswith(input.arguments.path, "/ok")',
    'not startswith(input.arguments.path, "/ok"); is_string(input.arguments.path)',
    'path_is_string; not startswith(input.arguments.path, "/ok")',
    "input.arguments.amount; not input.arguments.amount <= 100",
    "amount := input.arguments.amount; not amount <= 100",
    'a := input.arguments; is_string(a.path); not startswith(input.arguments.path, "/ok")',
    'either_type; not input.arguments.path == "/ok"',
    # types first
    'is_string(input.arguments.path); startswith(input.arguments.path, "/etc")',
    'path_is_string; startswith(input.arguments.path, "/etc")',
    'is_string(args.path); endswith(input.arguments.path, "/etc")',
    "is_array(input.arguments.xs); some x in input.arguments.xs; x == 1",
    "is_object(input.arguments.xs); some k, v in input.arguments.xs; v == 1",
    "walked(input.arguments.xs)",
    "some name, _ in input.arguments; name == 1",
    'some part in split(input.arguments.path, "/"); part == ".."',
    'startswith(lower(input.arguments.path), "/etc")',
    'startswith(input.tool.name, "send_")',
    # errors on both back ends, with strict-builtin-errors
    'net.cidr_contains("10.0.0.0/8", input.arguments.ip)',
    'to_number("x") == 1',
    'contains(input.arguments.path, "a")',
    'regex.match("a", input.arguments.path)',
]  # fmt: skip


@pytest.mark.parametrize("body", ACCEPTED)
def test_what_means_the_same_on_both_back_ends_is_accepted(body: str):
    preflight(bundle(body))


@pytest.mark.parametrize("body", REFUSED_NEGATIONS)
def test_the_same_is_refused_in_what_a_deny_or_ask_depends_on(body: str):
    helper = f"risky if {{\n    {body}\n}}\n\nriskier if risky\n\n"
    for verdict in ("deny", "ask"):
        with pytest.raises(PreflightError, match=r"\[parity\]"):
            preflight(bundle("riskier", verdict=verdict, more=helper))


NESTED = [
    "count([1 | not input.arguments.x == 1]) == 0",
    "every name in known { not input.arguments[name] == 1 }",
    "x := {1 | some name in known; not input.arguments[name] == 1}; count(x) == 0",
    "not is_null(5) with input.now as input.arguments.now",
]


@pytest.mark.parametrize("body", NESTED)
def test_a_negation_inside_of_a_comprehension_or_every_is_seen(body: str):
    assert "does not hold on OPA" in message(body)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ('startswith(input.arguments.path, "/etc")', "input.arguments.path"),
        ('endswith(input.arguments.path, "/etc")', "input.arguments.path"),
        ('glob.match("/etc/*", ["/"], input.arguments.path)', "input.arguments.path"),
        ('strings.any_prefix_match(input.arguments.path, ["/etc"])', "input.arguments.path"),
        ('strings.any_suffix_match(input.arguments.path, ["/etc"])', "input.arguments.path"),
        ('path := input.arguments.path; startswith(path, "/etc")', "path"),
        ('a := input["arguments"]; startswith(a.path, "/etc")', "a.path"),
        ('startswith(args.path, "/etc")', "args.path"),
        ('either_type; startswith(input.arguments.path, "/etc")', "input.arguments.path"),
    ],
)
def test_what_the_rule_index_of_opa_skips_is_refused_without_a_type_first(body: str, what: str):
    statement = body.rpartition("; ")[2]
    assert message(body) == (
        f"`{statement}` has no value on OPA where {what} is no text, and raises embedded; "
        "write the helper rule `path_is_string if is_string(input.arguments.path)`, "
        "ask `path_is_string` in the same body, and refuse with `not path_is_string` [parity]"
    )


@pytest.mark.parametrize(
    "body",
    [
        "some x in input.arguments.xs; x == 1",
        "some k, v in input.arguments.xs; v == 1",
        "count([x | some x in input.arguments.xs]) == 0",
        "count({x | some x in args.xs}) == 0",
    ],
)
def test_walking_through_what_may_be_no_collection_is_refused(body: str):
    assert message(body).endswith(
        "is no collection, and raises embedded; "
        "write the helper rule `xs_is_array if is_array(input.arguments.xs)`, "
        "ask `xs_is_array` in the same body, and refuse with `not xs_is_array` [parity]"
    )


@pytest.mark.parametrize(
    "body",
    [
        'some x in object.get(input.arguments, "xs", []); x == 1',
        "some x in total; x == 1",
        "is_string(input.arguments.xs); some x in input.arguments.xs; x == 1",
    ],
)
def test_walking_through_what_is_of_unknown_type_is_refused(body: str):
    assert "is no collection, and raises embedded" in message(body)


def test_a_function_that_walks_through_its_argument_has_to_ask_for_its_type():
    helper = "has_one(xs) if {\n    some x in xs\n    x == 1\n}\n\n"
    with pytest.raises(PreflightError) as caught:
        preflight(bundle("has_one(input.arguments.xs)", more=helper))
    (finding,) = caught.value.findings
    assert finding.endswith(
        "ask `is_array(xs)` in the same body, and say in another what holds otherwise [parity]"
    )


@pytest.mark.parametrize("verdict", ["deny", "ask", "allow"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "count(input.arguments.x) > 3",
            'write `count(split(input.arguments.x, ""))`; ask `is_array(input.arguments.x)`',
        ),
        ("count(input.tool.name) > 3", 'write `count(split(input.tool.name, ""))`'),
        ('count(sprintf("%v", [number])) > 3', "counts 😀 once on OPA and twice embedded"),
        (
            "count([x | some x in known; count(input.arguments.x) > 1]) > 0",
            "`count(input.arguments.x)` counts",
        ),
        ('sprintf("%.2f", [5]) == "5"', "`%.2f` in a format is written otherwise"),
        ('sprintf("%d", [input.arguments.n]) == "5"', "`%d` of input.arguments.n raises embedded"),
        ('sprintf("%v and %v", [1]) == "1"', "the format has 2 verbs for 1 values"),
        ('sprintf("100%%", [1]) == "1"', "the format has 0 verbs for 1 values"),
        ('contains(json.marshal(input.arguments), "<b>")', "`json.marshal` writes `<`, `>` and `&` as"),
        (r"regex.match(`\<rm\>`, input.tool.name)", r"`\<` in a pattern means something else on OPA"),
        (r'regex.match("\\<rm\\>", input.tool.name)', r"`\<` in a pattern means something else on OPA"),
        ("regex.match(`[a-z&&[^b]]`, input.tool.name)", "`&&` in a pattern means something else on OPA"),
        ("regex.match(`[a--b]`, input.tool.name)", "`--` in a pattern"),
        ("regex.match(`(?ix) a b`, input.tool.name)", "`(?ix` in a pattern"),
        (r'regex.replace(input.tool.name, `\Qa\E`, "") == "x"', r"`\Q` in a pattern"),
        (
            'glob.match("[^a]*", [], input.tool.name)',
            "`[^` in a pattern means something else on OPA than embedded; write",
        ),
    ],
)
def test_values_that_differ_between_engines_are_refused(body: str, says: str, verdict: str):
    with pytest.raises(PreflightError) as caught:
        preflight(bundle(body, verdict=verdict))
    (finding,) = caught.value.findings
    assert says in finding
    assert finding.endswith("[parity]")


@pytest.mark.parametrize(
    "body",
    [
        "is_array(input.arguments.x); count(input.arguments.x) > 3",
        r"regex.match(`--force && [+a-z-]+ \\\\< (?i)x`, input.tool.name)", "regex.match(`[]a]b--c`, input.tool.name)",
        r'regex.match("^[0-9]+\\.(x)?--y$", input.tool.name)', "regex.match(input.tool.name, input.agent.id)",
        'glob.match("[!a]*", [], input.tool.name)',
        'count(split(input.tool.name, "")) > 3', "count(input.agent.chain) > 3", "count(known) > 1", "count(names) > 1",
        'sprintf("%d of %v, 100%%", [count(names), input.arguments.n]) != ""', 'sprintf("%v", known) != ""',
    ],
)  # fmt: skip
def test_values_that_are_the_same_on_both_are_fine(body: str):
    preflight(bundle(body))


def test_a_reason_may_be_written_otherwise():
    said = '{"rule": "r", "message": json.marshal(input.arguments)}'
    source = f'package guardrail.rules.own\n\ndeny contains {said} if input.tool.name == "pay"\n'
    preflight(Bundle.of({"own.rego": source}))


def test_an_allow_that_one_back_end_alone_would_give_is_refused_too():
    with pytest.raises(PreflightError, match=r"\[parity\]"):
        preflight(bundle("not input.arguments.amount <= 100", verdict="allow"))


def test_what_no_verdict_depends_on_is_for_the_lint_to_name():
    unused = "unused if not input.arguments.amount <= 100\n"
    preflight(bundle("number", more=unused))
    assert [finding.rule for finding in lint(bundle("number", more=unused))].count("parity") == 1


def test_what_hides_or_who_approves_is_looked_at_too():
    for package, rule in (("mask", 'hide contains "/x"'), ("approval", "may_vote")):
        source = f"package guardrail.{package}\n\n{rule} if not input.arguments.x == 1\n"
        with pytest.raises(PreflightError, match=rf"{package}\.rego:3: .*\[parity\]"):
            preflight(Bundle.of({**bundle("number").modules, f"{package}.rego": source}))


def test_tests_may_negate_what_they_like():
    source = "package tests.pay\n\ntest_x if not is_number(input.arguments.x)\n"
    preflight(Bundle.of({**bundle("number").modules, "pay_test.rego": source}))


def test_rules_that_no_decision_depends_on_may_too():
    source = "package report\n\nodd if not is_number(input.arguments.x)\n"
    preflight(Bundle.of({**bundle("number").modules, "report.rego": source}))
