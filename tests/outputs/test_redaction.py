"""What a policy wants nobody to read is not in what is left, and nothing else is changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import InvalidArguments
from guardrail.outputs import REDACTED, CheckResult, Finding, Output, Wanted, checks_of, redacted, run_checks

TOKEN = "ghp_" + "a1B2" * 9


def found(*findings: Finding, verdict: Any = "fail") -> list[CheckResult]:
    return [CheckResult(name="c", version="1", verdict=verdict, required=True, findings=findings)]


def span(at: str, start: int, end: int) -> Finding:
    return Finding(kind="k", at=at, start=start, end=end)


@pytest.mark.parametrize(
    ("content", "findings", "left"),
    [
        ("abcdef", [span("", 1, 3)], "a[redacted]def"),
        ("abcdef", [span("", 3, 5), span("", 1, 4)], "a[redacted]f"),
        ("abcdef", [span("", 0, 2), span("", 2, 6)], "[redacted][redacted]"),
        ({"a": ["xyz", 1], "b": "k"}, [span("/a/0", 0, 1)], {"a": ["[redacted]yz", 1], "b": "k"}),
        ({"a": {"b": "c"}, "*": "x"}, [Finding(kind="k", at="/a")], {"a": REDACTED, "*": "x"}),
        ({"a": {"b": "cd"}}, [Finding(kind="k", at="/a"), Finding(kind="k", at="/a/b")], {"a": REDACTED}),
        ({"*": "ab", "b": "ab"}, [span("/*", 0, 1)], {"*": "[redacted]b", "b": "ab"}),
        (["a"], [Finding(kind="k", at="")], REDACTED),
        ("a", [], "a"),
    ],
)
def test_what_a_check_found_is_blanked(content: Any, findings: list[Finding], left: Any):
    before = json.dumps(content)
    assert redacted(content, redact=["c"], checks=found(*findings)) == left
    assert json.dumps(content) == before


@pytest.mark.parametrize(
    ("redact", "replace", "left"),
    [
        (["/a"], {}, {"a": REDACTED, "list": [{"n": 1}, {"n": 2}]}),
        (["/list/*/n"], {}, {"a": "text", "list": [{"n": REDACTED}, {"n": REDACTED}]}),
        (["/nowhere"], {}, {"a": "text", "list": [{"n": 1}, {"n": 2}]}),
        (["/a/b"], {}, {"a": REDACTED, "list": [{"n": 1}, {"n": 2}]}),  # it may be hidden in there
        ([""], {}, REDACTED),
        ([], {"/a": {"x": 1}, "/nowhere": 1, "/a/b": 2}, {"a": {"x": 1}, "list": [{"n": 1}, {"n": 2}]}),
        (["/list"], {"/list/0": 1, "/a": "b"}, {"a": "b", "list": REDACTED}),
        ([], {"": "gone"}, "gone"),
    ],
)
def test_pointers_blank_and_replace_whole_values(redact: list[str], replace: dict[str, Any], left: Any):
    content = {"a": "text", "list": [{"n": 1}, {"n": 2}]}
    assert redacted(content, redact=redact, replace=replace) == left


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"redact": ["other"]}, "redact names 'other', and no check of that name looked"),
        ({"redact": ["c"], "checks": found(verdict="error")}, "the check 'c', which could not look"),
        ({"redact": ["/~2"]}, "is no JSON pointer"),
        ({"replace": {"x": 1}}, "is no JSON pointer"),
    ],
)
def test_what_cannot_be_blanked_for_sure_is_refused(arguments: dict[str, Any], why: str):
    with pytest.raises(InvalidArguments, match=why):
        redacted("text", **arguments)


def test_a_check_that_was_not_asked_blanks_nothing():
    assert redacted("text", redact=["c"], checks=found(verdict="skipped")) == "text"


@given(
    st.recursive(
        st.integers(0, 9)
        | st.lists(st.sampled_from([TOKEN, " anna@example.com ", "x", "é "]), max_size=3).map("".join),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["a", "b/c", "*", "~", TOKEN, "anna@example.com"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    )
)
def test_nothing_that_was_found_is_left(content: Any):
    checks = checks_of([Wanted(name="secrets"), Wanted(name="personal")], Path())
    results = run_checks(Output.of(content), checks)
    left = redacted(content, redact=["secrets", "personal"], checks=results)
    assert [each.verdict for each in run_checks(Output.of(left), checks)] == ["pass", "pass"]
