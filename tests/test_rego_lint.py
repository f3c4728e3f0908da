"""The lint: what will go wrong with a policy, or with the people who work on it."""

from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.rego import Finding, lint

GOOD = """# METADATA
# title: Small amounts
package guardrail.rules.pay

# METADATA
# title: Small amounts are fine
# custom:
#   rule: pay.small
allow contains {
    "rule": "pay.small",
    "message": "a small amount",
} if {
    is_number(input.arguments.amount)
    input.arguments.amount <= 100
}
"""


def found(source: str, data: dict[str, Any] | None = None, **more: str) -> list[tuple[str, int, str, str]]:
    modules = {"pay.rego": GOOD + source, **{f"{name}.rego": text for name, text in more.items()}}
    return [(item.file, item.line, item.rule, item.severity) for item in lint(Bundle.of(modules, data))]


def test_a_good_policy_has_no_findings():
    assert lint(Bundle.of({"pay.rego": GOOD})) == []


def test_the_shipped_policies_have_no_findings():
    assert lint(Bundle.shipped()) == []


def test_a_finding_reads_as_a_line():
    finding = Finding(file="a.rego", line=3, rule="syntax", message="no")
    assert str(finding) == "a.rego:3: no [syntax]"


def test_what_the_pre_flight_refuses_is_shown_as_an_error():
    assert found("x := time.now_ns()\n") == [("pay.rego", 16, "function", "error")]
    assert found("x := [\n") == [("pay.rego", 17, "syntax", "error")]


@pytest.mark.parametrize(
    "comparison",
    [
        "input.arguments.amount <= 100",
        "input.arguments.amount < 100",
        "100 >= input.arguments.amount",
        "amount := input.arguments.amount; amount > 3",
        "is_array(input.arguments.list); some amount in input.arguments.list; amount > 3",
        "input.usage.calls < 5",
        "count([1 | input.arguments.amount > 3]) == 1",
        "is_array(input.arguments.list); every amount in input.arguments.list { amount > 3 }",
        "input.arguments.low < input.arguments.high; is_number(input.arguments.low)",
        "is_array(input.arguments.amount); input.arguments.amount > 1",
    ],
)
def test_a_comparison_without_a_type_first_is_an_error(comparison: str):
    source = f"\nbig if {{\n    {comparison}\n}}\n"
    assert found(source) == [("pay.rego", 18, "type-guard", "error")]


@pytest.mark.parametrize(
    "comparison",
    [
        "is_number(input.arguments.amount); input.arguments.amount <= 100",
        "number; input.arguments.amount <= 100",
        "amount := input.arguments.amount; is_number(amount); amount > 3",
        "is_string(input.arguments.day); input.arguments.day < input.now",
        "sum(input.arguments.list) > 3",
        "to_number(input.arguments.amount) > 3",
        "input.run.step > 3",
        'input.now > "2026"',
        "input.arguments.amount == 100",
        "limit > 3",
    ],
)
def test_a_comparison_of_known_types_is_fine(comparison: str):
    helpers = "\nnumber if is_number(input.arguments.amount)\n\nlimit := data.settings.limit\n"
    assert found(f"{helpers}\nbig if {{\n    {comparison}\n}}\n", {"settings": {"limit": 5}}) == []


def test_the_message_says_what_to_write():
    (finding,) = lint(Bundle.of({"pay.rego": GOOD + "\nbig if input.arguments.amount > 3\n"}))
    assert finding.message == (
        "input.arguments.amount is compared without its type: `null <= 100` is true, and so is "
        '`100 <= "0"`; ask `is_number(input.arguments.amount)` in the same body first'
    )


def test_a_function_has_to_ask_for_the_types_of_its_arguments():
    assert found("\nbig(x) if x > 3\n") == [("pay.rego", 17, "type-guard", "error")]
    assert found("\nbig(x) if { is_number(x); x > 3 }\n") == []


@pytest.mark.parametrize("verdict", ["deny", "ask", "allow"])
def test_a_verdict_without_metadata_is_a_warning(verdict: str):
    rule = f'{verdict} contains {{"rule": "pay.x", "message": "m"}} if input.point == "action"\n'
    assert found("\n" + rule) == [("pay.rego", 17, "metadata", "warning")]
    assert found("\n# a comment\n" + rule) == [("pay.rego", 18, "metadata", "warning")]
    assert found("\n# METADATA\n# description: no title\n" + rule) == [
        ("pay.rego", 19, "metadata", "warning")
    ]
    assert found("\n# METADATA\n# title: A title\n\n" + rule) == [("pay.rego", 20, "metadata", "warning")]
    assert found("\n# METADATA\n# title: A title\n" + rule) == []


TITLE = "\n# METADATA\n# title: A title\n"


@pytest.mark.parametrize(
    "reason",
    [
        '{"rule": "pay.x"}',
        '{"message": "m"}',
        "{}",
        '{"rule": "pay.x", "message": "m", "reason": "r"}',
        '{"rule": "pay.x", "message": "m", "approvers": ["a"]}',
        '{"rule": "pay.x", "message": "m", "obligations": {}}',
    ],
)
def test_a_reason_with_missing_or_unknown_fields_is_an_error(reason: str):
    assert ("pay.rego", 19, "reason", "error") in found(f"{TITLE}deny contains {reason}\n")
    by_name = f'{TITLE}deny contains why if {{\n    input.point == "action"\n    why := {reason}\n}}\n'
    assert ("pay.rego", 21, "reason", "error") in found(by_name)


@pytest.mark.parametrize(
    "rule",
    [
        'deny contains {"rule": "x", "message": "m", "fix": "f"}',
        'ask contains {"rule": "x", "message": "m", "approvers": ["a"], "quorum": 1, "expires_in": "1h"}',
        'allow contains {"rule": "x", "message": "m", "obligations": {"deadline": 5}}',
        'ask contains object.union({"rule": "x", "message": "m"}, {"quorum": 1})',
    ],
)
def test_a_reason_with_the_fields_of_its_verdict_is_fine(rule: str):
    assert found(f"{TITLE}{rule}\n") == []


def test_tests_outside_of_test_files_are_a_warning():
    assert found("\ntest_x := true\n") == [("pay.rego", 17, "test-file", "warning")]
    assert found("", pay_test="package tests.pay\n\ntest_x := true\n") == []


def test_printing_outside_of_tests_is_a_warning():
    assert found("\nx if print(input.arguments)\n") == [("pay.rego", 17, "print", "warning")]
    assert found("", pay_test='package tests.pay\n\ntest_x if { print("a"); true }\n') == []


@pytest.mark.parametrize(
    ("call", "rules"),
    [
        ("numbers.range(1, input.arguments.n)", ["unbounded"]),
        ("bits.lsh(1, input.arguments.n)", ["unbounded"]),
        ("net.cidr_expand(input.arguments.net)", ["unbounded"]),
        ("sprintf(input.arguments.format, [1])", ["unbounded"]),
        ("numbers.range(1, 5)", []),
        ('sprintf("%v", [input.arguments.n])', []),
    ],
)
def test_what_costs_as_much_as_an_argument_says_is_a_warning(call: str, rules: list[str]):
    assert [rule for _, _, rule, _ in found(f"\nx := {call}\n")] == rules


def test_a_setting_that_no_rule_reads_is_a_warning():
    source = "\nlimit := data.settings.limit\n"
    assert found(source, {"settings": {"limit": 1}, "other": 1}) == []
    assert found(source, {"settings": {"limit": 1, "limits": 2}}) == [
        ("data.json", 1, "unused-setting", "warning")
    ]


@pytest.mark.parametrize(
    "source",
    [
        "all := data.settings\n\nlimit := all.limit\n",
        "limit := all.limit if all := data.settings\n",
        "names := [name | some name, _ in data.settings]\n",
        'limit := object.get(data.settings, "limit", 5)\n',
        'limit := object.get(data.settings, ["limit", "day"], 5)\n',
        "limit := data.settings[input.tool.name]\n",
        "limit := [setting | setting := data.settings.limit]\n",
    ],
)
def test_a_setting_is_read_however_it_is_spelt(source: str):
    assert found(f"\n{source}", {"settings": {"limit": 1}}) == []


def test_a_setting_that_only_a_variable_passes_by_is_not_read():
    source = "\nlimit := all.limit if all := data.settings\n"
    assert found(source, {"settings": {"limit": 1, "limits": 2}}) == [
        ("data.json", 1, "unused-setting", "warning")
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": []}, "no rule reads settings.host; did you mean settings.hosts?"),
        ({"Hosts": []}, "no rule reads settings.Hosts; did you mean settings.hosts?"),
        (
            {"approval": {"aprovers": ["user:anna"]}},
            "no rule reads settings.approval.aprovers; did you mean settings.approval.approvers?",
        ),
        (
            {"zzz": 1},
            (
                "no rule reads settings.zzz; those that are read: approval, credentials, denials, doubtful_packages, "
                "established_days, hosts, min_age_days, own_registries, packages, private_hosts, programs, protected, "
                "repeats, secret_arguments, strangers, tiers, two_person, unknown_packages, unlisted_packages"
            ),
        ),
    ],
)
def test_a_misspelt_setting_of_the_shipped_rules_is_an_error(settings: dict[str, Any], message: str):
    (finding,) = lint(Bundle.join(Bundle.shipped(), Bundle.of({}, {"settings": settings})))
    assert finding == Finding(file="data.json", line=1, rule="unused-setting", message=message)


def test_settings_that_the_shipped_rules_or_ones_own_read_are_no_errors():
    settings: dict[str, Any] = {"hosts": [], "strangers": "deny", "approval": {"quorum": 2}, "limit": 100}
    own = Bundle.of({"pay.rego": GOOD + "\nlimit := data.settings.limit\n"}, {"settings": settings})
    assert lint(Bundle.join(Bundle.shipped(), own)) == []


def test_findings_come_in_order_of_place():
    late = "package b\n\nx if input.arguments.a > 1\n\ny if input.arguments.a > 1\n"
    assert found("\nx if input.arguments.a > 1\n", a=late.replace("package b", "package a"), b=late) == [
        ("a.rego", 3, "type-guard", "error"),
        ("a.rego", 5, "type-guard", "error"),
        ("b.rego", 3, "type-guard", "error"),
        ("b.rego", 5, "type-guard", "error"),
        ("pay.rego", 17, "type-guard", "error"),
    ]


def test_tests_in_the_package_of_the_rules_are_warned_of():
    same = "package guardrail.rules.pay\n\ntest_it if true\n"
    assert found("", pay_test=same) == [("pay_test.rego", 1, "package", "warning")]
    assert found("", pay_test=same.replace("guardrail.rules", "tests")) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("protected", ".git", "a text, and a list"),
        ("min_age_days", "30", "a text, and a number"),
        ("strangers", ["deny"], "a list, and a text"),
    ],
)
def test_a_setting_of_another_type_is_an_error(name: str, value: Any, found: str):
    bundle = Bundle.join(Bundle.shipped(), Bundle.of({}, {"settings": {name: value}}))
    message = f"settings.{name} is {found} is read there, as in data.guardrail.settings.{name}"
    assert lint(bundle) == [
        Finding(file="data.json", line=1, rule="setting-type", message=message, severity="error")
    ]


def test_settings_of_their_type_are_fine():
    given = {"protected": [".git"], "min_age_days": 7, "strangers": "deny", "approval": {"quorum": 2}}
    assert lint(Bundle.join(Bundle.shipped(), Bundle.of({}, {"settings": given}))) == []
