"""What if: another policy over recorded runs, in the state that each call would have met."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from guardrail.boundaries import Boundaries, Boundary
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.errors import InvalidArguments
from guardrail.execution import Attempt
from guardrail.ledger import Ledger
from guardrail.outputs import default_checks
from guardrail.policy import AllOf
from guardrail.rego import RegoPolicy
from guardrail.replay.candidate import Candidate
from guardrail.replay.driver import Walked
from guardrail.replay.findings import NOT_KEPT, RACED, Finding, WhatIf
from guardrail.replay.runs import RunSoFar
from guardrail.replay.what_if import what_if
from guardrail.settings import ToolSettings
from guardrail.steps import Decide
from tests.replay.playing import Op, Planned, Rules, play
from tests.replay.scene import MONEY, RULES, TOOLS, boundaries, history, world

LENIENT: Final[Mapping[str, Any]] = {
    "much": 1_000, "half": 1_000, "label": False, "calls": 1_000, "spent": 10**12, "history": False,
    "bad": [], "held": [],
}  # fmt: skip
"""Nothing is denied and nobody is asked."""


CHANGES = """package guardrail.rules.own

allow contains {"rule": "own.cut", "message": "less", "obligations": {"replace": {"/amount": "little"}}} if true
"""
FINE = CHANGES.replace(', "obligations": {"replace": {"/amount": "little"}}', "")


def rules(*, limit: int = 1_000, per: Any = "day", reviews: bool = True, **knobs: Any) -> Rules:
    return Rules(knobs={**LENIENT, **knobs}, limit=limit, per=per, reviews=reviews)


def sent(run: str, amount: int, **more: Any) -> Planned:
    return Planned(**{"run": run, "tool": "send", "amount": amount, "returns": "fine", **more})


def one_by_one(count: int) -> list[Op]:
    return [(op, number) for number in range(count) for op in ("start", "finish")]  # type: ignore[misc]


def found(
    folder: Path, then: Rules, now: Rules, calls: Sequence[Planned], ops: Sequence[Op] = (), **only: Any
) -> list[Finding]:
    """Play a script, and what-if it."""
    play(folder / "then", then, calls, ops or one_by_one(len(calls)))
    return walked(folder / "then", now, **only)


def walked(folder: Path, now: Rules, **only: Any) -> list[Finding]:
    with closing(now.rego()) as rego:
        return list(what_if(history(folder, **only), now.candidate(rego)))


def verdicts(findings: Sequence[Finding], point: str = "action") -> list[str]:
    return [finding.verdict for finding in findings if finding.point == point]


# --- flips ----------------------------------------------------------------------------------------------


def test_after_a_refusal_the_rest_of_the_run_is_unreachable(tmp_path: Path):
    calls = [sent("one", 10), sent("one", 60), sent("one", 10), sent("two", 10)]
    findings = found(tmp_path, rules(), rules(much=50), calls)
    assert verdicts(findings) == ["unchanged", "newly denied", "unreachable", "unchanged"]
    flip = next(finding for finding in findings if finding.verdict == "newly denied")
    assert (flip.run, flip.tool, flip.agent, flip.point, flip.rules) == (
        "one", "local/send", "payer", "action", ("played.much",),
    )  # fmt: skip
    assert [reason.message for reason in flip.now.reasons] == ["too much"]
    assert [reason.rule for reason in flip.before.reasons] == ["boundary.within", "played.fine"]


def test_after_a_question_the_rest_of_the_run_is_unreachable(tmp_path: Path):
    findings = found(tmp_path, rules(), rules(half=50), [sent("one", 60), sent("one", 10)])
    assert verdicts(findings) == ["newly asked", "unreachable"]
    assert findings[-1].now.why == "its run waits for people"


def test_after_a_permission_nobody_can_say_what_the_run_would_have_done(tmp_path: Path):
    findings = found(tmp_path, rules(much=50), rules(), [sent("one", 60), sent("one", 10)])
    assert verdicts(findings) == ["newly allowed", "cannot say"]
    assert findings[0].rules == ("played.much",)  # the rule that does not stop it any more


def test_a_history_under_its_own_policy_comes_out_as_it_did(original: Path, folder: Path):
    own = boundaries(original)
    with closing(RegoPolicy(Bundle.of({"own/own.rego": RULES}))) as rego:
        candidate = Candidate(
            policy=AllOf([own, rego], hide=["/memo"]), boundaries=own, tools=TOOLS, checks=default_checks()
        )
        result = WhatIf.of(what_if(history(folder), candidate), before="then", now="now")
    assert [(flip.run, flip.verdict) for flip in result.flips] == [
        ("observed", "newly denied"),  # it was only observed then
        ("stricter", "newly asked"),  # that run had another policy
    ]
    assert (result.counts["cannot say"], result.unsaid) == (0, {})


# --- state ----------------------------------------------------------------------------------------------


def test_budgets_are_made_again_across_runs(tmp_path: Path):
    calls = [sent("one", 40), sent("two", 40), sent("one", 40)]
    assert verdicts(found(tmp_path, rules(), rules(limit=100), calls)) == [
        "unchanged",
        "unchanged",
        "newly denied",
    ]
    per_run = walked(tmp_path / "then", rules(limit=70, per="run"))
    assert verdicts(per_run) == ["unchanged", "unchanged", "newly denied"]


def test_what_unreachable_calls_may_spend_makes_a_shared_budget_unsure(tmp_path: Path):
    amounts = [("one", 60), ("one", 30), ("two", 50), ("three", 40), ("four", 50)]
    findings = found(
        tmp_path, rules(), rules(much=55, limit=95), [sent(run, amount) for run, amount in amounts]
    )
    said = {finding.run: finding.now for finding in findings if finding.point == "action"}
    assert [finding.now.answer for finding in findings if finding.point == "action"] == [
        "denied",
        "unreachable",  # 30, if it comes to that
        "allowed",  # 50 and perhaps 30
        "unsure",  # 50 and 40, and perhaps 30
        "denied",  # 50 and 50
    ]
    assert said["three"].why == "a budget may be used up by calls of runs that nobody can follow"
    assert [reason.rule for reason in said["four"].reasons] == ["guardrail.budget"]


def test_a_run_that_was_halted_for_a_while_keeps_its_place_among_the_others(tmp_path: Path):
    """What it takes from a shared budget it takes when it did: before the others that came later."""
    with world(tmp_path, rules=FINE) as acting:
        for run, amount in (("one", 10), ("one", 40), ("two", 40)):
            with acting.inside(run):
                acting.send(amount)
            if amount == 10:
                acting.guard.ledger.halt("run:one", "olaf")
                acting.guard.ledger.unhalt("run:one", "olaf")
    with history(tmp_path).opened() as reading:
        decided = [
            entry.sequence
            for entry in reading.in_order(lambda kind, _: kind in {"begun", "admitted", "settled"})
        ]
    assert decided == sorted(decided)
    money = replace(MONEY, limit=60)
    own = Boundaries({"payer": Boundary(tools=("send",), paths={"inbox": tmp_path}, money=(money,))})
    with closing(RegoPolicy(Bundle.of({"own/own.rego": FINE}))) as rego:
        candidate = Candidate(policy=AllOf([own, rego]), boundaries=own, tools=TOOLS)
        findings = list(what_if(history(tmp_path), candidate))
    assert [(finding.run, finding.verdict) for finding in findings] == [
        ("one", "unchanged"), ("one", "unchanged"), ("two", "newly denied"),
    ]  # fmt: skip


def test_a_call_fits_whatever_unreachable_calls_have_spent(tmp_path: Path):
    calls = [sent("one", 60), sent("one", 30), sent("two", 10)]
    findings = found(tmp_path, rules(), rules(much=50, limit=100), calls)
    assert verdicts(findings) == ["newly denied", "unreachable", "unchanged"]


def test_labels_and_totals_and_the_past_are_made_again(tmp_path: Path):
    calls = [sent("one", 1), sent("one", 1, tool="read"), sent("one", 1)]
    assert verdicts(found(tmp_path, rules(), rules(label=True), calls)) == [
        "unchanged",
        "unchanged",
        "newly denied",
    ]
    assert verdicts(walked(tmp_path / "then", rules(calls=1))) == ["unchanged", "newly denied", "unreachable"]
    assert verdicts(walked(tmp_path / "then", rules(spent=0))) == ["unchanged", "newly denied", "unreachable"]


def test_what_calls_that_ran_at_once_were_told_is_not_guessed(tmp_path: Path):
    calls = [sent("one", 1), sent("one", 1), sent("one", 1)]
    findings = found(tmp_path, rules(), rules(calls=2), calls, [("together", (0, 1, 2))])
    told = [given["usage"]["calls"] for given in _given(tmp_path / "then", "admitted")]
    assert told in ([0, 1, 1], [0, 0, 0], [0, 1, 2])  # as the operating system wants it
    raced = told[2] < 2
    assert [finding.verdict for finding in findings][:3] == [
        "unchanged", "unchanged", "cannot say" if raced else "newly denied",
    ]  # fmt: skip
    assert findings[2].now.why == (RACED if raced else "")


def test_people_say_what_they_said(tmp_path: Path):
    calls = [sent("one", 60), sent("two", 60)]
    ops: list[Op] = [
        ("start", 0), ("approve", 0), ("start", 0), ("finish", 0), ("start", 1), ("reject", 1), ("start", 1),
    ]  # fmt: skip
    findings = found(tmp_path, rules(half=50), rules(half=55), calls, ops)
    assert verdicts(findings) == ["unchanged"] * 4
    assert [finding.now.answer for finding in findings if finding.point == "action"] == [
        "asked", "allowed", "asked", "denied",
    ]  # fmt: skip
    assert verdicts(walked(tmp_path / "then", rules())) == ["newly allowed", "cannot say"] * 2


# --- outputs --------------------------------------------------------------------------------------------


def test_outputs_that_were_handed_on_are_withheld_or_held(tmp_path: Path):
    calls = [sent("one", 1, returns="bad"), sent("one", 1), sent("two", 1, returns="long")]
    findings = found(tmp_path, rules(), rules(bad=["bad"], held=["long"]), calls)
    assert verdicts(findings, "output") == ["newly denied", "unreachable", "newly asked"]
    assert verdicts(findings) == ["unchanged", "unreachable", "unchanged"]


def test_what_a_call_raised_is_withheld_or_held_and_handed_on_as_what_it_returned(tmp_path: Path):
    calls = [
        sent("one", 1, returns="bad", raises=True),
        sent("one", 1),
        sent("two", 1, returns="long", raises=True),
    ]
    findings = found(tmp_path, rules(reviews=False), rules(bad=["bad"], held=["long"]), calls)
    assert verdicts(findings, "output") == ["newly denied", "unreachable", "newly asked"]
    (tmp_path / "strict").mkdir()
    findings = found(tmp_path / "strict", rules(bad=["bad"]), rules(reviews=False), calls)
    assert verdicts(findings, "output") == ["newly allowed", "cannot say", "unchanged"]


def test_outputs_that_nobody_was_asked_about_are_looked_at_now(tmp_path: Path):
    calls = [sent("one", 1, returns="bad"), sent("two", 1)]
    findings = found(tmp_path, rules(reviews=False), rules(bad=["bad"]), calls)
    assert verdicts(findings, "output") == ["newly denied", "unchanged"]
    assert verdicts(walked(tmp_path / "then", rules(reviews=False)), "output") == []


def test_what_was_withheld_is_not_kept_so_nobody_can_say(tmp_path: Path):
    calls = [sent("one", 1, returns="bad"), sent("one", 1)]
    findings = found(tmp_path, rules(bad=["bad"]), rules(bad=["bad"], held=["long"]), calls)
    assert verdicts(findings, "output") == ["cannot say", "cannot say"]
    assert {finding.now.why for finding in findings if finding.verdict == "cannot say"} == {NOT_KEPT}
    assert verdicts(walked(tmp_path / "then", rules(bad=["bad"])), "output") == ["unchanged", "unchanged"]
    assert verdicts(walked(tmp_path / "then", rules(reviews=False)), "output") == [
        "newly allowed",
        "cannot say",
    ]


# --- what cannot be known --------------------------------------------------------------------------------


def test_an_erased_run_cannot_be_followed_and_what_it_took_of_shared_budgets_is_not_known(tmp_path: Path):
    play(tmp_path / "then", rules(), [sent("one", 1), sent("one", 1), sent("two", 1)], one_by_one(3))
    with Ledger.open(tmp_path / "then" / "guardrail.db") as ledger:
        ledger.erasing.erase("one", by="olaf", reason="the customer asked for it")
    findings = walked(tmp_path / "then", rules(limit=10))
    assert [(finding.run, finding.verdict) for finding in findings if finding.point == "action"] == [
        ("one", "cannot say"),
        ("one", "cannot say"),
        ("two", "cannot say"),
    ]
    assert findings[0].now.why == "a detail of its run was erased"
    per_run = walked(tmp_path / "then", rules(limit=10, per="run"))
    assert [finding.verdict for finding in per_run if finding.run == "two"] == ["unchanged", "unchanged"]


def test_a_tool_that_is_declared_otherwise_cannot_be_judged(tmp_path: Path):
    play(tmp_path / "then", rules(), [sent("one", 1)], one_by_one(1))
    with closing(rules().rego()) as rego:
        candidate = replace(rules().candidate(rego), tools={"local/send": ToolSettings(labels=("paid",))})
        finding, _ = what_if(history(tmp_path / "then"), candidate)
    assert (finding.verdict, finding.now.why) == (
        "cannot say", "the configuration says otherwise what send is: trust, labels",
    )  # fmt: skip


def numbers_only(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(arguments["amount"], int):
        raise InvalidArguments("the amount is no number")
    return arguments


def test_a_call_that_a_policy_changed_to_nothing_that_holds_is_newly_allowed_by_one_that_changes_nothing(
    tmp_path: Path,
):
    with world(tmp_path, rules=CHANGES) as acting, acting.inside("run"):
        send = acting.guard.tool_definition(name="send", server="local")
        call = Call.of(
            {"amount": 1},
            run="run",
            id="c",
            principal=acting.run.principal,
            agent=Agent(id="payer"),
            tool=send,
        )
        acting.guard.perform(Attempt(call=call, invoke=lambda _: "sent", validate=numbers_only))
    own = boundaries(tmp_path)
    said = list[tuple[str, str]]()
    for rules in (FINE, CHANGES, FINE.replace("allow", "deny")):
        with closing(RegoPolicy(Bundle.of({"own/own.rego": rules}))) as rego:
            (finding,) = what_if(
                history(tmp_path), Candidate(policy=AllOf([own, rego]), boundaries=own, tools=TOOLS)
            )
            said.append((finding.verdict, finding.now.why))
    assert said == [
        ("newly allowed", ""), ("cannot say", "the policy changes its arguments"), ("unchanged", ""),
    ]  # fmt: skip


# --- what is asked for -----------------------------------------------------------------------------------


def test_of_other_runs_only_the_budgets_count(tmp_path: Path):
    calls = [sent("one", 60), sent("two", 60)]
    findings = found(tmp_path, rules(), rules(limit=100), calls, run="two")
    assert [(finding.run, finding.verdict) for finding in findings] == [
        ("two", "newly denied"),
        ("two", "unreachable"),
    ]
    strict = walked(tmp_path / "then", rules(much=50), run="two")
    assert verdicts(strict) == ["newly denied"]
    late = walked(tmp_path / "then", rules(much=50), since="2026-02-01")
    assert late == []


# --- the candidate ---------------------------------------------------------------------------------------


def test_what_a_configuration_says_of_agents_tools_and_roots_is_what_the_policy_sees(tmp_path: Path):
    (tmp_path / "note.txt").write_text("three apples", encoding="utf-8")
    with world(tmp_path) as acting, acting.inside("run"):
        acting.read(str(tmp_path / "note.txt"))
    roots = Boundaries({"payer": Boundary(paths={"all": Path("/"), "own": tmp_path})})
    candidate = Candidate(
        policy=AllOf([roots]),
        boundaries=roots,
        tools={"local/read": ToolSettings(effect="irreversible")},
        attributes={"payer": {"team": "finance"}},
    )
    (given,) = _given(tmp_path, "admitted")
    shown = candidate.shown(given, RunSoFar())
    assert (given["facts"]["paths"][0]["inside"], given["tool"]["effect"]) == (["inbox"], "read")
    assert shown["facts"]["paths"][0]["inside"] == ["own", "all"]
    assert (shown["tool"]["effect"], shown["agent"]["attributes"]) == ("irreversible", {"team": "finance"})


def _given(folder: Path, kind: str) -> list[Mapping[str, Any]]:
    with history(folder).opened() as reading:
        entries = reading.in_order(lambda found, _: found == kind)
        return [entry.detail["given"] for entry in entries if entry.detail is not None]


# --- it cannot act ---------------------------------------------------------------------------------------


def test_the_driver_of_a_replay_has_no_tool():
    call = Call.of({}, run="r", id="1", tool=Tool(name="t"), agent=Agent(id="a"))
    walked = Walked(call)
    assert walked.step == Decide(call=call)
    invokes = [
        value
        for cell in walked._line.gi_frame.f_locals.values()
        for value in (cell,)
        if isinstance(value, Attempt)
    ]
    for attempt in invokes:
        with pytest.raises(AssertionError, match="a replay was about to run local/t"):
            attempt.invoke(call)
    assert len(invokes) == 1
    walked.close()


def test_findings_add_up(tmp_path: Path):
    calls = [sent("one", 60), sent("one", 1), sent("two", 60, chain=("boss", "payer"))]
    findings = found(tmp_path, rules(), rules(much=50), calls)
    result = WhatIf.of(findings, before="then", now="now")
    counts = Counter(finding.verdict for finding in findings)
    assert result.counts == {
        "unchanged": 0, "newly allowed": 0, "newly denied": 2, "newly asked": 0, "unreachable": 4, "cannot say": 0,
    }  # fmt: skip
    assert counts == {verdict: count for verdict, count in result.counts.items() if count}
    assert (result.runs, result.by_rule, result.by_tool, result.by_agent) == (
        2,
        {"played.much": {"newly denied": 2}},
        {"local/send": {"newly denied": 2}},
        {"payer": {"newly denied": 2}},
    )
    assert result.claim == "6 decisions of 2 runs: 2 newly denied, 4 unreachable"
    assert [flip["verdict"] for flip in result.as_json()["flips"]] == ["newly denied", "newly denied"]
