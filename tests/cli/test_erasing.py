"""`guardrail erase`: runs, or everything done for somebody, is forgotten, and the listings say so."""

from typing import Any


def test_a_run_is_erased_once_somebody_has_typed_the_word(project: Any, guardrail: Any, document: Any):
    project.send("bob")
    kept = guardrail("erase", "run-1", "--as", "berta", typed="yes\n")
    assert (kept.exit_code, kept.output.splitlines()[-1]) == (1, "Nothing was erased.")
    erased = guardrail("erase", "run-1", "--as", "berta", "--reason", "he asked", typed="erase\n")
    assert (erased.exit_code, erased.output.splitlines()[-2:]) == (
        0, ["Erased: run run-1, 3 sealed details.", "By berta (as named by --as)."],
    )  # fmt: skip
    assert "bob" not in guardrail("show", "run-1").output
    assert document("runs")["runs"][0]["task"] is None
    verified = guardrail("verify")
    assert (verified.exit_code, "3 sealed details were erased; their records still verify." in verified.output) == (
        0, True,
    )  # fmt: skip
    assert "it was erased" in project.send("bob")


def test_everything_for_a_principal_is_erased(project: Any, document: Any):
    project.send("bob")
    project.send("mallory")
    answer = document("erase", "--principal", "user:anna", "--as", "berta")
    assert answer == {
        "erased": [{"run": "run-1", "details": 4}], "by": "berta", "overwritten": True,
    }  # fmt: skip


def test_what_nobody_can_mean_is_refused(project: Any, guardrail: Any):
    project.send("bob")
    assert guardrail("erase", "--yes").exit_code == 2
    assert guardrail("erase", "run-1", "--principal", "user:anna", "--yes").exit_code == 2
    assert guardrail("erase", "--principal", "user:nobody", "--yes").exit_code == 2
    project.ask()
    waiting = guardrail("erase", "run-1", "--yes", "--as", "berta")
    assert (waiting.exit_code, "wait for a person" in waiting.stderr) == (1, True)
