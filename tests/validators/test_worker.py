"""Whatever validators do in their process, the check answers, and the next question finds a worker again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guardrail_validators import GuardrailsValidators, guardrails_ai

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.outputs import Answer, ConfiguredCheck, Finding, Output, run_checks

Make = Callable[..., GuardrailsValidators]


def said(check: GuardrailsValidators, content: Any) -> Answer:
    return check.look(Output.of(content))


def error(message: str) -> Answer:
    return Answer(verdict="error", message=message)


def test_what_a_validator_fails_fails_and_nothing_of_the_text_is_kept(validators: Make):
    check = validators()
    whole = (Finding(kind="Says", at=""),)
    assert said(check, "good") == Answer()
    assert said(check, "bad ghp_secret") == Answer(verdict="fail", message="it fails Says", findings=whole)
    assert said(check, {"a": ["bad"]}) == Answer(verdict="fail", message="it fails Says", findings=whole)


def test_the_places_that_it_names_are_findings_where_they_are_in_the_text(validators: Make):
    check = validators()
    assert said(check, "at 0 3").findings == (
        Finding(kind="Says", at="", start=0, end=2),
        Finding(kind="Says", at="", start=3, end=5),
    )
    assert said(check, "at 0 99").findings == (Finding(kind="Says", at=""),)


def test_the_version_is_that_of_the_library_once_it_has_answered(validators: Make):
    check = validators()
    said(check, "good")
    assert check.version == "1+9.9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise", "these could not look: Says"),
        ("crash", "its worker ended by itself (signal 9)"),
        ("exit", "its worker ended (3)"),
    ],
)
def test_a_validator_that_raises_or_dies_is_an_error_and_the_next_answer_is_there(
    text: str, message: str, validators: Make
):
    check = validators()
    assert [said(check, text), said(check, "good")] == [error(message), Answer()]


def test_an_outcome_that_is_none_is_an_error(validators: Make):
    assert said(validators(), "wrong").verdict == "error"


def test_a_validator_that_hangs_is_ended(validators: Make):
    check = validators(within=0.5)
    first = check.look(Output.of("hang"))
    while first.message == "":  # a slow machine: the worker was not ready yet
        first = check.look(Output.of("hang"))
    assert first == error("its worker gave no answer within 0.5 s, and was ended")


def test_validators_that_cannot_be_made_are_an_error_with_the_reason(validators: Make):
    assert said(validators(arguments={"refuse": 1}), "good") == error(
        "its validators cannot be loaded: ValueError: no such argument"
    )


def test_a_worker_sees_only_the_environment_that_it_is_given(
    validators: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setenv("WANTED", "1")
    assert said(validators(), "secret") == Answer()
    assert said(validators(environment=["WANTED"]), "variable") == Answer()


def test_a_closed_check_leaves_no_process(validators: Make):
    check = validators()
    said(check, "good")
    process = check._worker._process
    assert process is not None
    check.close()
    assert process._process.poll() is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_asks_a_worker_of_its_own(validators: Make):
    check = validators()
    said(check, "good")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, said(check, "bad").verdict.encode())
        check.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert (os.read(reading, 100), said(check, "good")) == (b"fail", Answer())
    os.close(reading)
    os.close(writing)


def test_it_is_a_check_as_any_other(validators: Make):
    configured = ConfiguredCheck(name="tone", check=validators(), limit=60.0)
    (result,) = run_checks(Output.of("bad"), [configured])
    assert (result.name, result.verdict, result.version) == ("tone", "fail", "1+9.9")


# --- the configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "validators: expected a list of one or more validators"),
        ({"validators": ["x"]}, "validators: expected tables with use, as 'module:Class'"),
        ({"validators": [{"use": "a.b"}]}, "validators: expected tables with use, as 'module:Class'"),
        ({"validators": [{"use": "a:B", "x": 1}]}, "validators: expected tables with use, as 'module:Class'"),
        ({"validators": [{"use": "a:B"}], "python": "./nowhere"}, "its interpreter cannot be started"),
        ({"validators": [{"use": "a:B"}], "within": 5}, "within: a duration is written as"),
        ({"validators": [{"use": "a:B"}], "environment": "PATH"}, "environment: expected a list of names"),
        ({"validator": []}, "there is no option 'validator' of this check"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], why: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=why):
        guardrails_ai(options, tmp_path)


def test_guardrail_toml_names_it(validators: Make, tmp_path: Path):
    (tmp_path / "guardrail.toml").write_text(
        '[outputs]\nchecks = ["tone"]\n[outputs.check.tone]\nuse = "guardrails-ai"\nlimit = "60s"\n'
        'options = { validators = [{ use = "standin:Says" }], environment = ["PYTHONPATH"], within = "60s" }\n'
    )
    (check,) = Config.load(tmp_path / "guardrail.toml").output_checks()
    assert [run_checks(Output.of(text), [check])[0].verdict for text in ("bad", "good")] == ["fail", "pass"]
