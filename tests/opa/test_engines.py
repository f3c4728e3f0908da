"""One policy, one meaning: whatever differs between OPA and the embedded interpreter stands in `docs/engines.md`."""

import json
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from guardrail.bundles import Bundle
from guardrail.calls import ArgumentKind
from guardrail.opa.archive import archive
from guardrail.opa.comparing import compared, findings_of, questions_of
from guardrail.opa.process import executable
from guardrail.opa.questions import OTHERWISE, Question, asked_by_tests, varied
from tests.opa.approvals import judged
from tests.opa.builtins import evaluated
from tests.opa.contract import SAID
from tests.opa.engines import BEGIN, EVERYTHING, PAGE, asked, written

ROOT = Path(__file__).parents[2]
REASON = '{"rule": "own.r", "message": "m"}'


def differing(source: str, test: str = "") -> list[tuple[str, int, str, str]]:
    bundle = Bundle.of({"own.rego": source} | ({"own_test.rego": test} if test else {}))
    found = findings_of(bundle, compared(bundle, questions_of(bundle)))
    return [(finding.file, finding.line, finding.severity, finding.message) for finding in found]


def test_the_shipped_packs_decide_alike_and_the_page_says_so(opa: None):
    known = asked()
    assert len(known) > 1_200
    page = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2]
    answers = judged()
    body = "\n".join(written(known, compared(EVERYTHING, known), answers, evaluated()))
    assert body in page, "run `make engines`, and read what has changed"
    assert f"| decisions of the shipped packs | {len(known):,} | 0 | 0 | 0 |" in body
    assert [answer for answer in answers if answer.opa != answer.embedded] == []
    assert {'"met":true' in answer.opa for answer in answers} == {True, False}
    assert {'"barred":[]' in answer.opa for answer in answers} == {True, False}


def test_real_calls_have_arguments_of_every_kind():
    assert {kind for kind in SAID if kind} == set(get_args(ArgumentKind))


def test_the_tests_of_the_shipped_packs_pass_on_opa(opa: None):
    command = [executable(), "test", "policies", "tests/policies", "--format", "json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    results = json.loads(ended.stdout)
    failed = [result["name"] for result in results if result.get("fail") or result.get("error")]
    assert (failed, ended.returncode) == ([], 0)
    assert len(results) > 150


def test_opa_takes_the_shipped_packs_as_a_bundle_under_its_strict_check(opa: None, tmp_path: Path):
    (tmp_path / "bundle.tar.gz").write_bytes(archive(EVERYTHING))
    command = [executable(), "check", "--strict", "--bundle", str(tmp_path / "bundle.tar.gz")]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_bundle_is_the_same_bytes_again_and_has_no_tests():
    assert archive(EVERYTHING) == archive(Bundle.of(EVERYTHING.modules, EVERYTHING.data))
    assert archive(EVERYTHING) != archive(Bundle.of(EVERYTHING.modules, {"settings": {"hosts": []}}))


NEGATED = f"""package guardrail.rules.own

allow contains {{"rule": "own.allow", "message": "m"}}

deny contains {REASON} if not input.arguments.amount <= 100
"""


def test_a_deny_that_vanishes_on_opa_is_named_with_argument_and_line(opa: None):
    (found, *_) = differing(NEGATED)
    assert found[:3] == ("own.rego", 5, "error")
    assert found[3] == (
        "own.r: where arguments.amount is missing, OPA says allow (m), and the embedded interpreter deny (m)"
    )


def test_what_raises_on_one_engine_only_is_named_by_its_place(opa: None):
    source = f"""package guardrail.rules.own

allow contains {{"rule": "own.allow", "message": "m"}}

deny contains {REASON} if {{
	startswith(input.arguments.path, "/etc")
}}
"""
    found = differing(source)
    assert {(file, line, severity) for file, line, severity, _ in found} == {("own.rego", 6, "error")}
    assert any("arguments.path is null, OPA says allow (m)" in message for *_, message in found)


def test_what_a_test_asks_is_asked_through_its_helpers(opa: None):
    source = f"""package guardrail.rules.own

allow contains {{"rule": "own.allow", "message": "m"}}

deny contains {REASON} if lower(input.arguments.name) == "i"
"""
    test = """package tests.own

import data.guardrail.rules.own

call(name) := {"arguments": {"name": name}}

denied(name) if count(own.deny) > 0 with input as call(name)

test_i if denied("I")

test_dotted if not denied("\\u0130")
"""
    assert differing(source) == []
    ((file, line, severity, message),) = differing(source, test)
    assert (file, line, severity) == ("own.rego", 5, "error")
    assert message == (
        "own.r: where tests.own.test_dotted asks, OPA says deny (m), and the embedded interpreter allow (m)"
    )


def test_alike_is_alike(opa: None):
    assert (
        differing(NEGATED.replace("not input.arguments.amount <= 100", "not small\n\nsmall if is_number(1)"))
        == []
    )


def test_every_argument_is_otherwise_in_turn():
    question = Question(given={"arguments": {"a": "x", "b": [{"c": 1, "d": 2}]}, "now": "n"}, asked_by="t")
    found = list(varied([question, question]))
    assert len({json.dumps(other.given) for other in found}) == len(found)
    assert {other.argument for other in found} == {
        "", "/arguments/a", "/arguments/b", "/arguments/b/0", "/arguments/b/0/c", "/arguments/b/0/d",
    }  # fmt: skip
    of_c = {other.otherwise for other in found if other.argument == "/arguments/b/0/c"}
    assert of_c == {*OTHERWISE, "missing"}
    gone = next(
        item.given for item in found if (item.argument, item.otherwise) == ("/arguments/b/0/c", "missing")
    )
    assert gone == {"arguments": {"a": "x", "b": [{"d": 2}]}, "now": "n"}
    assert question.given == {"arguments": {"a": "x", "b": [{"c": 1, "d": 2}]}, "now": "n"}


@pytest.mark.parametrize(
    "rule",
    [
        f"deny contains {REASON} if input.arguments.x == 1", f"deny contains {REASON} if {{ input.arguments.x == 1 }}",
        f'deny contains {REASON} if "a" == input.arguments.y',
        f"deny contains {REASON} if {{\n\tinput.arguments.x == `1`\n}}",
        f"deny contains reason if {{\n\treason := {REASON}\n\tinput.arguments.x\n}}",
        f"ask contains {REASON} if not input.arguments.x",
        f"ask contains {REASON} if {{ some x in input.arguments; true }}",
    ],
)  # fmt: skip
def test_what_a_test_shows_a_verdict_is_seen_however_it_is_written(rule: str):
    verdict = rule.partition(" ")[0]
    test = (
        "package tests.own\n\nimport data.guardrail.rules.own\n\n"
        f'test_it if count(own.{verdict}) >= 0 with input as {{"arguments": {{"x": 1, "y": "a"}}}}\n'
    )
    bundle = Bundle.of({"own.rego": f"package guardrail.rules.own\n\n{rule}\n", "own_test.rego": test})
    assert [question.given["arguments"] for question in asked_by_tests(bundle)] == [{"x": 1, "y": "a"}]
