"""Records of months that are over go: what is left verifies, goes on, and says so, on both databases."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail.admission import Pending, Settled, Stopped, Ticket
from guardrail.calls import Call
from guardrail.checkpointing import make_checkpoint
from guardrail.errors import Conflict, LedgerUnavailable, MustBeKept, VerificationFailed
from guardrail.ledger import Ledger
from guardrail.ledger.connection import Place
from guardrail.ledger.exporting import export_logs, prove
from guardrail.ledger.findings import Verification
from guardrail.ledger.places import reading_only
from guardrail.ledger.pruning import Wish
from guardrail.ledger.rights import granting_to
from guardrail.ledger.session import Session
from guardrail.ledger.verify import verify
from guardrail.proofs.signing import FileSigner
from guardrail.scopes import Remembered
from guardrail.sealing import SealingKey
from guardrail.verifier.checkpoints import Keys
from guardrail.verifier.exports import verify_export
from guardrail.verifier.notes import Note
from tests.ledger import pruner
from tests.ledger.conftest import Clock
from tests.ledger.lines import ANNA, RETRIED, admit, admit_asking, admitted, ask, call, ran, settle
from tests.ledger.test_verify import tamper
from tests.servers import server_or_skip, stranger, template

SIGNER = FileSigner.generate("example.com/guardrail")
KEYS = Keys(logs=(SIGNER.key,))
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 15, 12, tzinfo=UTC)
JANUARY = "count(*) FROM records WHERE month = 202601"
SEALED = "count(*) FROM sealed WHERE record < (2 * 1099511627776)"


def wish(before: datetime = FEBRUARY, **more: Any) -> Wish:
    return Wish(by="olga", before=before, keys=KEYS, **more)


def pruned(ledger: Ledger, *given: Wish) -> Any:
    """Prune January, and remove it."""
    declared = ledger.pruning.declare(*given or (wish(),))
    ledger.pruning.finish()
    return declared


def january(ledger: Ledger, clock: Clock) -> None:
    """A month in which there was something of everything, and the first day of one that is long after it."""
    ledger.store_policy("rev-1", b"{}")
    ledger.start_run("old", principal=ANNA, task="pay the bills")
    ran(ledger, call(1, run="old"))
    ran(ledger, call(2, run="old"), "raised")
    ticket = admitted(ledger, call(3, run="long"))
    ledger.write(settle(call(3, run="long"), ticket, labels=("untrusted",)), alone=True)
    asked = ledger.write(admit_asking(call(4, run="old")), alone=True)
    assert isinstance(asked, Pending)
    ledger.vote(asked.approval.id, "bob", "approve", channel="test", reason="I know him")
    ticket = ledger.write(admit_asking(call(4, run="old")), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(call(4, run="old"), ticket), alone=True)
    refused = ledger.write(admit_asking(call(5, run="old")), alone=True)
    assert isinstance(refused, Pending)
    ledger.vote(refused.approval.id, "bob", "reject", channel="test", reason="never")
    ledger.halt("agent:rogue", "olaf", "it went mad")
    ledger.halt("agent:other", "olaf")
    ledger.unhalt("agent:other", "olaf")
    ran(ledger, call(6, run="forgotten"))
    ledger.erasing.erase("forgotten", by="olga", reason="")
    clock.now = AUGUST
    ticket = admitted(ledger, call(7, run="long"), version=1)
    ledger.write(settle(call(7, run="long"), ticket), alone=True)


def policy_input(of: Call) -> bytes:
    """What a remembered scope is made of."""
    return orjson.dumps({
        "agent": {"id": of.agent.id, "chain": of.agent.chain, "attributes": {}},
        "principal": {"id": of.principal.id, "attributes": {}},
        "tool": {"server": of.tool.server, "name": of.tool.name, "digest": of.tool.digest},
        "arguments": orjson.Fragment(of.body),
    })  # fmt: skip


def signed(ledger: Ledger) -> int:
    return make_checkpoint(ledger, SIGNER).checkpoint.size


def looked(path: Place) -> Verification:
    return verify(path, keys=KEYS)


def rows(path: Place, what: str) -> Any:
    with stranger(path) as connection:
        return connection.execute(f"SELECT {what}").fetchone()[0]


def faults(path: Place) -> list[str]:
    return [fault.what for fault in looked(path).faults]


def test_what_is_left_verifies_up_to_the_checkpoints_that_covered_what_went(
    ledger: Ledger, path: Place, clock: Clock
):
    january(ledger, clock)
    signed(ledger)
    before = looked(path)
    (old,) = [head for head in before.heads if head.month == 202601]
    declared = pruned(ledger)
    told = declared.months, declared.logs, declared.records, declared.checkpoint
    assert told == ((202601,), 1, old.size, 1)
    after = looked(path)
    assert after.faults == ()
    assert [(one.log, one.size, one.root, one.covered, one.left) for one in after.pruned] == [
        (old.log, old.size, old.root, True, 0)
    ]
    assert after.claim == (
        f"{after.records} records, unchanged and complete up to checkpoint 1 of 2026-08-15T12:00:00.000Z, which is "
        f"kept here alone; the 1 later ones up to the log heads stored here; {old.size} records of 1 log were "
        "pruned, up to roots that it covers"
    )
    assert (rows(path, JANUARY), rows(path, SEALED)) == (0, 0)
    for number, name in ((2, None), (2, None), (3, 8)):
        if name is not None:
            ran(ledger, call(name, run="new"))
        assert (signed(ledger), faults(path)) == (number, [])


def test_a_prune_is_a_record_that_stays(ledger: Ledger, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    pruned(ledger)
    (record,) = [record for record in ledger.records() if record.kind == "pruned"]
    fields = dict(record.fields)
    assert (record.log, record.sequence) == (0, 1)
    told = [fields[name] for name in ("by", "months", "pruned", "before", "below_six_months", "checkpoint")]
    assert told == ["olga", [202601], [1], "2026-02-01T00:00:00.000Z", False, 1]
    carried = fields["carried"]
    assert carried["halts"] == [["agent:rogue", 1], ["run:forgotten", 1]]
    assert (carried["labels"], carried["policies"][0][0]) == ([["long", ["untrusted"]]], "rev-1")
    assert {head["id"] for head in fields["heads"]} == {1, 2}


def test_what_was_pruned_runs_no_second_time(ledger: Ledger, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    pruned(ledger)
    again = ledger.write(admit(call(1, run="old")), alone=True)
    assert (again, ledger.settled(call(1, run="old").key)) == (Settled(status="returned", result=None),) * 2
    refused = ledger.write(admit_asking(call(5, run="old")), alone=True)
    assert isinstance(refused, Stopped)
    assert refused.reasons[0].message == "a person said no (bob)"  # his words went with the rest
    assert isinstance(ledger.write(admit(call(9, run="old"), version=0), alone=True), Ticket)


def test_people_are_asked_anew_where_nobody_knows_any_more_what_their_yes_was_for(
    ledger: Ledger, clock: Clock
):
    asked = ledger.write(admit_asking(call(1, tool=RETRIED)), alone=True)
    assert isinstance(asked, Pending)
    ledger.vote(asked.approval.id, "bob", "approve", channel="test")
    ticket = ledger.write(admit_asking(call(1, tool=RETRIED)), alone=True)
    assert isinstance(ticket, Ticket)
    ledger.write(settle(call(1, tool=RETRIED), ticket, "raised"), alone=True)
    clock.now = AUGUST
    ran(ledger, call(2))
    signed(ledger)
    pruned(ledger)
    again = ledger.write(admit_asking(call(1, tool=RETRIED)), alone=True)
    assert isinstance(again, Pending)
    assert again.approval.id != asked.approval.id
    assert ledger.verify().faults == ()


def test_the_listings_still_read_it(ledger: Ledger, clock: Clock):
    january(ledger, clock)
    calls = ledger.calls("old")
    states = [(approval.id, approval.state, approval.digest) for approval in ledger.approvals()]
    signed(ledger)
    pruned(ledger)
    assert ledger.calls("old") == calls
    assert ledger.call(calls[0].reference) == calls[0]
    assert [(approval.id, approval.state, approval.digest) for approval in ledger.approvals()] == states
    assert {vote.reason for approval in ledger.approvals() for vote in approval.votes} == {""}
    assert {run.id: run.task for run in ledger.runs()} == {"old": None, "long": None, "forgotten": None}
    assert list(ledger.records("old")) == []
    assert [record.kind for record in ledger.records("long")] == ["admitted", "settled"]
    assert ledger.pruning.lacks_beginning("long")
    with pytest.raises(Conflict, match="erased or pruned"):
        ledger.approval_arguments(states[0][0])
    assert [log.pruned for log in ledger.status().logs] == [False, True, False]
    assert {halt.scope for halt in ledger.halts()} == {"agent:rogue", "run:forgotten"}
    ledger.unhalt("agent:rogue", "olaf")
    assert ledger.verify().faults == ()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "DELETE FROM calls WHERE run = 'old' AND call = 'c1'",
            "the calls have made 12 moves, 14 are recorded",
        ),
        ("DELETE FROM runs WHERE id = 'old'", "2 runs are stored, 3 are recorded"),
        (
            "DELETE FROM controls WHERE scope = 'agent:rogue'",
            "the halt of agent:rogue is off, the records say",
        ),
        ("UPDATE runs SET labels = '[]' WHERE id = 'long'", "the labels of run 'long' are not those"),
        ("UPDATE policies SET bundle = x'00'", "policy rev-1 is not the one that was stored"),
        ("DELETE FROM tools", "the definition of tool"),
        ("DELETE FROM pruned", "the logs that are listed as pruned are not those of which log 0 says so"),
        ("UPDATE logs SET size = 1 WHERE id = 1", "its row is not as it was pruned"),
        ("DELETE FROM logs WHERE id = 1", "the log is missing, though a checkpoint speaks of it"),
        ("DELETE FROM records WHERE log = 0 AND sequence = 1", "the end of the log is missing"),
    ],
)
def test_what_the_tables_still_say_is_compared_with_what_log_0_has_kept(
    ledger: Ledger, path: Place, clock: Clock, statement: str, said: str
):
    january(ledger, clock)
    signed(ledger)
    pruned(ledger)
    signed(ledger)
    tamper(path, statement)
    assert said in faults(path)[0]


def test_whoever_removes_a_log_by_hand_and_lists_it_as_pruned_is_found_out(
    ledger: Ledger, path: Place, clock: Clock
):
    january(ledger, clock)
    signed(ledger)
    size = rows(path, "size FROM logs WHERE id = 1")
    tamper(path, "DELETE FROM records WHERE log = 1")
    tamper(path, f"INSERT INTO pruned VALUES (1, 202601, {size}, 0, '2026-08-15T12:00:00.000Z')")
    assert faults(path)[0] == f"the end of the log is missing: it holds {size} records"


def test_what_no_checkpoint_covers_goes_only_where_somebody_says_so(
    ledger: Ledger, path: Place, clock: Clock
):
    january(ledger, clock)
    with pytest.raises(MustBeKept, match="no checkpoint that is signed covers how log 1 ended"):
        ledger.pruning.declare(wish())
    declared = pruned(ledger, wish(without_checkpoint=True))
    assert declared.checkpoint is None
    found = looked(path)
    assert (found.faults, [one.covered for one in found.pruned]) == ((), [False])
    assert found.claim.endswith("of 1 log were pruned, up to roots that no checkpoint covers")
    assert (signed(ledger), faults(path)) == (1, [])
    assert [one.covered for one in looked(path).pruned] == [True]


def test_nothing_goes_within_six_months_unless_somebody_says_so(ledger: Ledger, clock: Clock):
    ran(ledger, call(1))
    clock.now = datetime(2026, 7, 31, 12, tzinfo=UTC)
    ran(ledger, call(2))
    signed(ledger)
    with pytest.raises(MustBeKept, match="records from 2026-01-31 on are younger than six months"):
        ledger.pruning.declare(wish())
    assert pruned(ledger, wish(below_six_months=True)).months == (202601,)
    (record,) = [record for record in ledger.records() if record.kind == "pruned"]
    assert record.fields["below_six_months"] is True


def test_a_month_stays_while_something_needs_it_and_so_do_later_ones(ledger: Ledger, clock: Clock):
    ticket = admitted(ledger, call(1, run="a"))
    ledger.write(settle(call(1, run="a"), ticket, "unknown"), alone=True)
    ticket = admitted(ledger, call(2, run="b"))
    ledger.write(settle(call(2, run="b"), ticket, "suspended"), alone=True)
    clock.now = datetime(2026, 2, 15, tzinfo=UTC)
    ran(ledger, call(3, run="c"))
    clock.now = datetime(2026, 9, 15, tzinfo=UTC)
    asked = ledger.write(admit_asking(call(4, run="a"), ask(expires_in=86400.0)), alone=True)
    assert isinstance(asked, Pending)
    signed(ledger)
    march = datetime(2026, 3, 1, tzinfo=UTC)
    held = [(month.month, len(month.held)) for month in ledger.pruning.months(march)]
    assert held == [(202601, 3), (202602, 1)]
    assert ledger.pruning.declare(wish(march)) is None
    ledger.resolve(f"call_{call(1, run='a').key[:16]}", ran=True, by="olga")
    ledger.vote(asked.approval.id, "bob", "reject", channel="test")
    assert [month.held[0] for month in ledger.pruning.months(march)] == [
        f"call_{call(2, run='b').key[:16]} of run 'b' is suspended: let it go on, or `guardrail halt run:…` for good",
        "2026-01 stays, and so do all later ones",
    ]
    ledger.halt("run:b", "olga")
    signed(ledger)
    assert pruned(ledger, wish(march)).months == (202601, 202602)
    assert ledger.verify().faults == ()


def test_a_remembered_yes_that_counts_keeps_its_month(ledger: Ledger, clock: Clock):
    given = admit_asking(call(1))
    asked = ledger.write(replace(given, given=policy_input(call(1))), alone=True)
    assert isinstance(asked, Pending)
    ledger.vote(asked.approval.id, "bob", "approve", channel="test")
    scope = ledger.remember_scope(
        asked.approval.id, "bob", Remembered(seconds=400 * 86400.0, varying={}), channel="test"
    )
    clock.now = AUGUST
    ran(ledger, call(2, run="new"))
    signed(ledger)
    ledger.expire_due()
    assert [month.held for month in ledger.pruning.months(FEBRUARY)] == [
        (f"a yes is remembered: `guardrail forget {scope}`",)
    ]
    ledger.forget_scope(scope, "olga")
    signed(ledger)
    assert pruned(ledger).months == (202601,)
    assert (ledger.all_scopes(), ledger.verify().faults) == ((), ())


def test_several_prunes_follow_each_other(ledger: Ledger, path: Place, clock: Clock):
    january(ledger, clock)
    clock.now = datetime(2026, 9, 2, tzinfo=UTC)
    ran(ledger, call(8, run="new"))
    signed(ledger)
    first = pruned(ledger)
    clock.now = datetime(2027, 8, 15, tzinfo=UTC)
    ran(ledger, call(9, run="newer"))
    signed(ledger)
    second = pruned(ledger, wish(datetime(2026, 10, 1, tzinfo=UTC)))
    assert (first.months, second.months) == ((202601,), (202608, 202609))
    assert (signed(ledger), faults(path)) == (4, [])
    assert len(looked(path).pruned) == 3


def test_nothing_is_pruned_that_is_not_as_it_was_written(ledger: Ledger, path: Place, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    tamper(path, "UPDATE records SET body = x'00' WHERE log = 1 AND sequence = 2")
    with pytest.raises(VerificationFailed, match="log 1, record 2"):
        ledger.pruning.declare(wish())
    assert ledger.verify().pruned == ()


def test_by_a_clock_that_stands_in_a_pruned_month_nothing_runs(ledger: Ledger, path: Place, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    pruned(ledger)
    with (
        Ledger.open(path, clock=Clock()) as late,
        pytest.raises(LedgerUnavailable, match="records up to 2026-01"),
    ):
        late.write(admit(call(9)), alone=True)


def test_an_export_verifies_without_what_was_pruned_once_a_checkpoint_covers_that(
    ledger: Ledger, path: Place, clock: Clock, tmp_path: Path
):
    january(ledger, clock)
    signed(ledger)
    export_logs(path, tmp_path / "before")
    pruned(ledger)
    export_logs(path, tmp_path / "early")
    assert verify_export(tmp_path / "early", KEYS).faults == [
        f"{tmp_path / 'early' / 'log-1.jsonl'} cannot be read: No such file or directory"
    ]
    size = signed(ledger)
    export_logs(path, tmp_path / "after")
    (left,) = [one.size for one in looked(path).pruned]
    report = verify_export(tmp_path / "after", KEYS, [Note.parse(ledger.checkpoints.stored()[0].note)])
    assert (report.faults, report.pruned, report.checkpoint.size if report.checkpoint else 0) == (
        [], {1: left}, size,
    )  # fmt: skip
    assert report.claim.endswith(f"; {left} of 1 logs were pruned, up to roots that it covers")
    assert verify_export(tmp_path / "before", KEYS).ok
    (tmp_path / "after" / "log-2.jsonl").unlink()
    assert not verify_export(tmp_path / "after", KEYS).ok


def test_a_record_is_proved_unless_it_was_pruned(ledger: Ledger, path: Place, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    pruned(ledger)
    signed(ledger)
    assert prove(path, 2, 0, KEYS).verify(KEYS).log == 2
    with pytest.raises(Conflict, match=r"the records of log 1 were pruned at 2026-08-15T12:00:00\.000Z"):
        prove(path, 1, 0, KEYS)


def test_what_is_declared_and_not_removed_yet_is_read_by_nobody(ledger: Ledger, path: Place, clock: Clock):
    january(ledger, clock)
    signed(ledger)
    assert ledger.pruning.declare(wish()) is not None
    assert (list(ledger.records("old")), ledger.pruning.unfinished()) == ([], (202601,))
    found = looked(path)
    assert (found.faults, found.pruned[0].left) == ((), found.pruned[0].size)
    ledger.erasing.erase("old", by="olga", reason="")
    assert faults(path) == []
    ledger.pruning.finish()
    assert (ledger.pruning.unfinished(), faults(path)) == ((), [])
    assert ledger.pruning.declare(wish()) is None


def test_the_application_may_not(clock: Clock):
    with server_or_skip().database(template()) as address:
        owner = Session.to(address, within=5.0, reading=False)
        owner.run("DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        owner.run(granting_to("app"))
        owner.close()
        key = SealingKey(bytes(32))
        with Ledger.open(address.replace("//owner@", "//app@"), key=key, clock=clock) as ledger:
            january_of_an_application(ledger, clock)
            with pytest.raises(LedgerUnavailable, match="does not let this role remove what was recorded"):
                ledger.pruning.declare(wish())
            assert verify(address, keys=KEYS).pruned == ()
            with Ledger.open(address, key=key, clock=clock) as owned:
                assert pruned(owned).months == (202601,)
            assert (ledger.verify().faults, rows(address, JANUARY)) == ((), 0)
            ran(ledger, call(3))


def january_of_an_application(ledger: Ledger, clock: Clock) -> None:
    ran(ledger, call(1))
    clock.now = AUGUST
    ran(ledger, call(2))
    signed(ledger)


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.ledger.pruner"])
SOAK = bool(os.environ.get("GUARDRAIL_SOAK"))
MONTHS = 18 if SOAK else 6
KILLS = 12 if SOAK else 3
STEPS = 3500
"""About what a prune of one of these months takes."""


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_prune_that_is_killed_at_any_step_is_gone_on_with_while_others_write(
    tmp_path: Path, path: Place, clock: Clock
):
    """Each month is pruned by processes that are killed; whoever comes last finishes it."""
    with Ledger.open(path, clock=clock) as ledger:
        for month in range(MONTHS):
            clock.now = datetime(2026 + month // 12, month % 12 + 1, 15, tzinfo=UTC)
            for number in range(25):
                ran(ledger, call(number, run=f"{month}-{number % 3}"))
        kept = {head.month: head for head in ledger.verify().heads}
    dice, killed = random.Random(20260131), 0
    writer = _context.Process(target=pruner.write, args=(tmp_path, 1))
    writer.start()
    for month in range(MONTHS):
        before = datetime(2026 + (month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)
        for _ in range(KILLS):
            process = _context.Process(target=pruner.prune, args=(tmp_path, before, dice.randrange(1, STEPS)))
            process.start()
            process.join(120)
            killed += process.exitcode == -signal.SIGKILL
            assert process.exitcode in (0, -signal.SIGKILL)
            found = verify(path)
            assert found.faults == (), found.claim
        with Ledger.open(path, clock=lambda: pruner.NOW, wait=30.0) as ledger:
            ledger.pruning.declare(pruner.wish(before))
            ledger.pruning.finish()
            assert (ledger.pruning.unfinished(), ledger.pruning.months(before)) == ((), ())
        found = verify(path)
        assert found.faults == (), found.claim
        assert {(one.month, one.size, one.root, one.left) for one in found.pruned} == {
            (head.month, head.size, head.root, 0) for head in list(kept.values())[: month + 1]
        }
    assert writer.is_alive()
    writer.kill()
    writer.join()
    assert killed > MONTHS * KILLS / 4
    with Ledger.open(path, clock=lambda: pruner.NOW, wait=30.0) as ledger:
        written = (tmp_path / "written").read_text().split()
        states = {one.key: one.state for one in ledger.calls("live-1")}
        assert {states[key] for key in written} == {"returned"}
    assert rows(path, "count(*) FROM records WHERE month > 0 AND month < 202707") == 0
    assert rows(path, f"count(*) FROM sealed WHERE record < ({max(head.log for head in kept.values()) + 1} * "
                "1099511627776)") == 0  # fmt: skip
    if isinstance(path, str):
        assert rows(path, "count(*) FROM pg_class WHERE relname LIKE 'records_2026%' AND relkind = 'r'") == 0


def test_a_reader_that_began_before_sees_all_of_it_to_its_end(ledger: Ledger, path: Place, clock: Clock):
    """What a prune removes meanwhile is there for whoever reads as of an earlier moment."""
    january(ledger, clock)
    signed(ledger)
    ledger.pruning.declare(wish())
    removing = threading.Thread(target=ledger.pruning.finish)
    with reading_only(path) as connection:
        removing.start()
        count = connection.execute(f"SELECT {JANUARY}").fetchone()[0]
    removing.join()
    assert (count > 0, rows(path, JANUARY)) == (True, 0)


def test_those_who_prune_at_once_prune_it_once(tmp_path: Path, path: Place, clock: Clock):
    with Ledger.open(path, clock=clock) as ledger:
        for month in range(1, 5):
            clock.now = datetime(2026, month, 15, tzinfo=UTC)
            for number in range(40):
                ran(ledger, call(number, run=f"{month}-{number % 3}"))
        size = ledger.verify().records
    never = 1 << 60
    processes = [
        _context.Process(target=pruner.prune, args=(tmp_path, datetime(2026, 5, 1, tzinfo=UTC), never))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    with Ledger.open(path, clock=lambda: pruner.NOW, wait=30.0) as ledger:
        assert (ledger.pruning.unfinished(), ledger.verify().faults) == ((), ())
        (record,) = [record for record in ledger.records() if record.kind == "pruned"]
        assert (record.fields["months"], record.fields["records"]) == ([202601, 202602, 202603, 202604], size)
    assert rows(path, "count(*) FROM records WHERE month > 0 AND month < 202605") == 0
