"""A bundle's own tests: each by itself, in a process that may hang or crash."""

from pathlib import Path

import pytest

from guardrail.bundles import Bundle, shipped_folder
from guardrail.errors import PolicyError, PreflightError
from guardrail.rego import TestResult, run_rego_tests, verify_bundle
from guardrail.rego.interpreter import RegoError

ROOT = Path(__file__).parents[1]
RULE = """package guardrail.rules.a

allow contains {"rule": "a.r", "message": "m"} if input.tool.effect == "read"
"""
ENDLESS = "{ some x in numbers.range(1, 100000); some y in numbers.range(1, 100000); x + y < 0 }"
TESTS = """package tests.a

import data.guardrail.rules.a

reading := {"tool": {"effect": "read"}}

test_true if count(a.allow) == 1 with input as reading

test_false := false

test_undefined if count(a.allow) == 2 with input as reading

test_number := 1

test_raises if to_number("x") == 1

test_prints if {
    print("seen", reading.tool.effect)
    count(a.allow) == 0
}

test_of_several if input.arguments.x

test_of_several if not input.arguments.x

helper_test := false
"""


def bundle(tests: str) -> Bundle:
    return Bundle.of({"a.rego": RULE, "a_test.rego": tests})


def shown(results: list[TestResult]) -> list[tuple[str, bool, str]]:
    return [(result.title, result.passed, result.error) for result in results]


def test_a_test_passes_where_it_is_true_and_fails_where_it_is_not():
    assert shown(run_rego_tests(bundle(TESTS))) == [
        ("tests.a.test_true", True, ""),
        ("tests.a.test_false", False, ""),
        ("tests.a.test_undefined", False, ""),
        ("tests.a.test_number", False, ""),
        ("tests.a.test_raises", False, "a_test.rego:15: could not parse string as number"),
        ("tests.a.test_prints", True, ""),
        ("tests.a.test_of_several", True, ""),
    ]


def test_a_result_says_where_the_test_stands_and_what_it_printed():
    (result,) = run_rego_tests(bundle(TESTS), select="a.test_prints")
    assert result == TestResult(
        package="tests.a",
        name="test_prints",
        file="a_test.rego",
        line=17,
        passed=True,
        output=("a_test.rego:18: seen read",),
        duration=result.duration,
    )
    assert 0 < result.duration < 60


@pytest.mark.parametrize(
    ("select", "names"), [("test_of", ["test_of_several"]), ("tests.b", []), ("prints", ["test_prints"])]
)
def test_tests_are_selected_by_part_of_their_name(select: str, names: list[str]):
    assert [result.name for result in run_rego_tests(bundle(TESTS), select=select)] == names


def test_a_bundle_without_tests_has_no_results():
    assert run_rego_tests(Bundle.of({"a.rego": RULE})) == []


def test_a_test_that_crashes_the_interpreter_fails_and_the_others_run():
    tests = "package tests.a\n\ntest_a := true\n\nf(x) if f(x)\n\ntest_b if f(1)\n\ntest_c := true\n"
    crash = "the interpreter crashed (signal 11): does a function call itself?"
    assert shown(run_rego_tests(bundle(tests))) == [
        ("tests.a.test_a", True, ""),
        ("tests.a.test_b", False, crash),
        ("tests.a.test_c", True, ""),
    ]


def test_a_test_that_hangs_is_ended():
    tests = f"package tests.a\n\ntest_a := true\n\ntest_b if {ENDLESS}\n\ntest_c := true\n"
    assert shown(run_rego_tests(bundle(tests), timeout=3)) == [
        ("tests.a.test_a", True, ""),
        ("tests.a.test_b", False, "it was still running when the time for all tests was over"),
        ("tests.a.test_c", False, "not run: the tests took more than 3 s"),
    ]


def test_a_panic_fails_one_test():
    tests = 'package tests.a\n\ntest_a if strings.count("a", "") == 1\n\ntest_b := true\n'
    assert shown(run_rego_tests(bundle(tests))) == [
        ("tests.a.test_a", False, "the interpreter broke: window size must be non-zero"),
        ("tests.a.test_b", True, ""),
    ]


def test_a_module_that_does_not_parse_is_said_so():
    with pytest.raises(RegoError, match=r"a_test\.rego:4: expecting expression"):
        run_rego_tests(bundle("package tests.a\n\ntest_a := [\n"))


def test_verification_wants_every_test_to_pass():
    verify_bundle(bundle("package tests.a\n\ntest_a := true\n"))
    with pytest.raises(PolicyError) as caught:
        verify_bundle(bundle(TESTS))
    assert caught.value.message.splitlines() == [
        "4 of the bundle's own tests failed:",
        "  a_test.rego:9: tests.a.test_false: not true",
        "  a_test.rego:11: tests.a.test_undefined: not true",
        "  a_test.rego:13: tests.a.test_number: not true",
        "  a_test.rego:15: tests.a.test_raises: a_test.rego:15: could not parse string as number",
    ]


def test_verification_does_not_run_what_the_pre_flight_refuses():
    with pytest.raises(PreflightError, match="the rule depends on itself"):
        verify_bundle(bundle("package tests.a\n\nf(x) if f(x)\n\ntest_a if f(1)\n"))


def test_verification_ends_a_test_that_hangs():
    hangs = f"package tests.a\n\ntest_a if {ENDLESS}\n"
    with pytest.raises(PolicyError, match="it was still running when the time for all tests was over"):
        verify_bundle(bundle(hangs), timeout=2)


def test_the_shipped_policies_pass_their_tests():
    results = run_rego_tests(Bundle.from_directory(shipped_folder(), ROOT / "tests" / "policies"))
    assert [(result.title, result.error) for result in results if not result.passed] == []
    assert len(results) >= 37
