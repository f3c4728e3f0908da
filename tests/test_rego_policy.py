"""The embedded policy, with the real interpreter: what goes wrong in it is a deny that says so."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Decision, Reason
from guardrail.errors import PolicyError
from guardrail.facts import Facts
from guardrail.policy import PolicyInput, RunState
from guardrail.rego import RegoPolicy
from guardrail.rego.interpreter import Interpreter, RegoError

ROOT = Path(__file__).parents[1]
RULES = """package guardrail.rules.pay

allow contains {"rule": "pay.small", "message": "a small amount"} if {
    is_number(input.arguments.amount)
    input.arguments.amount <= 100
}

deny contains {"rule": "pay.broken", "message": "never"} if {
    input.arguments.mode == "error"
    to_number(input.arguments.text) > 1
}

deny contains {"rule": "pay.broken", "message": "never"} if {
    input.arguments.mode == "panic"
    strings.count(input.arguments.text, "") > 1
}

deny contains {"rule": "pay.slow", "message": "never"} if {
    input.arguments.mode == "slow"
    some x in numbers.range(1, input.arguments.steps)
    x < 0
}

deny contains {"rule": "pay.said", "message": input.arguments.text} if {
    input.arguments.mode == "say"
    input.arguments.text
}
"""


def asked(arguments: dict[str, Any] | None = None, *, facts: Facts | None = None) -> PolicyInput:
    call = Call.of(
        {"amount": 5} if arguments is None else arguments,
        run="r",
        id="c1",
        agent=Agent(id="payer"),
        tool=Tool(name="send_money", effect="write"),
    )
    run = RunState(id="r", started="2026-01-01T00:00:00Z")
    return PolicyInput(call=call, facts=facts or Facts(), run=run, now="2026-01-01T00:00:00Z")


def pack(name: str, verdict: str = "allow") -> Bundle:
    rule = f'{verdict} contains {{"rule": "{name}.r", "message": "m"}} if input.point == "action"\n'
    return Bundle.of({f"{name}.rego": f"package guardrail.rules.{name}\n\n{rule}"})


@pytest.fixture(name="policy")
def _policy() -> Iterator[RegoPolicy]:
    policy = RegoPolicy(Bundle.of({"pay.rego": RULES}))
    yield policy
    policy.close()


def test_it_decides_by_its_rules(policy: RegoPolicy):
    reason = Reason(rule="pay.small", message="a small amount")
    assert policy.decide(asked()) == Decision(effect="allow", reasons=(reason,), revision=policy.revision)


def test_silence_is_a_deny(policy: RegoPolicy):
    decision = policy.decide(asked({"amount": 101}))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.silent")


@pytest.mark.parametrize("amount", ["5", True, None, [5], {"x": 5}, "", False, []])
def test_a_guarded_comparison_holds_for_numbers_only(policy: RegoPolicy, amount: Any):
    decision = policy.decide(asked({"amount": amount}))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.silent")


def test_an_error_in_a_rule_is_a_deny_with_its_place(policy: RegoPolicy):
    decision = policy.decide(asked({"amount": 5, "mode": "error", "text": "my secret"}))
    assert decision == Decision(
        effect="deny",
        reasons=(
            Reason(
                rule="guardrail.policy.error",
                message="the policy raised: pay.rego:10: could not parse string as number",
                fix="the owner of the policy has to repair it",
                code="policy.error",
            ),
        ),
        revision=policy.revision,
    )


def test_a_panic_is_a_deny_and_the_next_call_is_decided(
    policy: RegoPolicy, capfd: pytest.CaptureFixture[str]
):
    given = asked({"amount": 5, "mode": "panic", "text": "x"})
    for _ in range(3):
        decision = policy.decide(given)
        assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.panic")
        assert policy.decide(asked()).effect == "allow"
    assert "Stack backtrace" not in decision.reasons[0].message
    assert "window size" in capfd.readouterr().err  # Rust itself says where


def test_a_panic_on_the_evaluating_thread_harms_nobody_else(
    policy: RegoPolicy, capfd: pytest.CaptureFixture[str]
):
    with ThreadPoolExecutor(8) as pool:
        given = [asked({"amount": 5, "mode": mode, "text": "x"}) for mode in ["panic", "none"] * 20]
        found = [decision.reasons[0].code for decision in pool.map(policy.decide, given)]
    assert found == ["policy.panic", "rule"] * 20
    assert "panicked" in capfd.readouterr().err


def test_an_answer_past_the_limit_is_a_deny_when_it_arrives():
    policy = RegoPolicy(Bundle.of({"pay.rego": RULES}), limit=0.02)
    decision = policy.decide(asked({"amount": 5, "mode": "slow", "steps": 1_000_000}))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.timeout")
    assert "at most 0.02 s are accepted" in decision.reasons[0].message


def test_making_the_interpreter_does_not_count_against_the_limit():
    rules = "".join(f"x{number} := [y | some y in [{number}, 2, 3]]\n" for number in range(2_000))
    policy = RegoPolicy(Bundle.of({"pay.rego": RULES, "big.rego": f"package big\n\n{rules}"}), limit=0.02)
    assert policy.decide(asked()).effect == "allow"


def test_a_large_call_is_decided(policy: RegoPolicy):
    assert policy.decide(asked({"amount": 5, "text": "é" * 400_000})).effect == "allow"


def test_an_input_over_the_limit_is_a_deny():
    policy = RegoPolicy(Bundle.of({"pay.rego": RULES}), max_input=1_000)
    decision = policy.decide(asked({"amount": 5, "text": "x" * 1_000}))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.error")
    assert "at most 1,000 are accepted" in decision.reasons[0].message


def test_an_input_nested_as_deep_as_a_call_may_be_is_decided(policy: RegoPolicy):
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    assert policy.decide(asked({"amount": 5, "deep": deep})).effect == "allow"


def test_facts_nested_too_deeply_are_a_deny(policy: RegoPolicy):
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    decision = policy.decide(asked(facts=Facts(sql=({"tree": deep},))))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.error")


@pytest.mark.parametrize("value", ["\ud800", 2**70, {1, 2}, object()])
def test_facts_that_are_no_json_are_a_deny(policy: RegoPolicy, value: Any):
    decision = policy.decide(asked(facts=Facts(paths=({"raw": value},))))
    assert (decision.effect, decision.reasons[0].code) == ("deny", "policy.error")
    assert "cannot be shown to the policy" in decision.reasons[0].message


@pytest.mark.parametrize(
    "text", ["é日本🙂", "a\nb\tc", 'quo"te', "back\\slash", "\x7f", "<undefined>", "${x}", "\u2028"]
)
def test_texts_reach_the_policy_and_come_back_unchanged(policy: RegoPolicy, text: str):
    decision = policy.decide(asked({"mode": "say", "text": text}))
    assert decision.reasons == (Reason(rule="pay.said", message=text),)


def test_a_backtrace_that_rust_adds_is_cut():
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.test_rego_policy import RULES, asked
from guardrail.bundles import Bundle
from guardrail.rego import RegoPolicy
from guardrail.rego.interpreter import Interpreter, RegoError
policy = RegoPolicy(Bundle.of({"pay.rego": RULES}))
print(json.dumps(policy.decide(asked({"amount": 5, "mode": "error", "text": "x"})).reasons[0].message))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)],
        env={**os.environ, "RUST_BACKTRACE": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(ended.stdout) == "the policy raised: pay.rego:10: could not parse string as number"


def test_what_a_policy_prints_is_shown_to_nobody(capfd: pytest.CaptureFixture[str]):
    noisy = RULES + "\nloud if print(input.arguments.amount)\n"
    policy = RegoPolicy(Bundle.of({"pay.rego": noisy}))
    assert policy.decide(asked()).effect == "allow"
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_rules_in_observe_mode_are_recorded_only():
    policy = RegoPolicy(Bundle.join(pack("a"), pack("b", "deny")), observe=["b.r"])
    assert policy.decide(asked()) == Decision(
        effect="allow",
        reasons=(Reason(rule="a.r", message="m"),),
        observed=(Reason(rule="b.r", message="m"),),
        revision=policy.revision,
    )


PEER_MAINS = {
    '{"allow": false}': "policy.malformed",
    '{"allow": true}': "policy.malformed",
    "true": "policy.malformed",
    "null": "policy.malformed",
    '"allow"': "policy.malformed",
    "{}": "policy.silent",
    "input.arguments.nothing": "policy.undefined",
}


@pytest.mark.parametrize("answer", PEER_MAINS)
def test_an_own_main_that_does_not_keep_the_contract_denies(answer: str):
    own = f"package guardrail\n\ndecision := {answer} if data.guardrail.rules.a\n"
    policy = RegoPolicy(Bundle.of({**pack("a").modules, "guardrail/main.rego": own}))
    decision = policy.decide(asked())
    assert (decision.effect, decision.reasons[0].code) == ("deny", PEER_MAINS[answer])


# --- threads, loops, forks ---


def on_a_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_every_kind_of_thread_gets_the_same_decision(policy: RegoPolicy):
    async def on_a_loop() -> Decision:
        return policy.decide(asked())

    async def beside_a_loop() -> Decision:
        return await asyncio.to_thread(policy.decide, asked())

    here = policy.decide(asked())
    assert [
        on_a_thread(lambda: policy.decide(asked())),
        asyncio.run(on_a_loop()),
        on_a_thread(lambda: asyncio.run(on_a_loop())),
        asyncio.run(beside_a_loop()),
    ] == [here] * 4


def evaluating_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "guardrail-rego"]


def test_many_short_threads_share_one_evaluating_thread(policy: RegoPolicy):
    before = len(evaluating_threads())
    found: list[Decision] = []
    for _ in range(20):
        threads = [threading.Thread(target=lambda: found.append(policy.decide(asked()))) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(evaluating_threads()) == before + 1
    assert found == [policy.decide(asked())] * 200


def test_the_main_thread_and_loops_need_no_evaluating_thread(policy: RegoPolicy):
    async def on_a_loop() -> Decision:
        return policy.decide(asked())

    before = len(evaluating_threads())
    policy.decide(asked())
    asyncio.run(on_a_loop())
    assert len(evaluating_threads()) == before


def test_closing_ends_the_thread_and_denies_from_then_on(policy: RegoPolicy):
    before = len(evaluating_threads())
    on_a_thread(lambda: policy.decide(asked()))
    policy.close()
    assert len(evaluating_threads()) == before
    for decision in (policy.decide(asked()), on_a_thread(lambda: policy.decide(asked()))):
        assert (decision.effect, decision.reasons[0].message) == (
            "deny",
            "the policy raised: the policy is closed",
        )
    policy.close()


def test_a_policy_that_nobody_holds_any_more_ends_its_thread():
    def use_one() -> int:
        policy = RegoPolicy(pack("a"))
        on_a_thread(lambda: policy.decide(asked()))
        return len(evaluating_threads())

    before = len(evaluating_threads())
    assert use_one() == before + 1
    assert len(evaluating_threads()) == before


def test_interpreters_are_dropped_by_their_own_threads_without_a_word():
    """pytest turns what an interpreter says when another thread drops it into a failure."""

    async def on_a_loop(policy: RegoPolicy) -> str:
        return policy.decide(asked()).effect

    for number in range(10):
        policy = RegoPolicy(pack(f"p{number}"))
        assert on_a_thread(lambda policy=policy: asyncio.run(on_a_loop(policy))) == "allow"
        assert on_a_thread(lambda policy=policy: policy.decide(asked()).effect) == "allow"
        assert policy.decide(asked()).effect == "allow"
        policy.close()


FORKING = """
import asyncio, os, sys, threading
sys.path.insert(0, sys.argv[1])
from tests.test_rego_policy import asked, pack
from guardrail.rego import RegoPolicy
from guardrail.rego.interpreter import Interpreter, RegoError

policy = RegoPolicy(pack("a"))
policy.decide(asked())
thread = threading.Thread(target=policy.decide, args=(asked(),))
thread.start(); thread.join()
ready, done = threading.Event(), threading.Event()

async def on_a_loop():
    policy.decide(asked())
    ready.set()
    while not done.is_set():
        await asyncio.sleep(0.01)

loop = threading.Thread(target=asyncio.run, args=(on_a_loop(),))
loop.start(); ready.wait()

def decide_everywhere(who):
    print(who, "main", policy.decide(asked()).effect, flush=True)
    thread = threading.Thread(target=lambda: print(who, "thread", policy.decide(asked()).effect, flush=True))
    thread.start(); thread.join()

child = os.fork()
if child == 0:
    decide_everywhere("child")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
decide_everywhere("parent")
done.set(); loop.join()
"""


def test_a_forked_child_evaluates_on_threads_of_its_own():
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "child main allow",
        "child thread allow",
        "parent main allow",
        "parent thread allow",
    ]


def test_a_process_ends_without_closing_its_policies():
    program = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from tests.test_rego_policy import asked, pack
from guardrail.rego import RegoPolicy
from guardrail.rego.interpreter import Interpreter, RegoError
policy = RegoPolicy(pack("a"))
thread = threading.Thread(target=policy.decide, args=(asked(),))
thread.start(); thread.join()
policy.decide(asked())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


# --- activation and revisions ---


def test_activation_changes_what_decides(policy: RegoPolicy):
    before = policy.revision
    policy.activate(pack("new"))
    decision = policy.decide(asked())
    assert (decision.rules, decision.revision) == (("new.r",), policy.revision)
    assert policy.revision != before


BROKEN = {
    "syntax": {"a.rego": "package guardrail.rules.a\n\nallow contains {\n"},
    "unknown": {
        "a.rego": 'package guardrail.rules.a\n\nallow contains {"rule": "a", "message": lowr("M")}\n'
    },
    "recursive": {"a.rego": "package guardrail.rules.a\n\nallow contains f(1)\n\nf(x) if f(x)\n"},
    "failing test": {**pack("a").modules, "a_test.rego": "package tests.a\n\ntest_x := false\n"},
    "raising test": {
        **pack("a").modules,
        "a_test.rego": 'package tests.a\n\ntest_x if to_number("x") == 1\n',
    },
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bundle_that_is_not_good_keeps_the_last_good_one(policy: RegoPolicy, kind: str):
    revision, decision = policy.revision, policy.decide(asked())
    with pytest.raises(PolicyError) as caught:
        policy.activate(Bundle.of(BROKEN[kind]))
    assert caught.value.message.startswith(
        f"the new policy was not activated, {revision[:16]} stays active: "
    )
    assert (policy.revision, policy.decide(asked())) == (revision, decision)


@pytest.mark.parametrize("kind", ["unknown", "failing test"])
def test_a_bundle_that_is_not_good_makes_no_policy(kind: str):
    with pytest.raises(PolicyError):
        RegoPolicy(Bundle.of(BROKEN[kind]))


def test_a_bundle_with_passing_tests_is_activated(policy: RegoPolicy):
    test = (
        'package tests.a\n\ntest_x if count(data.guardrail.rules.a.allow) == 1 with input.point as "action"\n'
    )
    policy.activate(Bundle.of({**pack("a").modules, "a_test.rego": test}))
    assert policy.decide(asked()).rules == ("a.r",)


def test_tests_take_no_part_in_decisions():
    test = 'package tests.b\n\ndeny contains {"rule": "x", "message": "m"}\n\ntest_x := true\n'
    policy = RegoPolicy(Bundle.of({**pack("a").modules, "b_test.rego": test}))
    assert policy.decide(asked()).rules == ("a.r",)


def test_every_decision_is_of_one_revision_while_bundles_change():
    bundles = [pack("a"), pack("b")]
    policy = RegoPolicy(bundles[0])
    by_revision = {policy.revision: "a.r"}
    policy.activate(bundles[1])
    by_revision[policy.revision] = "b.r"
    found: list[Decision] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            found.append(policy.decide(asked()))

    async def work_on_a_loop() -> None:
        work()

    threads = [threading.Thread(target=work) for _ in range(3)]
    threads.append(threading.Thread(target=asyncio.run, args=(work_on_a_loop(),)))
    for thread in threads:
        thread.start()
    for number in range(100):
        policy.activate(bundles[number % 2])
        found.append(policy.decide(asked()))
    stop.set()
    for thread in threads:
        thread.join()
    policy.close()
    assert {(decision.revision, decision.rules) for decision in found} == {
        (revision, (rule,)) for revision, rule in by_revision.items()
    }


def test_everything_that_can_change_an_answer_moves_the_revision():
    made = [
        RegoPolicy(pack("a")),
        RegoPolicy(pack("b")),
        RegoPolicy(Bundle.of(pack("a").modules, {"settings": {"x": 1}})),
        RegoPolicy(pack("a"), observe=["a.r"]),
        RegoPolicy(pack("a"), limit=2.0),
        RegoPolicy(pack("a"), max_input=5_000),
    ]
    assert len({policy.revision for policy in made}) == len(made)
    assert RegoPolicy(pack("a")).revision == made[0].revision


def test_a_stored_policy_decides_the_same_again():
    policy = RegoPolicy(
        Bundle.of({"pay.rego": RULES}, {"settings": {"x": 1.5}}), observe=["pay.said"], limit=3.0
    )
    stored = json.loads(json.dumps(policy.bundle))
    again = RegoPolicy.stored(stored)
    assert (again.revision, again.bundle) == (policy.revision, policy.bundle)
    assert again.decide(asked()) == policy.decide(asked())
    assert stored["interpreter"] == "gordon-to-regorus 0.13.0"
    assert set(stored) == {"rego", "settings", "interpreter", "guardrail"}


def test_a_stored_policy_does_not_run_its_tests_again():
    policy = RegoPolicy(pack("a"))
    modules = {**pack("a").modules, "a_test.rego": "package tests.a\n\ntest_x := false\n"}
    stored = {**policy.bundle, "rego": Bundle.of(modules).as_json()}
    assert RegoPolicy.stored(stored).decide(asked()).rules == ("a.r",)


@pytest.mark.parametrize(
    "stored", [{}, {"rego": {}}, {"rego": None, "settings": {}}, {"boundaries": {}, "settings": {"limit": 1}}]
)
def test_what_is_no_stored_policy_is_refused(stored: dict[str, Any]):
    with pytest.raises(PolicyError):
        RegoPolicy.stored(stored)


def test_an_interpreter_that_raised_is_let_go_of_by_the_thread_that_made_it():
    """Whichever thread collects garbage next may not let go of it: nothing is left for that."""

    def alive() -> set[int]:
        return {id(found) for found in gc.get_objects() if isinstance(found, Interpreter)}

    gc.collect()
    gc.disable()
    try:
        before = alive()
        with pytest.raises(RegoError):
            Interpreter({"a.rego": "package a\n\nb := "})
        assert alive() <= before
    finally:
        gc.enable()
