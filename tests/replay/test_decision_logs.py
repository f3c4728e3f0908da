"""A what-if over decision logs: each event decided by itself, and nothing said of those that do not hold enough."""

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.policy import AllOf
from guardrail.rego import RegoPolicy
from guardrail.replay.candidate import Candidate
from guardrail.replay.decision_logs import NO_INPUT, OWN, DecisionLog, Invalid
from guardrail.replay.findings import NOT_KEPT, Finding
from guardrail.replay.history import Stretch
from guardrail.replay.recorded import decision_in, input_of
from tests.exports.reading import exported, lines
from tests.replay.scene import RULES, TOOLS, boundaries, history


@pytest.fixture(name="file", scope="module")
def _file(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that was decided, unsealed, in a world that hides `/memo`."""
    file = tmp_path_factory.mktemp("logs") / "log.jsonl"
    exported(original, file, "opa", unsealed=True)
    return file


def found(log: DecisionLog, original: Path, rules: str = RULES) -> list[Finding]:
    with closing(RegoPolicy(Bundle.of({"own/own.rego": rules}))) as rego:
        own = boundaries(original)
        return list(log.findings(Candidate(policy=AllOf([own, rego]), boundaries=own, tools=TOOLS)))


def whole(file: Path, target: Path) -> Path:
    """The events whose input is whole."""
    kept = [event for event in lines(file) if not event.get("masked") and event.get("input")]
    target.write_text("".join(json.dumps(event) + "\n" for event in kept))
    return target


def test_the_same_policy_comes_to_the_same(original: Path, tmp_path: Path, file: Path):
    log = DecisionLog(path=whole(file, tmp_path / "whole.jsonl"))
    findings = found(log, original)
    assert (log.invalid, log.others) == ([], 0)
    assert {finding.now.why for finding in findings if finding.verdict == "cannot say"} == {NOT_KEPT, OWN}
    flips = [finding for finding in findings if finding.verdict not in {"unchanged", "cannot say"}]
    assert [(finding.run, finding.verdict, finding.rules) for finding in flips] == [
        ("stricter", "newly asked", ("own.half",))  # its rules were others
    ]


def test_each_event_comes_out_as_the_policy_decides_its_input(original: Path, tmp_path: Path, file: Path):
    rules = RULES.replace("<= 100", "<= 9")
    with closing(RegoPolicy(Bundle.of({"own/own.rego": rules}))) as rego:
        policy = AllOf([boundaries(original), rego])
        expected: dict[tuple[int, int], Any] = {}
        with history(original).opened() as reading:
            for entry in reading.entries(Stretch(), lambda *_: True):
                recorded = (
                    None
                    if entry is None or entry.kind not in {"admitted", "asked", "denied"}
                    else decision_in(entry)
                )
                if entry is not None and recorded is not None and recorded.given:
                    effect = policy.decide(input_of(recorded.given)).effect
                    expected[entry.log, entry.sequence] = {
                        "allow": "allowed",
                        "ask": "asked",
                        "deny": "denied",
                    }[effect]
    log = DecisionLog(path=whole(file, tmp_path / "whole.jsonl"))
    events = lines(tmp_path / "whole.jsonl")
    compared = 0
    for finding, event in zip(found(log, original, rules), events, strict=True):
        place = tuple(map(int, event["guardrail"]["record"].split("/")))
        if event["guardrail"]["point"] == "action" and finding.verdict != "cannot say":
            assert finding.now.answer == expected[place]  # type: ignore[index]
            compared += 1
    assert compared > 5


def test_nothing_is_said_of_an_input_that_was_masked_or_erased(original: Path, tmp_path: Path, file: Path):
    exported(original, tmp_path / "sealed.jsonl", "opa")
    for path in (tmp_path / "sealed.jsonl", file):
        findings = found(DecisionLog(path=path), original)
        hidden = [
            finding
            for finding, event in zip(findings, lines(path), strict=False)
            if "input" not in event or event.get("masked")
        ]
        assert {(finding.verdict, finding.now.why) for finding in hidden} == {("cannot say", NO_INPUT)}
    assert len(hidden) > 20


def test_arrays_and_compressed_files_are_read_as_well(original: Path, tmp_path: Path, file: Path):
    lined = whole(file, tmp_path / "whole.jsonl")
    array = tmp_path / "array.json"
    array.write_text(json.dumps(lines(lined), indent=2))
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(lined.read_bytes()))
    findings = found(DecisionLog(path=lined), original)
    assert found(DecisionLog(path=array), original) == findings
    assert found(DecisionLog(path=packed), original) == findings


def test_what_is_no_event_is_put_aside_by_its_number(original: Path, tmp_path: Path, file: Path):
    good = lines(whole(file, tmp_path / "whole.jsonl"))[0]
    rows = [
        good, {**good, "path": "http/authz/allow", "input": 1.5}, {**good, "path": "/guardrail/decision"}, 7,
        {**good, "input": {"schema": 1}}, {**good, "result": {"effect": "maybe"}}, {**good, "path": "system/other"},
    ]  # fmt: skip
    log = DecisionLog(path=tmp_path / "mixed.jsonl")
    log.path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n")
    assert [finding.sequence for finding in found(log, original)] == [1, 3]
    assert (log.others, [item.number for item in log.invalid]) == (1, [2, 4, 5, 6, 8])
    assert log.invalid[-1] == Invalid(number=8, why=log.invalid[-1].why)
    assert log.invalid[-1].why.startswith("it is no JSON: ")
