"""Whatever a check does, its result is one that policies can read, and no error reads as a pass."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from guardrail.outputs import (
    Answer,
    CheckResult,
    ConfiguredCheck,
    Finding,
    Output,
    are_quick,
    default_checks,
    run_checks,
)
from guardrail.outputs.running import MAX_FINDINGS, MAX_OVERDUE
from guardrail.patterns import ToolPattern

TOKEN = "ghp_" + "a1B2" * 9


class Says:
    """A check that answers with what a function answers."""

    version = "7"

    def __init__(self, look: Callable[[Output], Any]) -> None:
        self.look = look


def check(look: Callable[[Output], Any], **fields: Any) -> ConfiguredCheck:
    return ConfiguredCheck(name="c", check=Says(look), **fields)


def result(look: Callable[[Output], Any], content: Any = "text", **fields: Any) -> CheckResult:
    (only,) = run_checks(Output.of(content, tool="bank/pay"), [check(look, **fields)])
    return only


def raising(error: BaseException) -> Callable[[Output], Any]:
    def look(output: Output) -> Any:
        raise error

    return look


def error(message: str, **fields: Any) -> CheckResult:
    return CheckResult(name="c", version="7", verdict="error", required=True, message=message, **fields)


@pytest.mark.parametrize("limit", [None, 30.0])
def test_the_answer_of_a_check_is_its_result(limit: float | None):
    found = (Finding(kind="k", at="", start=1, end=3),)
    said = Answer(verdict="fail", message="no", score=0.5, findings=found)
    assert result(lambda _: said, limit=limit, required=False) == CheckResult(
        name="c", version="7", verdict="fail", required=False, message="no", score=0.5, findings=found
    )


@pytest.mark.parametrize("limit", [None, 30.0])
def test_whatever_a_check_raises_is_an_error(limit: float | None):
    assert result(raising(ValueError("x")), limit=limit) == error("it raised ValueError: x")


def test_what_would_end_the_process_ends_only_the_check():
    assert result(raising(SystemExit(3))) == error("it raised SystemExit: 3")


def test_a_secret_in_an_error_is_not_kept():
    assert result(raising(ValueError(f"bad {TOKEN}!"))) == error("it raised ValueError: bad [github_token]!")


def test_a_check_that_takes_too_long_is_an_error():
    stop = threading.Event()
    assert result(lambda _: stop.wait(60), limit=0.05) == error("no answer within its limit of 0.05 s")
    stop.set()


def test_a_check_that_hangs_is_not_asked_again_and_again():
    stop = threading.Event()
    hanging = check(lambda _: stop.wait(60) and Answer(), limit=0.02)
    output = Output.of("x")
    messages = [run_checks(output, [hanging])[0].message for _ in range(MAX_OVERDUE + 2)]
    assert messages == [*["no answer within its limit of 0.02 s"] * MAX_OVERDUE,
                        *[f"it is still busy with {MAX_OVERDUE} outputs for which it took too long"] * 2]  # fmt: skip
    stop.set()
    for thread in hanging.overdue:
        thread.join(10)
    assert run_checks(output, [hanging])[0].verdict == "pass"


def test_slow_checks_look_side_by_side():
    together = threading.Barrier(3)
    checks = [check(lambda _: together.wait(30) >= 0 and Answer(), limit=30.0) for _ in range(3)]
    assert [each.verdict for each in run_checks(Output.of("x"), checks)] == ["pass"] * 3


def test_one_check_that_fails_to_look_leaves_the_others_alone():
    checks = [check(raising(RuntimeError())), *default_checks()]
    assert [each.verdict for each in run_checks(Output.of("x"), checks)] == ["error", *["pass"] * 4]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "it is a NoneType, not an Answer"),
        (True, "it is a bool, not an Answer"),
        (Answer(verdict="ok"), "its verdict is none of pass, fail, error, skipped"),  # type: ignore[arg-type]
        (Answer(message="\ud800"), "its message is no text"),
        (Answer(score=float("nan")), "its score is no finite number"),
        (Answer(score="1"), "its score is no finite number"),  # type: ignore[arg-type]
        (Answer(findings=[]), "its findings are no tuple"),  # type: ignore[arg-type]
        (Answer(findings=("x",)), "one of its findings is no Finding"),  # type: ignore[arg-type]
        (Answer(findings=(Finding(kind="a b", at=""),)), "the kind of a finding is no short word"),
        (Answer(findings=(Finding(kind="k", at="x"),)), "a finding stands where nothing is"),
        (Answer(findings=(Finding(kind="k", at="/9"),)), "a finding stands where nothing is"),
        (Answer(findings=(Finding(kind="k", at="/0", start=0, end=9),)), "a finding is outside of its text"),
        (Answer(findings=(Finding(kind="k", at="/1", start=0, end=1),)), "a finding is outside of its text"),
    ],
)
def test_what_is_no_answer_is_an_error(said: Any, why: str):
    assert result(lambda _: said, ["text", 5]) == error(f"its answer cannot be used: {why}")


def test_an_output_of_other_tools_is_skipped():
    looked: list[Output] = []
    skipped = result(lambda output: looked.append(output), tools=(ToolPattern.parse("mail/*"),))
    assert (skipped.verdict, looked) == ("skipped", [])
    assert result(lambda _: Answer(), tools=(ToolPattern.parse("bank/*"),)).verdict == "pass"


def test_no_place_names_a_secret():
    found = (Finding(kind="k", at=f"/a/{TOKEN}/b", start=0, end=1), Finding(kind="k", at=f"/{'x' * 3}"))
    content = {"a": {TOKEN: {"b": "text"}}, "xxx": 1}
    assert result(lambda _: Answer(findings=found), content).findings == (
        Finding(kind="k", at="/a"),
        Finding(kind="k", at="/xxx"),
    )


def test_many_findings_become_few_that_cover_them_all():
    many = Output.of({"a": "x" * 2 * MAX_FINDINGS, "b": "y"})
    (few,) = run_checks(many, [check(lambda _: Answer(findings=tuple(
        Finding(kind="k", at="/a", start=at, end=at + 1) for at in range(MAX_FINDINGS + 1))))])  # fmt: skip
    assert few.findings == (Finding(kind="k", at="/a"),)
    wide = Output.of(["x"] * (MAX_FINDINGS + 1))
    (one,) = run_checks(wide, [check(lambda _: Answer(findings=tuple(
        Finding(kind="k", at=f"/{index}", start=0, end=1) for index in range(MAX_FINDINGS + 1))))])  # fmt: skip
    assert one.findings == (Finding(kind="k", at=""),)


def test_a_check_that_changes_the_content_changes_its_own_copy():
    output = Output.of({"a": 1})
    run_checks(output, [check(lambda output: output.content.clear() or Answer())])
    assert output.content == {"a": 1}


def test_the_default_checks_need_no_thread():
    before = threading.active_count()
    started = time.monotonic()
    assert [each.verdict for each in run_checks(Output.of("hello"), default_checks())] == ["pass"] * 4
    assert (are_quick(default_checks()), threading.active_count(), time.monotonic() - started < 30) == (
        True,
        before,
        True,
    )
    assert not are_quick([*default_checks(), check(lambda _: Answer())])


def test_a_result_has_the_form_of_the_policy_input():
    found = (Finding(kind="k", at="", start=1, end=3),)
    assert result(lambda _: Answer(verdict="fail", message="no", findings=found)).as_json() == {
        "name": "c",
        "version": "7",
        "verdict": "fail",
        "required": True,
        "message": "no",
        "score": None,
        "findings": [{"kind": "k", "at": "", "start": 1, "end": 3}],
    }
