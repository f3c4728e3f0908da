"""Validators of guardrails-ai itself, in an environment of their own: `make validators` sets it up and runs this."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from guardrail_validators import GuardrailsValidators, Validator

from guardrail.outputs import Answer, Finding, Output

PYTHON = Path(__file__).parents[2] / ".venv-validators" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="guardrails-ai brings 113 packages: `make validators` installs and tests them"
)


@pytest.fixture(scope="module")
def check() -> Iterator[GuardrailsValidators]:
    wanted = [
        Validator(
            use="guardrails_ai.regex_match:RegexMatch",
            arguments={"regex": "[a-z ]+", "match_type": "fullmatch"},
        ),
        Validator(use="guardrails_ai.valid_length:ValidLength", arguments={"max": 20}),
    ]
    check = GuardrailsValidators(wanted, python=str(PYTHON), within=60.0)
    yield check
    check.close()


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("hello world", []),
        ("HELLO", ["RegexMatch"]),
        ("x" * 21, ["ValidLength"]),
        ("X" * 21, ["RegexMatch", "ValidLength"]),
    ],
)
def test_real_validators_answer(check: GuardrailsValidators, text: str, failed: list[str]):
    answer = check.look(Output.of(text))
    assert (answer.verdict, {finding.kind for finding in answer.findings}) == (
        "fail" if failed else "pass",
        set(failed),
    )


def test_the_version_is_that_of_guardrails_ai(check: GuardrailsValidators):
    assert (check.look(Output.of("hello")), check.version) == (Answer(), "1+0.11.0")


def test_a_validator_that_is_not_there_is_an_error():
    absent = GuardrailsValidators([Validator(use="guardrails_ai.no_such:Thing")], python=str(PYTHON))
    answer = absent.look(Output.of("x"))
    absent.close()
    assert (answer.verdict, answer.message.partition(":")[0]) == ("error", "its validators cannot be loaded")
    assert answer.findings == tuple[Finding, ...]()
