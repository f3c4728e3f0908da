"""Every recorded decision again: equal, or its record is named. What cannot be said is said."""

import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
import regorus

from guardrail.errors import VerificationFailed
from guardrail.ledger import Ledger
from guardrail.ledger.sqlite import driver
from guardrail.records import Record
from guardrail.rego import threads
from guardrail.replay import policies
from guardrail.replay.history import History, Stretch
from guardrail.replay.pool import recompute_all
from guardrail.replay.recompute import Recomputation, recompute
from guardrail.sealing import SealingKey
from tests.replay.scene import history, world

NOT_KEPT = "about an output that was withheld or changed, which is not kept"


def records(folder: Path) -> list[Record]:
    with Ledger.open(folder / "guardrail.db") as ledger:
        return list(ledger.records())


def decisions(folder: Path) -> list[tuple[Record, Any, Any]]:
    """Every record with a decision, its input and the decision, read another way than the replay does."""
    found = []
    for record in records(folder):
        detail = orjson.loads(record.detail or b"{}")
        part = detail.get("review") or detail
        if "decision" in part:
            found.append((record, part["given"], part["decision"]))
    return found


def places(found: Recomputation) -> list[tuple[int, int]]:
    return [(difference.log, difference.sequence) for difference in found.differences]


def tamper(folder: Path, statement: str, *values: Any) -> None:
    connection = driver.connect(str(folder / "guardrail.db"), isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS records_no_update")
    connection.execute(statement, values)
    connection.close()


def test_every_decision_is_what_it_was_at_both_points(folder: Path):
    found = recompute_all(history(folder))
    recorded = decisions(folder)
    kinds = Counter(record.kind for record, _, _ in recorded)
    assert found.ok, found.differences
    assert set(kinds) == {"admitted", "asked", "denied", "settled"}
    assert (found.own, found.unsaid, found.closed, found.erased) == (1, {NOT_KEPT: 3}, 0, 0)
    assert found.equal + found.own + 3 == len(recorded)
    assert (
        found.claim
        == f"{found.equal} recorded decisions are what the stored policies decide from the stored inputs"
    )
    found.require()


@pytest.mark.parametrize("part", ["/own/own.rego", "boundaries", "hide", "limit", "kind", "order"])
def test_a_changed_byte_of_a_stored_policy_names_every_record_that_it_decided(folder: Path, part: str):
    with Ledger.open(folder / "guardrail.db"):
        pass
    connection = driver.connect(str(folder / "guardrail.db"))
    stored = dict(connection.execute("SELECT revision, bundle FROM policies").fetchall())
    connection.close()
    revision = next(revision for revision, bundle in stored.items() if b'"hide"' in bundle)
    old, new = {
        "/own/own.rego": (b"<= 100", b"<= 101"),
        "boundaries": (b'"depth":1', b'"depth":2'),
        "hide": (b'"/memo"', b'"/nemo"'),
        "limit": (b'"limit":1.0', b'"limit":9.0'),
        "kind": (
            b'"rego":',
            b'"regp":',
        ),  # as if it were a policy of somebody else's, whom nobody can ask again
        "order": (b'"all_of":[{', b'"all_of": [{'),
    }[part]
    assert old in stored[revision]
    tamper(
        folder,
        "UPDATE policies SET bundle = ? WHERE revision = ?",
        stored[revision].replace(old, new),
        revision,
    )
    found = recompute_all(history(folder))
    affected = [
        (record.log, record.sequence)
        for record, _, decision in decisions(folder)
        if decision["revision"] == revision
    ]
    assert places(found) == sorted(affected)
    assert {difference.what for difference in found.differences} <= {
        f"what is stored of the policy {revision[:16]} is not what decided: {what}"
        for what in ("a part was changed", "its parts were changed")
    } | {f"what is stored of the policy {revision[:16]} is not what was recorded"}


class ReadsOtherwise:
    """The real interpreter with one fault: it reads `<= 100` as `< 100`."""

    def __init__(self, *_: Any) -> None:
        self._real = regorus_engine()

    def add_policy(self, path: str, source: str) -> Any:
        return self._real.add_policy(
            path, source.replace("input.arguments.amount <= 100", "input.arguments.amount < 100")
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


regorus_engine = regorus.Engine


def test_a_changed_engine_names_every_record_that_it_decides_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with world(tmp_path) as acting, acting.inside("run"):
        for amount in (99, 101, 100, 99, 100):
            acting.send(amount)
    assert recompute_all(history(tmp_path)).ok
    monkeypatch.setattr("regorus.Engine", ReadsOtherwise)
    monkeypatch.setattr("guardrail.replay.policies.__version__", "9.9.9")
    rebuilt_afresh()
    found = recompute_all(history(tmp_path))
    rebuilt_afresh()
    affected = [
        (record.log, record.sequence) for record, given, _ in decisions(tmp_path)
        if given["arguments"]["amount"] == 100 and given["point"] == "action"
    ]  # fmt: skip
    assert (len(affected), places(found)) == (2, affected)
    (first, _) = found.differences
    assert first.what == "another effect, reasons, asks is recomputed"
    assert first.recorded is not None
    assert first.recomputed is not None
    assert (first.recorded["effect"], first.recomputed["effect"]) == ("ask", "deny")
    (change,) = found.changed
    assert change.endswith(" decided then, 9.9.9 decides now")
    with pytest.raises(
        VerificationFailed, match=r"2 recorded decisions differ: log 1, record \d+: another effect"
    ):
        found.require()


def rebuilt_afresh() -> None:
    """As another process would: nothing is left of what was made with another engine."""
    policies._rebuilt.cache_clear()
    threads._local.interpreters = threads._Interpreters()


def test_a_changed_detail_is_a_difference_and_the_others_are_recomputed(folder: Path):
    before = recompute_all(history(folder))
    record, _, _ = decisions(folder)[5]
    number = (record.log << 40) + record.sequence
    tamper(folder, "UPDATE sealed SET body = zeroblob(length(body)) WHERE record = ?", number)
    found = recompute_all(history(folder))
    assert places(found) == [(record.log, record.sequence)]
    assert found.differences[0].what == "its sealed detail does not open: it was changed"
    assert found.equal == before.equal - 1


def test_what_was_erased_is_counted_as_that(folder: Path):
    tamper(folder, "DELETE FROM sealed")
    found = recompute_all(history(folder))
    assert (found.ok, found.equal, found.erased) == (True, 0, len(decisions_before(folder)))
    assert found.claim == "no decision could be recomputed"


def decisions_before(folder: Path) -> list[Any]:
    """Records that say themselves that they hold a decision."""
    return [
        record for record in records(folder)
        if record.kind in {"admitted", "asked", "denied"}
        or (record.kind == "settled" and record.fields["tool"] != "guardrail/release")
    ]  # fmt: skip


def test_without_the_right_key_nothing_is_opened(folder: Path):
    other = folder / "other.key"
    SealingKey.create(other)
    for key in (other, None):
        found = recompute_all(History(path=folder / "guardrail.db", key=key))
        assert (found.ok, found.equal, found.closed) == (True, 0, len(decisions_before(folder)))


def test_a_policy_that_is_not_stored_and_one_of_somebody_elses_cannot_be_asked_again(
    folder: Path, tmp_path: Path, guard_that: Any
):
    tamper(folder, "DELETE FROM policies")
    found = recompute_all(history(folder))
    assert (found.ok, found.equal) == (True, 0)
    assert all(why.startswith("the policy ") and why.endswith(" is not stored") for why in found.unsaid)
    guard = guard_that("allow")
    with guard.run("r"):
        guard.tool(lambda: 1, agent="a", name="one")()
    found = recompute_all(history(tmp_path))
    assert found.unsaid == {"a part of the policy is of a class of somebody else's": 1}


@pytest.mark.parametrize("run", ["calls", "outputs", "observed"])
def test_one_run_is_recomputed_alone(folder: Path, run: str):
    found = recompute_all(history(folder, run=run))
    of_run = [record for record, _, _ in decisions(folder) if record.fields["run"] == run]
    assert found.equal + found.own + sum(found.unsaid.values()) == len(of_run)


def test_only_what_was_recorded_since_a_moment_is_recomputed(folder: Path):
    times = [record.fields["at"] for record, _, _ in decisions(folder)]
    since = times[len(times) // 2]
    found = recompute_all(history(folder, since=since))
    assert found.equal + found.own + sum(found.unsaid.values()) == sum(time >= since for time in times)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_pieces_of_any_size_give_one_result(folder: Path, size: int):
    assert recompute_all(history(folder), size=size) == recompute_all(history(folder))


def test_progress_ends_where_the_history_does(folder: Path):
    told: list[tuple[int, int | None]] = []
    recompute_all(history(folder), size=10, progress=lambda done, total: told.append((done, total)))
    size = len(records(folder))
    assert (told[-1], len(told) > 2, told == sorted(told)) == ((size, size), True, True)


WATCHED = """
import sys
from pathlib import Path

acted = []

def watch(event, given):
    if event == "open" and isinstance(given[1], str) and set(given[1]) & set("wax+"):
        acted.append((event, given[0], given[1]))
    elif event.startswith(("subprocess", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.", "os.remove",
                           "os.rename", "os.mkdir", "os.truncate", "shutil.")):
        acted.append((event, *given))

sys.addaudithook(watch)

from tests.replay.scene import history

read = history(Path(sys.argv[1]))
"""
RECOMPUTED = """
from guardrail.replay.pool import recompute_all

found = recompute_all(read)
print(found.ok, found.equal > 0, acted)
"""
WALKED = """
from dataclasses import replace
from guardrail.replay.what_if import what_if
from tests.replay.playing import Rules
from tests.replay.scene import TOOLS

knobs = {"much": 50, "half": 20, "label": True, "calls": 99, "spent": 0, "history": True, "bad": [], "held": []}
rules = Rules(knobs=knobs, tools=("send", "read", "say"))
candidate = replace(rules.candidate(rules.rego()), tools=TOOLS)
found = list(what_if(read, candidate))
print({"allowed", "denied", "asked"} <= {finding.now.answer for finding in found}, len(found) > 9, acted)
"""


@pytest.mark.parametrize("replayed", [RECOMPUTED, WALKED])
def test_nothing_is_run_and_nothing_is_written(folder: Path, replayed: str):
    before = stored(folder)
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED + replayed, folder],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    assert ended.stdout == "True True []\n"
    assert stored(folder) == before


def stored(folder: Path) -> dict[str, str]:
    """All files but those with which SQLite keeps its readers and writers apart; it makes them for readers too."""
    beside = {"guardrail.db-shm", "guardrail.db-wal"}
    files = [path for path in folder.iterdir() if path.name not in beside]
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_stretch_is_recomputed_alone(folder: Path):
    whole = recompute_all(history(folder))
    parts = [recompute(history(folder), stretch) for stretch in history(folder).stretches(9)]
    assert Recomputation.of(reversed(parts)) == whole
    assert recompute(history(folder), Stretch()) == whole
