"""The shipped policies: their defaults, their METADATA, and mixed types through the real line."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import APPROVAL, Bundle, shipped_folder
from guardrail.calls import Agent, ArgumentKind, Call, Effect, Tool
from guardrail.decisions import attended
from guardrail.errors import PreflightError
from guardrail.facts import extract
from guardrail.ledger.rows import no_usage
from guardrail.policy import PolicyInput, RunState
from guardrail.rego import RegoPolicy, lint, preflight, run_rego_tests
from guardrail.rego.interpreter import ENTRYPOINT, Interpreter
from guardrail.rego.preflight import VERDICTS, inspect
from guardrail.rego.shapes import INPUT, OPEN, Shape, fields

VALUES = ["9000000", True, False, None, 5, -1, 0.5, "", "x", [], ["x"], {}, {"x": 5}, "\u202e", "x" * 1_000]
EVERYTHING = Bundle.from_directory(shipped_folder())
CLOCK = "2026-01-31T12:00:00Z"


@pytest.fixture(name="policy", scope="module")
def _policy() -> RegoPolicy:
    return RegoPolicy(Bundle.shipped())


def given(
    arguments: Mapping[str, Any],
    *,
    effect: Effect = "read",
    kinds: Mapping[str, ArgumentKind] | None = None,
    roots: Mapping[str, Path] | None = None,
    **run: Any,
) -> PolicyInput:
    tool = Tool(name="act", effect=effect, kinds=kinds or {})
    call = Call.of(arguments, run="r", id="c9", agent=Agent(id="clerk"), tool=tool)
    state = RunState(id="r", started=CLOCK, **run)
    return PolicyInput(call=call, facts=extract(call, roots=roots or {}), run=state, now=CLOCK)


@pytest.mark.parametrize(
    ("effect", "verdict", "rule"),
    [
        ("read", "allow", "effects.read"),
        ("write", "allow", "effects.write"),
        ("irreversible", "ask", "effects.irreversible"),
    ],
)
def test_by_default_the_effect_decides(policy: RegoPolicy, effect: Effect, verdict: str, rule: str):
    decision = policy.decide(given({"note": "hello"}, effect=effect))
    assert (decision.effect, decision.rules) == (verdict, (rule,))


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("effect", ["read", "write", "irreversible"])
def test_no_argument_value_changes_what_the_effect_decides(policy: RegoPolicy, effect: Effect, value: Any):
    plain = policy.decide(given({"amount": 5}, effect=effect))
    decision = policy.decide(given({"amount": value, "text": value, "list": value}, effect=effect))
    assert decision == plain


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_path_or_url_of_any_type_is_decided_and_never_widens(
    policy: RegoPolicy, value: Any, tmp_path: Path
):
    asked = given(
        {"path": value, "url": value},
        effect="write",
        kinds={"path": "path", "url": "url"},
        roots={"work": tmp_path},
    )
    decision = attended(policy.decide(asked), tuple(str(fact) for fact in asked.facts.opaque))
    assert decision.reasons[0].code in {"rule", "facts.opaque"}
    absent = value is None or value == []
    assert decision.effect in ({"allow"} if absent else {"ask", "deny"})


def test_a_path_outside_is_denied_and_one_inside_is_fine(policy: RegoPolicy, tmp_path: Path):
    kinds: dict[str, ArgumentKind] = {"path": "path"}
    roots = {"work": tmp_path.resolve()}
    inside = policy.decide(given({"path": str(tmp_path / "a.txt")}, effect="write", kinds=kinds, roots=roots))
    outside = policy.decide(given({"path": "/etc/passwd"}, kinds=kinds, roots=roots))
    assert (inside.effect, outside.effect, outside.rules) == ("allow", "deny", ("filesystem.outside",))


@pytest.mark.parametrize(
    ("url", "effect", "verdict", "rule"),
    [
        ("https://example.com/", "read", "allow", "effects.read"),
        ("https://example.com/", "write", "ask", "effects.outward"),
        ("http://169.254.169.254/latest/meta-data/", "read", "deny", "egress.address"),
        ("http://127.0.0.1:8080/", "read", "deny", "egress.address"),
        ("http://[::ffff:10.0.0.1]/", "read", "deny", "egress.address"),
        ("http://metadata.google.internal/", "read", "deny", "egress.address"),
        ("https://user:pass@example.com/", "read", "deny", "egress.credentials"),
    ],
)
def test_where_a_url_leads_decides(policy: RegoPolicy, url: str, effect: Effect, verdict: str, rule: str):
    decision = policy.decide(given({"url": url}, effect=effect, kinds={"url": "url"}))
    assert (decision.effect, decision.rules) == (verdict, (rule,))


def test_a_run_that_is_refused_over_and_over_is_stopped(policy: RegoPolicy):
    past = [
        {"id": f"c{number}", "tool": "local/act", "agent": "clerk", "effect": "read", "outcome": "denied"}
        for number in range(5)
    ]
    decision = policy.decide(given({}, history=tuple(past), usage={"denied": 25}))
    assert (decision.effect, set(decision.rules)) == ("deny", {"runaway.denials", "runaway.repeated"})


@pytest.mark.parametrize("denied", [None, True, "25", [], 24])
def test_a_total_that_is_no_number_stops_nobody(policy: RegoPolicy, denied: Any):
    assert policy.decide(given({}, usage={"denied": denied})).effect == "allow"


def test_secret_arguments_are_masked_whatever_is_decided(policy: RegoPolicy):
    arguments = {"Password": "x", "api_key": None, "to": "anna"}
    effects: tuple[Effect, ...] = ("read", "irreversible")
    masks = [policy.decide(given(arguments, effect=effect)).mask for effect in effects]
    assert masks == [("/Password", "/api_key")] * 2


def test_settings_that_are_wrong_deny_rather_than_widen():
    mistakes: list[dict[str, Any]] = [
        {"private_hosts": 5},
        {"approval": {"quorum": "two"}},
        {"approval": "anna"},
    ]
    for settings in mistakes:
        bundle = Bundle.join(Bundle.shipped(), Bundle.of({}, {"settings": settings}))
        decision = RegoPolicy(bundle).decide(
            given({"url": "http://127.0.0.1/"}, effect="irreversible", kinds={"url": "url"})
        )
        assert decision.effect == "deny"


FINDINGS = {"missing", "unknown", "doubts", "unlisted"}
"""Rules of the pack `packages` that its verdicts take their reasons from."""


def test_every_shipped_verdict_says_what_it_is_for():
    """Title, rule id and at least one technique of MITRE ATLAS in the METADATA; the same id in the rule.

    Where a verdict takes its reasons from other rules, those have them.
    """
    program, _ = inspect(EVERYTHING)
    assert program is not None
    verdicts = [
        rule
        for path, rules in program.rules.items()
        for rule in rules
        if path[-1] in VERDICTS | {"hide"} | FINDINGS
    ]
    assert len(verdicts) >= 20
    for rule in verdicts:
        lines = list(rule.module.lines)
        if " contains reason" in (head := lines[rule.line - 1]) or "approval, reason)" in head:
            continue
        above = lines[: rule.line - 1]
        block = "\n".join(above[max(i for i, line in enumerate(above) if line == "# METADATA") :])
        named = re.search(r"^#   rule: ([a-z]+\.[a-z]+)$", block, re.MULTILINE)
        assert re.search(r"^# title: .+$", block, re.MULTILINE), (rule.module.file, rule.line)
        assert re.search(r"^#   atlas: \[AML\.T\d{4}", block, re.MULTILINE), (rule.module.file, rule.line)
        assert named is not None
        body = "\n".join(lines[rule.line - 1 : rule.line + 4])
        assert rule.path[-1] == "hide" or f'"rule": "{named[1]}"' in body


def rules_of(given: Mapping[str, Any]) -> set[str]:
    """Every rule of every pack that speaks of an input, whatever it says."""
    interpreter = Interpreter(EVERYTHING.rules, EVERYTHING.data_json)
    said = json.loads(interpreter.answer(json.dumps(given), ENTRYPOINT))
    return {reason["rule"] for verdict in VERDICTS for reason in said[verdict]}


def test_what_is_said_of_a_call_is_not_said_again_of_its_output():
    bad = given(
        {"path": "/etc/.ssh/x", "url": "http://u:p@10.0.0.1/", "run": "pip install evil > x", "sql": "DROP TABLE t",
         "amount": "-5 EUR", "note": "ghp_" + "a" * 36},
        effect="irreversible",
        kinds={"path": "path", "url": "url", "run": "command", "sql": "sql:sqlite", "amount": "money"},
        usage={"denied": 100},
    )  # fmt: skip
    value = json.loads(bad.json) | {"output": None}
    passed = {"content": "x", "bytes": 1, "sink": "agent", "trust": "untrusted", "checks": []}
    said = rules_of(value)
    assert {rule.partition(".")[0] for rule in said} == {
        "dataflow", "effects", "egress", "filesystem", "packages", "runaway", "secrets", "shell", "spending", "sql",
    }  # fmt: skip
    assert rules_of(value | {"point": "output", "output": passed}) == {"outputs.passed"}
    assert rules_of(value | {"output": passed}) == said


def test_every_pack_has_its_tests():
    packs = {file.name for file in shipped_folder().iterdir() if file.is_dir()}
    folder = Path(__file__).parent / "policies"
    tests = {file.name.removesuffix("_test.rego") for file in folder.glob("*_test.rego")}
    assert packs | {"main"} == tests


def test_rego_tests_do_not_ship():
    assert list(shipped_folder().rglob("*_test.rego")) == []


def check(shape: Shape, value: Any, where: str) -> None:
    """A value has the shape: all that it promises is there, and of its type."""
    if isinstance(shape, Mapping):
        assert isinstance(value, dict), where
        if shape is not OPEN:
            assert {name for name in shape if not name.endswith("?")} <= value.keys() <= fields(shape).keys()
        for name, inner in fields(shape).items():
            if name in value:
                check(inner, value[name], f"{where}.{name}")
    elif isinstance(shape, tuple):
        assert isinstance(value, list), where
        for item in value:
            check(shape[0], item, f"{where}[]")
    else:
        types = {"text": str, "number": (int, float), "boolean": bool, "any": object}
        assert isinstance(value, types[shape]), where


def test_what_the_checks_believe_of_a_policy_input_is_true(tmp_path: Path):
    past = {"id": "c1", "tool": "local/act", "agent": "clerk", "effect": "read", "outcome": "returned"}
    urls = ["https://example.com", "http://10.0.0.1:8080/", "www.example.com"]
    asked = given(
        {"path": str(tmp_path), "urls": urls, "odd": "~"},
        kinds={"path": "path", "urls": "url", "odd": "path"},
        roots={"work": tmp_path.resolve()},
        history=(past,),
        labels=("untrusted",),
        usage={**no_usage(), "calls": 3},
    )
    value = json.loads(asked.json)
    check(INPUT, value, "input")
    assert value.keys() == INPUT.keys()
    assert len(value["facts"]["urls"]) == 3
    assert value["facts"]["paths"]
    assert value["facts"]["opaque"]


def blocks(language: str) -> list[str]:
    """The code blocks of docs/policies.md in one language."""
    text = (Path(__file__).parents[1] / "docs" / "policies.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_example_of_the_documentation_is_clean_and_passes_its_tests():
    rule, tests = blocks("rego")
    assert lint(Bundle.of({"payments.rego": rule})) == []
    results = run_rego_tests(Bundle.of({"payments.rego": rule, "payments_test.rego": tests}))
    assert [(result.name, result.passed) for result in results] == [
        ("test_a_small_amount_is_allowed", True),
        ("test_a_large_amount_asks", True),
        ("test_what_is_no_number_is_denied", True),
    ]


def test_what_the_documentation_calls_refused_is_refused_in_its_words():
    head = "package guardrail.rules.pay\n\n"
    for refused, shown in zip(blocks("rego-refused"), blocks("text"), strict=True):
        with pytest.raises(PreflightError) as caught:
            preflight(Bundle.of({"pay.rego": head + refused}))
        assert caught.value.findings == (" ".join(shown.split()),)
    for accepted in blocks("rego-accepted"):
        preflight(Bundle.of({"pay.rego": head + accepted}))


def test_the_settings_of_the_documentation_are_read():
    (settings,) = blocks("json")
    assert lint(Bundle.join(Bundle.shipped(), Bundle.of({}, json.loads(settings)))) == []


def test_the_approval_policy_of_the_documentation_is_clean():
    (own,) = blocks("rego-approval")
    rules = {path: text for path, text in Bundle.shipped().modules.items() if path != APPROVAL}
    assert lint(Bundle.of({**rules, "own.rego": own})) == []


def test_the_documentation_names_every_shipped_rule():
    text = (Path(__file__).parents[1] / "docs" / "policies.md").read_text()
    rules = {
        name
        for source in EVERYTHING.modules.values()
        for name in re.findall(r"^#   rule: ([a-z]+\.[a-z]+)$", source, re.MULTILINE)
    }
    assert {name for name in rules if f"`{name}`" not in text} == set()


ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "folder",
    [
        "examples/agentdojo/policies",
        "examples/quickstart/policies",
        "guardrail/cli/starter/policies",
        "adapters/guardrail_langgraph/demo/files/policies",
    ],
)
def test_the_policies_of_every_example_have_no_errors(folder: str):
    found = lint(Bundle.from_directory(shipped_folder(), ROOT / folder))
    assert [finding for finding in found if finding.severity == "error"] == []


def test_the_shipped_policies_are_clean_beside_their_tests():
    assert lint(Bundle.from_directory(shipped_folder(), ROOT / "tests" / "policies")) == []
