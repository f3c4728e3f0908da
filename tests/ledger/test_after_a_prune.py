"""What goes on after a prune goes on without what was pruned: nobody vouches for it, and nobody guesses at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail import Guardrail
from guardrail.errors import ConfigError, MustBeKept
from guardrail.exports.cursor import Asked, Format
from guardrail.exports.exporting import export
from guardrail.exports.lines import Lines
from guardrail.exports.parquet import Parquet
from guardrail.ledger import Ledger
from tests.exports.reading import exported, lines, table
from tests.ledger.conftest import Clock
from tests.ledger.test_pruning import AUGUST, FEBRUARY, pruned, signed, wish
from tests.replay.playing import NOON, play
from tests.replay.scene import history
from tests.replay.test_what_if import one_by_one, rules, sent, verdicts, walked
from tests.test_origins import TOOLS, Watching, contacts, pay, trust

BOBS = "FR7630006000011234567890189"


def test_a_run_that_goes_on_takes_nobodys_word_for_what_was_pruned(ledger: Ledger, clock: Clock):
    policy = Watching()

    def trusts(*values: str) -> list[str]:
        """What a process that has just been started makes of them."""
        with Guardrail(policy=policy, ledger=ledger, tools=TOOLS) as guard, guard.run("long"):
            found = list[str]()
            for value in values:
                guard.tool(pay, agent="payer")(value)
                found.append(trust(policy))
            return found

    with Guardrail(policy=policy, ledger=ledger, tools=TOOLS) as guard, guard.run("long", task="pay anna"):
        guard.tool(contacts, agent="reader")("bob")
    clock.now = AUGUST
    assert trusts("anna", BOBS, "mallory") == ["user", "trusted", "unknown"]
    signed(ledger)
    pruned(ledger)
    assert trusts("anna", BOBS, "mallory") == ["untrusted"] * 3
    with Guardrail(policy=policy, ledger=ledger, tools=TOOLS) as guard, guard.run("long"):
        guard.hear("and my friend zoe")
    assert trusts("zoe", "anna") == ["user", "untrusted"]
    assert ledger.verify().faults == ()


def of_two_months(folder: Path, per: str) -> Path:
    """60 are spent in January, and 30 in August; January is pruned."""
    play(folder, rules(per=per), [sent("old", 60)], one_by_one(1))
    play(folder, rules(per=per), [sent("new", 30)], one_by_one(1), at=AUGUST)
    with Ledger.open(folder / "guardrail.db", clock=lambda: AUGUST) as ledger:
        signed(ledger)
        assert pruned(ledger).months == (NOON.year * 100 + NOON.month,)
    return folder


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        (1_000, "cannot say"),  # 970 may be gone, or 910 left
        (100, "cannot say"),
        (20, "newly denied"),  # 30 alone are more
    ],
)
def test_nobody_can_say_what_is_left_of_a_budget_for_always(tmp_path: Path, limit: int, verdict: str):
    folder = of_two_months(tmp_path / "then", "always")
    assert verdicts(walked(folder, rules(per="always", limit=limit))) == [verdict]


def test_a_budget_of_a_day_that_is_whole_is_known(tmp_path: Path):
    folder = of_two_months(tmp_path / "then", "day")
    assert verdicts(walked(folder, rules(per="day", limit=30))) == ["unchanged"]
    assert verdicts(walked(folder, rules(per="day", limit=29))) == ["newly denied"]


def test_the_guard_itself_knows_what_was_spent_for_always(tmp_path: Path):
    folder = of_two_months(tmp_path / "then", "always")
    played = play(folder, rules(per="always", limit=100), [sent("more", 11)], [("start", 0)], at=AUGUST)
    assert played.started == {0: ["denied"]}
    played = play(folder, rules(per="always", limit=100), [sent("fits", 10)], [("start", 0)], at=AUGUST)
    assert played.started == {0: ["allowed"]}


def cut_off(folder: Path, target: Path, form: Format, after: int) -> None:
    """An export of two months that ends with so many records read; then the first month is pruned."""
    play(folder, rules(), [sent("old", 1)] * 10, one_by_one(10))
    play(folder, rules(), [sent("new", 1)] * 10, one_by_one(10), at=AUGUST)

    def progress(done: int, _: int) -> None:
        if done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(history(folder), target, Asked(format=form), progress=progress)
    with Ledger.open(folder / "guardrail.db", clock=lambda: AUGUST) as ledger:
        signed(ledger)
        pruned(ledger)


def in_small_pieces(writer: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "piece", 5)
    monkeypatch.setattr("guardrail.exports.exporting._TOLD_EVERY", 1)


FORMS: list[tuple[type[Lines | Parquet], Format, str]] = [
    (Lines, "opa", "f.jsonl"),
    (Parquet, "parquet", "p"),
]


@pytest.mark.parametrize(("writer", "form", "name"), FORMS)
def test_an_export_of_which_the_rest_was_pruned_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: type, form: Format, name: str
):
    in_small_pieces(writer, monkeypatch)
    folder, target = tmp_path / "then", tmp_path / name
    cut_off(folder, target, form, after=7)
    with pytest.raises(ConfigError, match=r"cannot be gone on with: 2\d records up to 2026-01") as refused:
        exported(folder, target, form)
    assert refused.value.fix.startswith("delete it and ")


@pytest.mark.parametrize(("writer", "form", "name"), FORMS)
def test_an_export_that_had_come_past_what_was_pruned_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: type, form: Format, name: str
):
    in_small_pieces(writer, monkeypatch)
    folder, target = tmp_path / "then", tmp_path / name
    cut_off(folder, target, form, after=35)
    assert exported(folder, target, form).resumed
    found = [line["result"] for line in lines(target)] if form == "opa" else table(target, "decisions")
    assert len(found) == 40  # of 20 calls, and of what they returned


def test_a_month_that_has_not_ended_is_not_pruned(ledger: Ledger, clock: Clock):
    with pytest.raises(MustBeKept, match="2026-02-01 is still to come"):
        ledger.pruning.declare(wish(below_six_months=True, without_checkpoint=True))
    clock.now = FEBRUARY
    assert ledger.pruning.declare(wish(below_six_months=True, without_checkpoint=True)) is None
