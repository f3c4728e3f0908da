"""What was sealed stays out of exports; what is masked also out of those that are unsealed; what was erased is gone."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guardrail.calls import Agent, Call
from guardrail.execution import Attempt
from guardrail.exports.tables import COLUMNS
from guardrail.exports.veil import Veil
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.policy import PolicyInput
from guardrail.settings import ToolSettings
from guardrail.testing import ScriptedPolicy, decision
from tests.exports.reading import exported, lines, strings, table

ARGUMENT, RESULT, RAISED, SAID, REASON = (
    f"planted-{word}-0c5a91" for word in ("argument", "result", "error", "rule", "vote")
)
MASKED, ECHO = 'masked"é-77b1f0', 'echoes masked"é-77b1f0 back'
PIN = 918273645
OPEN = (ARGUMENT, RESULT, RAISED, SAID, REASON)
FORMS = [("parquet", "p"), ("opa", "o.jsonl"), ("ocsf", "c.jsonl"), ("otel", "t.jsonl")]
HOLDING: Mapping[str, set[str]] = {
    "parquet": set(OPEN), "opa": {ARGUMENT, SAID}, "ocsf": {ARGUMENT, RESULT, RAISED, SAID},
    "otel": {ARGUMENT, RESULT, RAISED, REASON},
}  # fmt: skip
"""Which planted words an unsealed export of a form holds."""


def judged(shown: PolicyInput) -> Any:
    effect: Any = "ask" if shown.call.arguments.get("ask") else "allow"
    return replace(decision(effect, rule="own.rule", message=f"{SAID} {MASKED}"), mask=("/secret",))


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with secrets wherever somebody may write them."""
    folder = tmp_path_factory.mktemp("secrets")
    with Ledger.open(folder / "guardrail.db") as ledger:
        tools = {"local/send": ToolSettings(kinds={"secret": "text", "link": "url"})}
        guard = Guardrail(policy=ScriptedPolicy(judged), ledger=ledger, tools=tools)
        for run in ("kept", "gone"):
            with guard.run(run, principal="user:anna", task="a task") as running:
                for number, ask in enumerate((False, True)):
                    perform(guard, ledger, running, f"{run}-{number}", ask=ask)
        ledger.erasing.erase("gone", by="olaf", reason=REASON)
    return folder


def perform(guard: Guardrail, ledger: Ledger, running: Any, name: str, *, ask: bool) -> None:
    arguments = {
        "text": ARGUMENT,
        "secret": MASKED,
        "pin": PIN,
        "link": f"https://example.com/{ARGUMENT}",
        "ask": ask,
    }
    call = Call.of(
        arguments, run=running.id, id=name, principal=running.principal, agent=Agent(id="payer"),
        tool=guard.tool_definition(name="send", server="local"),
    )  # fmt: skip

    def act(_: Call) -> Any:
        if ask:
            raise ValueError(f"{RAISED} {MASKED} {PIN}")
        return [RESULT, ECHO, str(PIN)]

    guard.perform(Attempt(call=call, invoke=act), waiting="answer")
    for approval in ledger.approvals(state="pending"):
        ledger.vote(approval.id, "bob", "approve", channel="test", reason=REASON)
        guard.perform(Attempt(call=call, invoke=act), waiting="answer")


def texts(target: Path, form: str) -> Iterator[str]:
    if form == "parquet":
        for name in COLUMNS:
            yield from strings(table(target, name))
    else:
        yield from strings(lines(target))


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_nothing_that_was_sealed_is_in_an_export(folder: Path, tmp_path: Path, form: Any, name: str):
    done = exported(folder, tmp_path / name, form)
    found = "\n".join(texts(tmp_path / name, form))
    assert [word for word in (*OPEN, MASKED, "77b1f0", str(PIN)) if word in found] == []
    assert (set(done.details), any(word in found for word in ("own.rule", "payer"))) == (
        {"sealed", "erased"},
        True,
    )


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_who_asks_for_it_gets_all_but_what_is_masked(folder: Path, tmp_path: Path, form: Any, name: str):
    exported(folder, tmp_path / name, form, unsealed=True, hide=("/pin",))
    found = "\n".join(texts(tmp_path / name, form))
    assert {word for word in OPEN if word in found} == HOLDING[form]
    assert [word for word in (MASKED, "77b1f0", str(PIN)) if word in found] == []


def test_what_was_erased_says_so(folder: Path, tmp_path: Path):
    exported(folder, tmp_path / "o.jsonl", "opa", unsealed=True)
    exported(folder, tmp_path / "p", "parquet", unsealed=True)
    gone = [event for event in lines(tmp_path / "o.jsonl") if event["guardrail"]["detail"] == "erased"]
    rows = [row for row in table(tmp_path / "p", "decisions") if row["run"] == "gone"]
    assert len(gone) == len(rows) > 0
    assert {("/input" in event["erased"], "input" in event) for event in gone} == {(True, False)}
    assert {(row["detail"], row["input"], row["result"]) for row in rows} == {("erased", None, None)}


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(hidden=TEXT, before=TEXT, after=TEXT, other=JSON)
def test_a_hidden_text_shows_up_nowhere(hidden: str, before: str, after: str, other: Any):
    assume(len(hidden) >= 4 and hidden not in "[masked]")
    assume(hidden not in {"True", "False", "None"})  # how `strings` spells what is no text
    veil = Veil.of({"secret": {"deep": [hidden]}}, ["/secret"], key=b"k" * 32)
    around = {"message": before + hidden + after, hidden: [hidden, {"x": other}], "n": 1}
    shown = strings([veil.over(around), veil.over_text(f"{before}{hidden}{after}")])
    assert [text for text in shown if hidden in text.replace("[masked]", "\0")] == []
    assert (veil.hit, list(veil.arguments["secret"])) == (("/secret",), ["masked"])


@given(value=JSON)
def test_without_anything_masked_a_value_stays_what_it_is(value: Any):
    assert Veil.of({"a": value}, ["/b"], key=b"k" * 32).over(value) == value
