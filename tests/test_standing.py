"""The approval policy over real Rego, and the floor beneath it that no policy can lower."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.approvals import Approval, Vote
from guardrail.bundles import APPROVAL, Bundle, shipped_folder
from guardrail.decisions import Ask
from guardrail.errors import PolicyError, PreflightError
from guardrail.people import People, Person
from guardrail.rego import preflight
from guardrail.rego.shapes import APPROVAL_INPUT, fields
from guardrail.standing import ApprovalPolicy, Question, Standby, Standing

ANNA = Person(id="anna", principals=("user:anna",))
BEN = Person(id="ben", roles=("finance",))
PEOPLE = People([ANNA, BEN, Person(id="mia"), Person(id="payer")])
CALL = b'{"arguments": {"amount": 5}}'
ANYTHING = "package guardrail.approval\n\ndecision := {decision}\n"


def request(*votes: Vote, **changes: Any) -> Approval:
    asked: dict[str, Any] = {
        "id": "a" * 32, "key": "k", "digest": "d", "run": "r", "agent": "payer", "chain": ("supervisor", "payer"),
        "principal": "user:anna", "tool": "bank/send_money", "revision": "v", "asks": (Ask(rule="x", message="m"),),
        "state": "pending", "requested_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:15:00Z",
    }  # fmt: skip
    return Approval(votes=votes, **{**asked, **changes})


def vote(person: str, answer: Any = "approve") -> Vote:
    return Vote(person=person, answer=answer, channel="test", at="2026-01-01T00:01:00Z")


def question(*votes: Vote, person: Person | None = None, **more: Any) -> Question:
    point: Any = "use" if person is None else "vote"
    return Question(
        point=point, approval=request(*votes), given=CALL, now="2026-01-01T00:02:00Z", person=person, **more
    )


def policy(decision: str) -> ApprovalPolicy:
    return ApprovalPolicy(Bundle.of({"own.rego": ANYTHING.replace("{decision}", decision)}))


def test_the_shipped_policy_decides_where_there_is_no_other():
    shipped = ApprovalPolicy()
    assert shipped.judge(question(person=BEN), PEOPLE) == Standing()
    assert shipped.judge(question(vote("ben")), PEOPLE) == Standing(met=True)
    barred = shipped.judge(question(person=ANNA), PEOPLE).barred
    assert [reason.rule for reason in barred] == ["approval.principal"]


EVERYBODY = policy('{"barred": [], "met": true}')


@pytest.mark.parametrize(
    ("votes", "why"),
    [
        ((), "nobody said yes"),
        ((vote("payer"),), "an agent did"),
        ((vote("anna"),), "whom the agents act for did"),
        ((vote("gone"),), "somebody did who is gone"),
        ((vote("ben"), vote("mia", "reject")), "somebody said no"),
        ((vote("ben"), vote("gone", "reject")), "somebody said no who is gone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_policy_meets_what_the_floor_does_not(votes: tuple[Vote, ...], why: str):
    assert EVERYBODY.judge(question(*votes), PEOPLE) == Standing(met=False), why


def test_a_policy_of_ones_own_takes_the_place_of_the_shipped_one():
    assert EVERYBODY.judge(question(vote("mia")), PEOPLE) == Standing(met=True)
    assert EVERYBODY.judge(question(person=ANNA), PEOPLE) == Standing(met=False)


def test_a_scope_that_was_remembered_is_somebody_s_yes():
    scope = Standby(id="s", person="ben", at="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z")
    assert ApprovalPolicy().judge(question(remembered=(scope,)), PEOPLE) == Standing(met=True)
    theirs = Standby(id="s", person="anna", at="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z")
    assert ApprovalPolicy().judge(question(remembered=(theirs,)), PEOPLE) == Standing(met=False)


@pytest.mark.parametrize(
    "decision",
    [
        "true",
        "{}",
        '{"met": true}',
        '{"barred": []}',
        '{"barred": {}, "met": true}',
        '{"barred": [], "met": "true"}',
        '{"barred": [], "met": true, "also": 1}',
        '{"barred": [{"rule": "x"}], "met": true}',
        '{"barred": [{"rule": "", "message": "m"}], "met": true}',
        '{"barred": [], "met": true} if input.point == "never"',
        'x if x := to_number(input.call.arguments.amount + "x")',
        '{"barred": [], "met": to_number("x")}',
    ],
)
def test_what_is_not_of_the_contract_bars_everybody_and_meets_nothing(decision: str):
    broken = policy(decision)
    for asked in (question(vote("ben")), question(person=BEN)):
        standing = broken.judge(asked, PEOPLE)
        assert (standing.met, [reason.code for reason in standing.barred]) == (False, ["policy.error"])


def test_a_policy_that_is_closed_or_slow_lets_nobody_answer():
    closed, slow = ApprovalPolicy(), ApprovalPolicy(limit=0.0)
    closed.close()
    for asked in (closed, slow):
        standing = asked.judge(question(vote("ben")), PEOPLE)
        assert (standing.met, bool(standing.barred)) == (False, True)


def test_the_policy_sees_what_the_checks_believe_it_does():
    echo = '{"barred": [{"rule": "echo", "message": json.marshal(input)}], "met": false}'
    scope = Standby(id="s", person="ben", at="a", until="b")
    seen = policy(echo).judge(question(vote("ben"), person=BEN, remembered=(scope,)), PEOPLE)
    value: Mapping[str, Any] = json.loads(seen.barred[0].message)
    assert value.keys() == APPROVAL_INPUT.keys()
    for name in ("request", "person"):
        shape: Any = APPROVAL_INPUT[name]
        assert value[name].keys() == fields(shape).keys()
    assert value["votes"] == [
        {"person": BEN.as_json(), "answer": "approve", "channel": "test", "at": "2026-01-01T00:01:00Z"}
    ]
    assert value["remembered"] == [{"id": "s", "person": BEN.as_json(), "at": "a", "until": "b"}]


TIER: dict[str, Any] = {"tool": "bank/send_money", "argument": "amount", "over": 1, "quorum": 2}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tiers": [{**TIER, "above": 1}]}, "settings.tiers[0].above: there is no such key; did you mean 'over'?"),
        ({"tiers": [TIER, {**TIER, "approver": ["x"]}]}, "tiers[1].approver: there is no such key; did you mean"),
        ({"tiers": [{**TIER, "qorum": 2}]}, "did you mean 'quorum'?"),
        ({"tiers": [{**TIER, "over": "1"}]}, "settings.tiers[0].over: Input should be a valid number"),
        ({"tiers": [{**TIER, "quorum": 0}]}, "settings.tiers[0].quorum: Input should be greater than"),
        ({"tiers": [{**TIER, "approvers": "role:cfo"}]}, "settings.tiers[0].approvers: Input should be"),
        ({"tiers": [{**TIER, "tool": "bank/*"}]}, 'settings.tiers[0].tool: expected one tool as "server/name"'),
        ({"tiers": [{**TIER, "tool": "send_money"}]}, "settings.tiers[0].tool: expected one tool"),
        ({"tiers": [{name: TIER[name] for name in ("tool", "over")}]}, "settings.tiers[0].argument: Field required"),
        ({"tiers": TIER}, "settings.tiers: Input should be a valid list"),
        ({"two_person": "no"}, "settings.two_person: Input should be a valid boolean"),
        ([], "settings: Input should be"),
    ],
)  # fmt: skip
def test_tiers_that_would_not_be_read_as_they_are_meant_are_refused(settings: Any, why: str):
    with pytest.raises(PolicyError) as caught:
        ApprovalPolicy(Bundle.of({}, {"settings": settings}))
    assert why in caught.value.message


def test_a_package_of_ones_own_reads_tiers_of_its_own():
    own = {"own.rego": ANYTHING.replace("{decision}", '{"barred": [], "met": true}')}
    ApprovalPolicy(Bundle.of(own, {"settings": {"tiers": {"small": 5}}})).close()
    ApprovalPolicy(Bundle.of({}, {"settings": {"tiers": [TIER], "hosts": ["example.com"]}})).close()


RULE = """package guardrail.rules.x

allow contains {"rule": "x", "message": "m"} if input.tool.name == "x"
"""
OWN = """package guardrail.approval

decision := {"barred": [], "met": met}

default met := false

met if count(input.votes) > 1
"""


def test_a_package_of_ones_own_is_checked_by_its_own_input(tmp_path: Path):
    with pytest.raises(PreflightError, match=r"there is no input.votez, so this never holds; did you mean"):
        preflight(Bundle.of({"rule.rego": RULE, "own.rego": OWN.replace("votes", "votez")}))
    preflight(Bundle.of({"rule.rego": RULE, "own.rego": OWN}))
    (tmp_path / "own.rego").write_text(OWN)
    both = Bundle.from_directory(shipped_folder(), tmp_path)
    assert (APPROVAL in both.modules, "own.rego" in both.modules) == (False, True)
    assert APPROVAL in Bundle.from_directory(shipped_folder()).modules
