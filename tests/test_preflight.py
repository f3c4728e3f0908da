"""The pre-flight: what is refused at load, by file and line, before a call could reach it."""

import pytest

from guardrail.bundles import MAIN, Bundle
from guardrail.errors import PolicyError, PreflightError
from guardrail.rego import preflight
from guardrail.rego.preflight import MAX_BRACKETS, MAX_CHAIN, MAX_OPERATORS

NOWHERE = "in the bundle, nor one of the embedded back end [function]"
ALLOW = 'allow contains {"rule": "t.r", "message": "m"} if input.tool.effect == "read"\n'


def bundle(source: str, **more: str) -> Bundle:
    """A pack with one good rule and this; the source begins on line 4."""
    modules = {"t.rego": f"package guardrail.rules.t\n\n{ALLOW}{source}"}
    return Bundle.of({**modules, **{f"{name}.rego": text for name, text in more.items()}})


def findings(given: Bundle) -> tuple[str, ...]:
    with pytest.raises(PreflightError) as caught:
        preflight(given)
    return caught.value.findings


def test_a_good_bundle_passes():
    assert preflight(bundle("")).rules.keys() >= {
        ("guardrail", "rules", "t", "allow"),
        ("guardrail", "decision"),
    }


def test_a_package_in_two_files_is_refused():
    # Embedded, `deny` would be empty: `high` is asked for before its file defines it, and another file has the package.
    chain = "package lists\n\nhigh contains x if some x in named\n\nnamed contains x if some x in input.labels.run\n"
    given = bundle("", a="package lists\n\nother := 1\n", b=chain)
    (said,) = findings(given)
    assert said == (
        "b.rego:1: the package lists stands in a.rego too: what a rule gives could be lost, a deny too; "
        "write it in one file, or give this one a package of its own [package]"
    )
    preflight(bundle("", a_test="package guardrail.rules.t\n\ntest_it if true\n"))  # tests decide nothing


def test_the_error_lists_every_finding_by_file_and_line():
    given = bundle("x := uuid.rfc4122(1)\ny := nothing(1)\n", b="package b\n\nz := nor.this(1)\n")
    with pytest.raises(PreflightError) as caught:
        preflight(given)
    assert isinstance(caught.value, PolicyError)
    assert caught.value.findings == (
        f"b.rego:3: there is no function `nor.this` {NOWHERE}",
        "t.rego:4: `uuid.rfc4122` may not be called: a replay would decide otherwise [function]",
        f"t.rego:5: there is no function `nothing` {NOWHERE}",
    )
    assert str(caught.value).startswith("the policy bundle was refused:\n  b.rego:3: ")


@pytest.mark.parametrize(
    "call",
    [
        'http.send({"method": "get", "url": "http://x"})',
        'net.lookup_ip_addr("example.com")',
        "opa.runtime()",
        'rand.intn("a", 5)',
        "time.now_ns()",
        'uuid.rfc4122("a")',
        'uuid.parse("a")',
        'rego.parse_module("a", "package a")',
        "rego.metadata.rule()",
    ],
)
def test_what_reaches_out_or_differs_at_every_replay_is_refused(call: str):
    (finding,) = findings(bundle(f"x := {call}\n"))
    assert finding.startswith(f"t.rego:4: `{call.partition('(')[0]}` may not be called: ")


@pytest.mark.parametrize(
    "source",
    [
        'deny contains {"rule": "t.d", "message": "m"} if time.now_ns() > 5\n',
        'deny contains {"rule": "t.d", "message": sprintf("%d", [time.now_ns()])} if input.arguments.x\n',
        "late if time.now_ns() > 5\n",
        "late := [x | some x in input.history; every y in input.history { y; time.now_ns() > 5 }]\n",
        "late := 1 if input.arguments.x else := time.now_ns()\n",
        "late(x) := x + time.now_ns()\n",
    ],
)
def test_it_is_refused_wherever_it_stands(source: str):
    (finding,) = findings(bundle(source))
    assert finding.startswith("t.rego:4: `time.now_ns` may not be called")


def test_it_is_refused_in_tests_too():
    (finding,) = findings(bundle("", t_test="package tests.t\n\ntest_x if time.now_ns() > 5\n"))
    assert finding.startswith("t_test.rego:3: `time.now_ns` may not be called")


@pytest.mark.parametrize(
    "source", ["f(x) := 1\n\ny := f(1, 2, 3)\n", "y := data.guardrail.rules.t.g(1)\n", "y := lowr(1)\n"]
)
def test_a_function_that_does_not_exist_is_refused(source: str):
    (finding,) = findings(bundle(source))
    assert "there is no function" in finding


@pytest.mark.parametrize(
    "source",
    [
        "f(x) := 1\n\ny := f(1)\n",
        "f(x) := 1\n\ny := data.guardrail.rules.t.f(1)\n",
        'y := lower(trim_space("A"))\n',
        'y := net.cidr_contains("10.0.0.0/8", "10.0.0.1")\n',
        'y if { print("x"); walk(input.arguments, [path, value]); value == 1 }\n',
        "y if { some x in input.history; x.id == 1 }\n",
    ],
)
def test_functions_of_the_bundle_and_of_the_interpreter_are_known(source: str):
    preflight(bundle(source))


def test_functions_are_found_through_imports():
    library = "package lib.text\n\nshort(x) if count(x) < 3\n"
    source = "package guardrail.rules.u\n\nimport data.lib.text as words\n\ny if words.short(input.now)\n"
    preflight(bundle("", lib=library, u=source))
    (finding,) = findings(bundle("", lib=library, u=source.replace("words.short", "words.long")))
    assert finding.startswith("u.rego:5: there is no function `data.lib.text.long`")


@pytest.mark.parametrize(
    ("source", "circle"),
    [
        ("f(x) if f(x)\n", "data.guardrail.rules.t.f ← data.guardrail.rules.t.f"),
        ("a if b\n\nb if a\n", "a ← data.guardrail.rules.t.b ← data"),
        ("f(x) if g(x)\n\ng(x) if f(x)\n", "← data.guardrail.rules.t.g ←"),
        ("a if not a\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a := [a]\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ('a contains {"x": x} if some x in a\n', "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a := [x | x := a[_]]\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a if every x in input.history { x; a }\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a if data.guardrail.rules.t.a\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a if data.guardrail.rules[x].a\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a if count(data.guardrail.rules) > 1\n", "data.guardrail.rules.t.a ← data.guardrail.rules.t.a"),
        ("a if data.guardrail.decision.deny\n", "data.guardrail.decision"),
    ],
)
def test_a_rule_that_depends_on_itself_is_refused(source: str, circle: str):
    (finding,) = findings(bundle(source))
    assert "the rule depends on itself: " in finding
    assert finding.endswith("[recursion]")
    assert circle in finding


def test_a_local_variable_of_the_same_name_is_no_recursion():
    preflight(bundle("a if { a := input.arguments.x; a > 1 }\n\nb(a) if a == 1\n"))


def test_a_test_that_the_decision_would_collect_is_refused():
    test = "package guardrail.rules.t_test\n\ntest_x if data.guardrail.decision.deny == set()\n"
    (finding,) = findings(bundle("", t_test=test))
    assert "the rule depends on itself" in finding


def chain(length: int) -> str:
    links = "\n".join(f"r{number} if r{number - 1}" for number in range(1, length))
    return f"r0 if input.arguments.x\n{links}\n"


def test_a_long_chain_of_rules_is_refused():
    preflight(bundle(chain(MAX_CHAIN - 1)))
    (finding,) = findings(bundle(chain(MAX_CHAIN + 1)))
    assert f"more than {MAX_CHAIN} rules stand on one another here" in finding


def test_a_chain_that_would_overflow_the_process_is_refused():
    assert "rules stand on one another" in findings(bundle(chain(20_000 // 4)))[0]


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("{", "}"), ('{"a": ', "}"), ("(", ")"), ("abs(", ")")]
)
def test_nested_brackets_are_refused_before_they_reach_the_parser(opening: str, closing: str):
    source = f"x := {opening * 200}1{closing * 200}\n"
    (finding,) = findings(bundle(source))
    advice = "name the inner value by a rule or variable [nesting]"
    assert finding == f"t.rego:4: brackets are nested deeper than {MAX_BRACKETS}; {advice}"


def test_brackets_in_texts_and_comments_do_not_count():
    brackets = "[{(" * 50
    preflight(bundle(f'# {brackets} " `\nx := "{brackets}\\"{brackets}"\ny := `{brackets}"\n{brackets}`\n'))


@pytest.mark.parametrize("sign", ["+", "- ", "|", "\n+"])
def test_endless_expressions_are_refused_before_they_reach_the_parser(sign: str):
    (finding,) = findings(bundle("x := 1" + f" {sign} 1" * 5_000 + "\n"))
    assert f"more than {MAX_OPERATORS} operators stand in one expression" in finding


def test_many_operators_in_many_expressions_are_fine():
    preflight(bundle("".join(f"x{number} := 1 + {number} - 2 * 3\n" for number in range(200))))


def test_syntax_errors_of_all_modules_are_shown_together():
    given = Bundle.of(
        {"a.rego": "package a\n\nx := [1\n", "b.rego": "package b\n\ndeny[x] { x := 1 }\n", "c.rego": ""}
    )
    found = findings(given)
    assert [line.split(": ")[0] for line in found] == ["a.rego:4", "b.rego:3", "c.rego:1"]
    assert all(line.endswith("[syntax]") for line in found)
    assert not any("backtrace" in line.lower() for line in found)


def test_a_variable_that_is_not_safe_is_refused():
    (finding,) = findings(bundle("x if y > 1\n"))
    assert finding.startswith("t.rego:4: use of undefined variable `y` is unsafe")


def test_a_main_without_the_entry_point_is_refused():
    own = "package guardrail\n\nverdict := data.guardrail.rules.t.allow\n"
    found = findings(bundle("", own=own))
    advice = "leave that package to guardrail"
    assert f"own.rego:1: the package guardrail has no rule `decision`; {advice} [entry-point]" in found


def test_a_bundle_that_says_nothing_is_refused():
    (finding,) = findings(Bundle.of({"a.rego": "package a\n\nx := 1\n"}))
    assert finding.startswith("a.rego:1: no rule says deny, ask or allow in a package guardrail.rules.NAME")


@pytest.mark.parametrize(
    ("package", "rule"),
    [
        ("pay", 'deny contains {"rule": "p", "message": "m"} if input.arguments.x'),
        ("guardrail.rule.pay", 'deny contains {"rule": "p", "message": "m"} if input.arguments.x'),
        ("guardrail.rules", 'ask contains {"rule": "p", "message": "m"} if input.arguments.x'),
        ("guardrail.rules.pay.limits", 'deny contains {"rule": "p", "message": "m"} if input.arguments.x'),
    ],
)
def test_a_rule_that_nobody_collects_is_refused(package: str, rule: str):
    (finding,) = findings(bundle("", pay=f"package {package}\n\n{rule}\n"))
    assert finding.startswith("pay.rego:3: data.")
    assert "is not collected" in finding


def test_a_pack_for_which_an_own_rule_speaks_is_collected():
    pack = 'package pay\n\ndeny contains {"rule": "p", "message": "m"} if input.arguments.x\n'
    preflight(bundle("deny contains reason if some reason in data.pay.deny\n", pay=pack))


@pytest.mark.parametrize(
    "rule",
    [
        "deny := true if input.arguments.x",
        "deny if input.arguments.x == 1",
        'allow["x"] := 1 if input.arguments.x',
        "deny(x) := x",
    ],
)
def test_a_verdict_that_is_no_set_is_refused(rule: str):
    found = findings(bundle("", u=f"package guardrail.rules.u\n\n{rule}\n"))
    assert found[0].startswith("u.rego:3: ")
    assert "has to be a set" in found[0] or "is not collected" in found[0]


def test_a_rule_where_a_package_stands_is_refused():
    (finding,) = findings(bundle("helper := 1\n", n="package guardrail.rules.t.helper\n\nx := 1\n"))
    assert finding == (
        "t.rego:4: the rule data.guardrail.rules.t.helper stands where a package stands; "
        "rename one of them [conflict]"
    )


def test_data_that_pretends_to_be_rules_is_refused():
    data = {"guardrail": {"rules": {"x": {"allow": [{"rule": "x", "message": "m"}]}}}}
    (finding,) = findings(Bundle.of(bundle("").modules, data))
    assert finding == (
        "data.json:1: data may not stand under `guardrail`, where rules stand; "
        "put it under `settings` [conflict]"
    )


def test_the_shipped_main_is_checked_like_any_other():
    broken = dict(bundle("").modules)
    broken[MAIN] = broken[MAIN].replace("packs := data.guardrail.rules", "packs := opa.runtime()")
    assert any(line.startswith(f"{MAIN}:") for line in findings(Bundle.of(broken)))


def test_a_minus_before_a_reference_is_refused():
    (finding,) = findings(bundle("x if -input.run.step < 1\n"))
    assert finding == "t.rego:4: a minus sign may stand before a number only; subtract from 0 [function]"


def test_places_are_right_behind_letters_of_several_bytes():
    source = '# é ü 日本\nwort := "日本"\n\nlate if { wort == "日本"; time.now_ns() > 5 }\n'
    (finding,) = findings(bundle(source))
    assert finding.startswith("t.rego:7: `time.now_ns`")


REASON = '{"rule": "p", "message": "m"}'


@pytest.mark.parametrize(
    ("package", "rule", "name"),
    [
        ("guardrail.rules.pay", f"deny contains {REASON}", "rules.pay.deny"),
        ("guardrail.rules.pay", f"ask contains {REASON}", "rules.pay.ask"),
        ("guardrail.rules.pay", f"allow contains {REASON}", "rules.pay.allow"),
        ("guardrail.rules.pay", f"Deny contains {REASON}", "rules.pay.Deny"),
        ("guardrail.Rules.pay", f"deny contains {REASON}", "Rules.pay.deny"),
        ("guardrail.mask", 'hide contains "/pin"', "mask.hide"),
        ("guardrail", "decision := {}", "decision"),
    ],
)
def test_a_verdict_in_a_test_file_is_refused(package: str, rule: str, name: str):
    (finding,) = findings(bundle("", pay_test=f"package {package}\n\n{rule} if input.now\n"))
    assert finding == (
        f"pay_test.rego:3: data.guardrail.{name} stands in a test file, which never decides; "
        "rename the file [contract]"
    )


def test_a_bundle_whose_only_rules_stand_in_a_test_file_is_refused():
    found = findings(Bundle.of({"pay_test.rego": f"package guardrail.rules.pay\n\ndeny contains {REASON}\n"}))
    assert [line.split(": ")[1].split(",")[0] for line in found] == [
        "no rule says deny",
        "data.guardrail.rules.pay.deny stands in a test file",
    ]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ("risky", "use of undefined variable `risky` is unsafe"),
        ("risk(input.now)", "there is no function `risk` "),
        ("data.guardrail.rules.t.risky", "there is no data.guardrail.rules.t.risky"),
        ("not data.guardrail.rules.t.risky", "there is no data.guardrail.rules.t.risky"),
        ("data.risks.high", "there is no data.risks.high"),
    ],
)
def test_a_rule_whose_helper_stands_in_a_test_file_is_refused(ask: str, says: str):
    helpers = "package guardrail.rules.t\n\nrisky if input.now\n\nrisk(x) if x\n"
    given = bundle(
        f"deny contains {REASON} if {ask}\n", t_test=helpers, r_test="package risks\n\nhigh := true\n"
    )
    (finding,) = findings(given)
    assert finding.startswith(f"t.rego:4: {says}")


def test_tests_may_use_rules_and_what_stands_in_other_tests():
    more = "package tests.more\n\ncall := {}\n"
    test = "package tests.t\n\nimport data.guardrail.rules.t\n\ntest_x if t.allow with input as data.tests.more.call\n"
    preflight(bundle("", t_test=test, more_test=more))


def test_a_test_that_does_not_compile_is_refused():
    (finding,) = findings(bundle("", t_test="package tests.t\n\ntest_x if y > 1\n"))
    assert finding.startswith("t_test.rego:3: use of undefined variable `y` is unsafe")


MISSING_DATA = {
    "data.settings.limit": "; did you mean data.settings.limits?",
    "data.settings.Limits": "; did you mean data.settings.limits?",
    "data.setings.limits": "; did you mean data.settings?",
    "data.settings.limits.dai": "; did you mean data.settings.limits.day?",
    "data.settings.list[2]": "; give it in data.json, or read it in a rule that has a default",
    "data.zzz": "; give it in data.json, or read it in a rule that has a default",
    "data.guardrail.rules.t.Allow": "; did you mean data.guardrail.rules.t.allow?",
    "data.guardrail.rules.other.allow": "; no rule that decides has this name",
}
SETTINGS = {"settings": {"limits": {"day": 5}, "list": [1, 2], "none": []}}


@pytest.mark.parametrize("reference", MISSING_DATA)
@pytest.mark.parametrize("body", ["{}", "not {}", "count([x | x := {}]) > 0", "object.get({}, [1], 2)"])
def test_a_reference_to_data_that_is_not_there_is_refused(reference: str, body: str):
    source = f"deny contains {REASON} if {body.format(reference)}\n"
    (finding,) = findings(Bundle.of(bundle(source).modules, SETTINGS))
    shown = reference.replace("[2]", ".2")
    assert finding == (
        f"t.rego:4: there is no {shown}, so this never holds{MISSING_DATA[reference]} [missing]"
    )


def test_missing_data_is_found_through_imports_and_variables():
    source = f"deny contains {REASON} if {{ all := data.settings; all.limit > 3 }}\n"
    (finding,) = findings(Bundle.of(bundle(source).modules, SETTINGS))
    assert "there is no data.settings.limit" in finding
    imported = "package guardrail.rules.u\n\nimport data.settings as conf\n\nx if conf.limit > 3\n"
    (finding,) = findings(Bundle.of(bundle("", u=imported).modules, SETTINGS))
    assert finding.startswith("u.rego:5: there is no data.settings.limit")


@pytest.mark.parametrize(
    "source",
    [
        "x := data.settings.limits.day\n",
        "x if data.settings.limits[input.tool.name] == 5\n",
        "x if data.settings.list[1] == 5\n",
        "x if data.settings.list[_] == 5\n",
        "x if data.settings.none[_].name == 5\n",
        "default x := 5\n\nx := data.settings.absent\n",
        "x := data.settings.absent if true else := 5\n",
        'x := object.get(data.settings, "absent", 5)\n',
        'x := object.get(data.settings, ["limits", "week"], 5)\n',
        "x := data.lib\n",
        "x := data.lib.table.any\n",
        "x := data.lib[input.tool.name]\n",
    ],
)
def test_data_that_is_there_and_data_that_may_be_absent_is_read(source: str):
    library = "package lib\n\ntable := {input.tool.name: 1}\n"
    preflight(Bundle.of(bundle(source, lib=library).modules, SETTINGS))


NO_FIELD = {
    "input.agnet.id": ("input.agnet", "; did you mean input.agent?"),
    "input.Tool.name": ("input.Tool", "; did you mean input.tool?"),
    "input.tool.efect": ("input.tool.efect", "; did you mean input.tool.effect?"),
    'input["tool"]["efect"]': ("input.tool.efect", "; did you mean input.tool.effect?"),
    "input.effect": ("input.effect", "; did you mean input.tool.effect?"),
    "input.principal.team": ("input.principal.team", "; input.principal has attributes, id"),
    "input.usage.denies": ("input.usage.denies", "; did you mean input.usage.denied?"),
    "input.facts.url": ("input.facts.url", "; did you mean input.facts.urls?"),
    "input.facts.urls[_].hots": ("input.facts.urls[_].hots", "; did you mean input.facts.urls[_].host?"),
    "input.history[0].outcom": ("input.history.0.outcom", "; did you mean input.history.0.outcome?"),
    "input.facts.urls.host": (
        "input.facts.urls.host",
        ": input.facts.urls is a list: walk through it with `some … in`",
    ),
    "input.now.hour": ("input.now.hour", ": input.now is a text, which has no fields"),
    'object.get(input.tool, "efect", "")': ("input.tool.efect", "; did you mean input.tool.effect?"),
    'object.get(input, ["tool", "efect"], "")': ("input.tool.efect", "; did you mean input.tool.effect?"),
}


@pytest.mark.parametrize("reference", NO_FIELD)
@pytest.mark.parametrize("body", ["{} == 1", "x := {}; x == 1", "count([x | x := {}]) > 0"])
def test_a_field_that_no_policy_input_has_is_refused(reference: str, body: str):
    path, advice = NO_FIELD[reference]
    (finding,) = findings(bundle(f"deny contains {REASON} if {{ {body.format(reference)} }}\n"))
    assert finding == f"t.rego:4: there is no {path}, so this never holds{advice} [missing]"


def test_a_default_does_not_make_a_field():
    (finding,) = findings(bundle("default x := 1\n\nx := 2 if input.agnet.id\n"))
    assert finding.startswith("t.rego:6: there is no input.agnet")


@pytest.mark.parametrize(
    "walk",
    [
        "some url in input.facts.urls; url.hots",
        "every url in input.facts.urls { url.hots }",
        "url := input.facts.urls[_]; url.hots",
        "facts := input.facts; some url in facts.urls; url.hots",
        'some url in input.facts.urls; object.get(url, "hots", "")',
    ],
)
def test_a_field_that_no_fact_has_is_refused(walk: str):
    (finding,) = findings(bundle(f"deny contains {REASON} if {{ {walk} }}\n"))
    assert finding == (
        "t.rego:4: there is no url.hots, so this never holds; did you mean url.host? [missing]"
    )


@pytest.mark.parametrize(
    "reference",
    [
        "input.arguments.any.thing",
        "input.agent.attributes.any",
        "input.principal.attributes.any",
        "input.labels.arguments.any",
        'input.usage.tools["local/act"]',
        "input.usage.spent.any",
        "input.usage.denied",
        "input.facts.urls[_].port",
        "input.history[_].outcome",
        "input.history[0].effect",
        "input[input.tool.name].any",
        "input.tool[input.point]",
    ],
)
def test_what_a_policy_input_may_have_is_read(reference: str):
    preflight(bundle(f"deny contains {REASON} if {reference} == 1\n"))


def test_tests_may_read_what_they_give():
    preflight(bundle("", t_test="package tests.t\n\ntest_x if { input.a == 1 with input as {}; data.b }\n"))


@pytest.mark.parametrize(
    ("package", "rule", "advice"),
    [
        ("rules.u", f"Deny contains {REASON}", "; did you mean deny?"),
        ("rules.u", f"DENY contains {REASON}", "; did you mean deny?"),
        ("rules.u", f"denny contains {REASON}", "; did you mean deny?"),
        ("rules.u", f"Ask contains {REASON}", "; did you mean ask?"),
        ("rules.u", f"allows contains {REASON}", "; did you mean allow?"),
        ("rules.u", "Deny", "; did you mean deny?"),
        ("rules.u", f"block contains {REASON}", "; read it in a rule, or call it allow or ask or deny"),
        ("rules.u", 'hide contains "/pin"', "; read it in a rule, or call it allow or ask or deny"),
        ("mask", 'Hide contains "/pin"', "; did you mean hide?"),
        ("mask", 'hides contains "/pin"', "; did you mean hide?"),
        ("mask", "deny contains 1", "; read it in a rule, or call it hide"),
    ],
)
def test_a_set_that_nobody_reads_is_refused(package: str, rule: str, advice: str):
    found = findings(bundle("", u=f"package guardrail.{package}\n\n{rule} if input.now\n"))
    name = rule.partition(" ")[0]
    assert f"u.rego:3: nobody reads data.guardrail.{package}.{name}{advice} [contract]" in found


@pytest.mark.parametrize(
    ("package", "rule", "advice"),
    [
        ("pay", f"Deny contains {REASON}", "guardrail.rules.NAME, and call it deny"),
        ("guardrail.Rules.pay", f"deny contains {REASON}", "guardrail.rules.NAME"),
        ("guardrail.masks", 'hide contains "/pin"', "guardrail.mask"),
    ],
)
def test_a_verdict_whose_package_is_misspelt_is_refused(package: str, rule: str, advice: str):
    (finding,) = findings(bundle("", pay=f"package {package}\n\n{rule} if input.now\n"))
    name = rule.partition(" ")[0]
    assert finding == (
        f"pay.rego:3: data.{package}.{name} is not collected: put it in a package {advice} [contract]"
    )


def test_sets_that_a_rule_or_an_own_main_reads_are_fine():
    preflight(bundle(f"names contains input.now\n\ndeny contains {REASON} if count(names) > 3\n"))
    own = """package guardrail

decision := {"deny": {reason | some pack in data.guardrail.rules; some reason in pack.block}}
"""
    preflight(bundle(f"block contains {REASON} if input.now\n", own=own))
