"""A what-if agrees, call by call, with really playing the same scripts again under the other policy."""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from guardrail.ledger import Ledger
from guardrail.replay.findings import Finding
from guardrail.replay.what_if import what_if
from tests.replay.playing import Op, Planned, Played, Rules, play
from tests.replay.scene import history

SOAK = "GUARDRAIL_SOAK" in os.environ
WORDS = ["fine", "bad", "long"]
CALLS = 10

planned = st.builds(
    Planned,
    run=st.sampled_from(["one", "two", "three"]),
    tool=st.sampled_from(["send", "send", "read"]),
    amount=st.integers(1, 60),
    returns=st.sampled_from(WORDS),
    chain=st.sampled_from([("payer",), ("boss", "payer")]),
    raises=st.sampled_from([False, False, True]),
)
rules = st.builds(
    Rules,
    knobs=st.fixed_dictionaries(
        {
            "much": st.sampled_from([1_000, 1_000, 50, 30]),
            "half": st.sampled_from([1_000, 1_000, 40, 10]),
            "label": st.booleans(),
            "calls": st.sampled_from([1_000, 1_000, 4, 2]),
            "spent": st.sampled_from([10**12, 10**12, 60 * 10**6]),
            "history": st.booleans(),
            "bad": st.sampled_from([[], [], ["bad"], ["bad", "long"]]),
            "held": st.sampled_from([[], [], ["long"]]),
        }
    ),
    reviews=st.booleans(),
    limit=st.sampled_from([1_000, 150, 80]),
    per=st.sampled_from(["run", "day", "always"]),
    calls_per_run=st.sampled_from([None, None, 3]),
    tools=st.sampled_from([("send", "read"), ("send", "read"), ("send",)]),
)
number = st.integers(0, CALLS - 1)
ops = st.lists(
    st.one_of(
        st.tuples(st.just("start"), number),
        st.tuples(st.just("start"), number),
        st.tuples(st.just("finish"), number),
        st.tuples(st.sampled_from(["approve", "approve", "reject"]), number),
        st.tuples(st.just("together"), st.lists(number, min_size=2, max_size=4, unique=True).map(tuple)),
    ),
    min_size=5,
    max_size=30,
)


def in_recorded_order(folder: Path, ops: Sequence[Op]) -> list[Op]:
    """The same with calls that were started at once in the order in which they were admitted."""
    with Ledger.open(folder / "guardrail.db") as ledger:
        decided = [
            int(record.fields["id"][1:]) for record in ledger.records()
            if record.kind in {"admitted", "asked", "denied"} and record.fields["tool"].startswith("local/")
        ]  # fmt: skip
    place = {number: index for index, number in reversed(list(enumerate(decided)))}
    ordered: list[Op] = []
    for op in ops:
        if op[0] == "together":
            ordered += [
                ("start", number) for number in sorted(op[1], key=lambda number: place.get(number, 0))
            ]
        else:
            ordered.append(op)
    return ordered


def by_call(folder: Path, findings: Sequence[Finding]) -> dict[tuple[int, str], list[Finding]]:
    with Ledger.open(folder / "guardrail.db") as ledger:
        ids = {(record.log, record.sequence): record.fields.get("id") for record in ledger.records()}
    found: dict[tuple[int, str], list[Finding]] = {}
    for finding in findings:
        if finding.tool.startswith("local/"):
            name = ids[finding.log, finding.sequence]
            found.setdefault((int(str(name)[1:]), finding.point), []).append(finding)
    return found


def disagreements(found: dict[tuple[int, str], list[Finding]], before: Played, really: Played) -> list[Any]:
    wrong: list[Any] = []
    for (number, point), findings in found.items():
        happened = really.started.get(number, []) if point == "action" else [really.ended.get(number)]
        places = before.recorded(number) if point == "action" else [0]
        for index, finding in zip(places, findings, strict=True):
            event(finding.verdict)
            if finding.now.answer in {"allowed", "asked", "denied"}:
                actual = happened[index] if index < len(happened) else None
                if actual != finding.now.answer:
                    wrong.append((number, point, finding.now, actual))
    return wrong


@settings(max_examples=400 if SOAK else 25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calls=st.lists(planned, min_size=CALLS, max_size=CALLS), ops=ops, then=rules, now=rules)
def test_a_what_if_says_what_happens_when_it_is_played_again(
    calls: list[Planned], ops: list[Op], then: Rules, now: Rules
):
    with tempfile.TemporaryDirectory() as name, closing(now.rego()) as rego:
        folder = Path(name)
        before = play(folder / "then", then, calls, ops)
        findings = list(what_if(history(folder / "then"), now.candidate(rego)))
        really = play(folder / "now", now, calls, in_recorded_order(folder / "then", ops))
        found = by_call(folder / "then", findings)
        assert disagreements(found, before, really) == []


@settings(max_examples=100 if SOAK else 10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calls=st.lists(planned, min_size=CALLS, max_size=CALLS), ops=ops, then=rules)
def test_under_the_same_policy_nothing_comes_out_otherwise(calls: list[Planned], ops: list[Op], then: Rules):
    with tempfile.TemporaryDirectory() as name, closing(then.rego()) as rego:
        folder = Path(name) / "then"
        play(folder, then, calls, ops)
        verdicts = Counter(finding.verdict for finding in what_if(history(folder), then.candidate(rego)))
        # Calls that read the run at once may depend on which of them was first; nothing is taken for a flip then.
        assert set(verdicts) <= {"unchanged", "cannot say"}
        if not any(op[0] == "together" for op in ops):
            assert set(verdicts) <= {"unchanged"}
