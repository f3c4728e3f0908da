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
        'deny contains {"rule": "t.d", "message": sprintf("%d", [time.now_ns()])} if input.x\n',
        "late if time.now_ns() > 5\n",
        "late := [x | some x in input.history; every y in input.history { y; time.now_ns() > 5 }]\n",
        "late := 1 if input.x else := time.now_ns()\n",
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
    preflight(bundle("a if { a := input.x; a > 1 }\n\nb(a) if a == 1\n"))


def test_a_test_that_the_decision_would_collect_is_refused():
    test = "package guardrail.rules.t_test\n\ntest_x if data.guardrail.decision.deny == set()\n"
    (finding,) = findings(bundle("", t_test=test))
    assert "the rule depends on itself" in finding


def chain(length: int) -> str:
    links = "\n".join(f"r{number} if r{number - 1}" for number in range(1, length))
    return f"r0 if input.x\n{links}\n"


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
        ("pay", 'deny contains {"rule": "p", "message": "m"} if input.x'),
        ("guardrail.rule.pay", 'deny contains {"rule": "p", "message": "m"} if input.x'),
        ("guardrail.rules", 'ask contains {"rule": "p", "message": "m"} if input.x'),
        ("guardrail.rules.pay.limits", 'deny contains {"rule": "p", "message": "m"} if input.x'),
    ],
)
def test_a_rule_that_nobody_collects_is_refused(package: str, rule: str):
    (finding,) = findings(bundle("", pay=f"package {package}\n\n{rule}\n"))
    assert finding.startswith("pay.rego:3: data.")
    assert "is not collected" in finding


def test_a_pack_for_which_an_own_rule_speaks_is_collected():
    pack = 'package pay\n\ndeny contains {"rule": "p", "message": "m"} if input.x\n'
    preflight(bundle("deny contains reason if some reason in data.pay.deny\n", pay=pack))


@pytest.mark.parametrize(
    "rule", ["deny := true if input.x", "deny if input.x == 1", 'allow["x"] := 1 if input.x', "deny(x) := x"]
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
