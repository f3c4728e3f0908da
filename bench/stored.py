"""What many stored records cost: the CPU of a call in a full ledger, and the verification of all of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import process_time
from typing import Final

from measuring import Benchmark, Goal, Pair, Round, Scale, in_turns, undisturbed
from scene import AGENT, ARGUMENTS, RUN_LENGTH, guarded, rehearse, turn_of

from guardrail.admission import Admit, Settle, Ticket
from guardrail.budgets import Reservation
from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Decision, Reason
from guardrail.ledger import Ledger, schema
from guardrail.ledger.sqlite import driver

SMALL: Final = 10_000
"""Records of the small ledger."""
_GROWTH: Final = Goal(
    name="call in a large ledger, CPU", against="the same in a ledger of 10,000 records", bound=1.5, aim=1.1
)
_VERIFY: Final = Goal(
    name="verify", against="a bare scan of records, sealed details and calls", bound=0.5, aim=0.7, unit="/s"
)
_BATCH: Final = 500
_EVERYTHING: Final = (
    "SELECT r.id, r.log, r.sequence, r.month, r.kind, r.run, r.body, r.leaf, s.key_id, s.body"
    " FROM records r LEFT JOIN sealed s ON s.record = r.id ORDER BY r.id"
)
_CALLS: Final = (
    "SELECT c.key, c.reference, c.state, c.moves, r.body FROM calls c LEFT JOIN records r ON r.id = c.record"
)


def fill(file: Path, records: int) -> None:
    """Fill a ledger through its own write path: runs of calls, each admitted and settled.

    Only the decisions are given, not made, and many calls share a commit: outcomes are buffered until
    the next flush, and so are admissions here, since nobody waits for their tickets.
    """
    given = [step.given.encode() for step in rehearse(file.parent)]
    (file.parent / "rehearsal.db").unlink()
    allowed = Decision(effect="allow", reasons=(Reason(rule="payments.small", message="a small payment"),))
    agent, tool = Agent(id=AGENT), Tool(name="send_money", effect="write")
    reserved = (Reservation(scope="payer/calls/always", amount=1, limit=2**50, name="payer: calls"),)
    with Ledger.open(file) as ledger:
        for number in range(records // 2):
            call = Call.of(
                ARGUMENTS, run=f"run_{number // RUN_LENGTH:016x}", id=f"{number:016x}", agent=agent, tool=tool
            )
            ledger.write_later(
                Admit(
                    call=call,
                    decision=allowed,
                    given=given[number % RUN_LENGTH],
                    version=0,
                    reservations=reserved,
                )
            )
            ledger.write_later(
                Settle(call=call, ticket=Ticket(key=call.key, fence=1), status="returned", result=b'"sent"')
            )
            if number % _BATCH == 0:
                ledger.flush()


def multiply(file: Path, copies: int) -> None:
    """Put what a ledger holds into it again and again, as the closed logs of others: all rows but the records' texts
    are as if these calls had been made. So a call meets tables of that size; the copies do not verify.
    """
    with closing(driver.connect(file, isolation_level=None)) as connection:
        for log in range(2, copies + 2):
            connection.execute("BEGIN IMMEDIATE")
            for table, values, chosen in (
                (
                    schema.records,
                    {"id": _placed("id", log), "log": str(log), "run": f"run || '-{log}'"},
                    "log = 1",
                ),
                (schema.sealed, {"record": _placed("record", log)}, f"record < {2 << schema.PLACES}"),
                (
                    schema.calls,
                    {
                        "key": "lower(hex(randomblob(32)))",
                        "run": f"run || '-{log}'",
                        "log": str(log),
                        "record": _placed("record", log),
                    },
                    "log = 1",
                ),
                (
                    schema.runs,
                    {"id": f"id || '-{log}'", "record": _placed("record", log)},
                    "instr(id, '-') = 0",
                ),
                (schema.logs, {"id": str(log), "closed": "1"}, "id = 1"),
            ):
                columns = ", ".join(values.get(column.name, f'"{column.name}"') for column in table.columns)
                connection.execute(
                    f"INSERT INTO {table.name} SELECT {columns} FROM {table.name} WHERE {chosen}"
                )
            connection.execute("COMMIT")


def _placed(column: str, log: int) -> str:
    """The number of a record of log 1 as one of another log."""
    return f"({column} & {(1 << schema.PLACES) - 1}) | {log << schema.PLACES}"


def _scan(file: Path) -> int:
    """Read everything that a verifier has to read, and do nothing with it; answers how many records there are."""
    with closing(driver.connect(file)) as connection:
        records = sum(1 for _ in connection.execute(_EVERYTHING))
        for _ in connection.execute(_CALLS):
            pass
    return records


def _verify(file: Path) -> int:
    with Ledger.open(file) as ledger:
        return ledger.verify().records


def _cpu_rate(records: int, work: Callable[[], object]) -> float:
    with undisturbed():
        began = process_time()
        work()
        return records / (process_time() - began)


@contextmanager
def _growth(folder: Path, scale: Scale) -> Iterator[Round]:
    small, large = folder / "small.db", folder / "large.db"
    fill(small, SMALL)
    for suffix in ("", ".key"):
        shutil.copy(f"{small}{suffix}", f"{large}{suffix}")
    multiply(large, scale.records // SMALL - 1)
    with ExitStack() as opened:
        cases = {file.stem: turn_of(opened.enter_context(guarded(file))) for file in (small, large)}

        def measure() -> Mapping[str, Pair]:
            watches = in_turns(cases, scale.runs)
            return {_GROWTH.name: Pair(ours=watches["large"].cpu, raw=watches["small"].cpu)}

        yield measure


@contextmanager
def _verification(folder: Path, scale: Scale) -> Iterator[Round]:
    file = folder / "ledger.db"
    fill(file, scale.verified)
    records = _scan(file)

    def measure() -> Mapping[str, Pair]:
        raw = _cpu_rate(records, lambda: _scan(file))
        return {_VERIFY.name: Pair(ours=_cpu_rate(records, lambda: _verify(file)), raw=raw)}

    yield measure


BENCHMARKS: Final = (
    Benchmark(
        name="growth",
        goals=(_GROWTH,),
        prepare=_growth,
        note=lambda scale: f"{scale.records:,} records" + (" instead of 1,000,000" if scale.quick else ""),
    ),
    Benchmark(
        name="verify",
        goals=(_VERIFY,),
        prepare=_verification,
        note=lambda scale: f"{scale.verified:,} records",
    ),
)
