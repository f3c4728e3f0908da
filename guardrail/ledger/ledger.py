"""The ledger as the rest of guardrail sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, overload

from guardrail.admission import Admission, Admit, InFlight, Refuse, Settle, SettleAnswer, Settled
from guardrail.calls import Principal
from guardrail.clock import Clock
from guardrail.errors import LedgerUnavailable
from guardrail.flights import Flights
from guardrail.ledger import forking
from guardrail.ledger.activations import Activations
from guardrail.ledger.admission import Admitting, Refusing, Settling
from guardrail.ledger.answers import Answers
from guardrail.ledger.checkpoints import Checkpoints
from guardrail.ledger.connection import Database, Place, place_of
from guardrail.ledger.controls import Halt, Resolve, Unhalt
from guardrail.ledger.definitions import BeginRun, Hear, StorePolicy
from guardrail.ledger.emissions import Emissions
from guardrail.ledger.erasing import Erasing
from guardrail.ledger.findings import Verification
from guardrail.ledger.granting import DIRECT, Asking
from guardrail.ledger.keys import key_for
from guardrail.ledger.listings import ListedCall, ListedHalt, ListedRun, Status
from guardrail.ledger.measured import watch
from guardrail.ledger.migrations import bring_up
from guardrail.ledger.moments import go_on
from guardrail.ledger.notes import Remember, RememberAlso
from guardrail.ledger.observations import Observe
from guardrail.ledger.outbox import Outbox
from guardrail.ledger.places import database_at
from guardrail.ledger.pruning import Pruning
from guardrail.ledger.queries import Reader
from guardrail.ledger.stopping import Stops
from guardrail.ledger.verify import verify
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write
from guardrail.policy import RunState
from guardrail.provenance import Source
from guardrail.records import Record
from guardrail.registry.observations import Observation
from guardrail.sealing import SealingKey


class Ledger(Answers):
    """One ledger, open in this process.

    Attributes:
        path: where it is: the database file, absolute, or the address of the database.
        outbox: what channels have to tell people.
        emissions: what users are told.
        checkpoints: what is signed over all logs.
        activations: which policies took whose place.
        erasing: how what was sealed about a run is deleted.
        stops: what would stop a call now: halts, budgets, and a database that takes none.
        pruning: how the records of months that are over are.
        flights: the calls that this process has in flight, of every guard over this ledger.
        clock: its time.
    """

    def __init__(
        self,
        database: Database,
        key: SealingKey,
        writer: Writer,
        reader: Reader,
        asking: Asking,
        clock: Clock,
    ) -> None:
        """Use `Ledger.open`."""
        self.clock = clock
        self.outbox = Outbox(database, writer, clock)
        self.emissions = Emissions(database, writer, key)
        self.flights = Flights()
        self.path = database.place
        self.checkpoints = Checkpoints(database, writer)
        self.erasing = Erasing(database, writer, key)
        self.pruning = Pruning(database, writer, key, clock)
        self.stops = Stops(database)
        self.activations = Activations(database, writer, key)
        super().__init__(database, key, writer, reader, asking)
        forking.watch(writer)

    @classmethod
    def open(
        cls,
        path: Place,
        *,
        key: SealingKey | None = None,
        lease: float = 30.0,
        wait: float = 5.0,
        clock: Callable[[], datetime] | None = None,
        asking: Asking = DIRECT,
    ) -> Ledger:
        """Open a ledger; one that does not exist is created, an older one is migrated.

        Args:
            path: the SQLite file; `-wal`, `-shm` and `.lock` files appear beside it while it is used. Or the address
                of a PostgreSQL database, `postgresql://…`: the database has to exist, its tables are made.
            key: what details are sealed with; by default the file `<path>.key`, or `guardrail.key` in the present
                folder for PostgreSQL, created where there is no ledger yet.
            lease: seconds after which a process that shows no sign of life has lost the calls it was running.
            wait: seconds to wait for another process's transaction before the ledger counts as locked, and for a server
                that restarts.
            clock: the time, in UTC; None = this computer's. Where it goes back, the ledger's time does not.
            asking: which channels are told of requests, and whether votes need a signature.

        Raises:
            LedgerUnavailable: it cannot be opened; the message says why and what to do.
        """
        database, time = database_at(place_of(path), wait=wait), Clock.over(clock)
        with database.lock:
            try:
                connection = database.open()
                bring_up(database, connection)
                found = key_for(database, connection, key)
                database.ready()
                go_on(time, connection)
            except database.errors as error:
                database.close()
                raise database.translate(error) from error
            except LedgerUnavailable:
                database.close()
                raise
        writer = Writer(database, found, lease=lease, clock=time)
        watch(database, writer, time)
        reader = Reader(database, found, writer, time)
        return cls(database, found, writer, reader, asking, time)

    def close(self) -> None:
        """Commit what is buffered and close. Closing twice does nothing.

        Raises:
            LedgerUnavailable: what was buffered could not be committed.
        """
        if self._writer.is_closed:
            return
        forking.unwatch(self._writer)
        try:
            self._writer.close()
        finally:
            with self._database.lock:
                self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- the line ------------------------------------------------------------------------------------

    def start_run(self, run: str, *, principal: Principal, task: str = "") -> None:
        """Begin a run; one that has begun already stays as it is.

        Args:
            run: its id.
            principal: who the agents act for.
            task: what they were asked to do, for people; sealed.
        """
        if run not in self._writer.memory.published:
            self._writer.submit(BeginRun(run, principal, task, self._key), alone=True)

    def read_run(self, run: str) -> RunState:
        """The run as of its last commit; a fresh state where it is not known."""
        return self._reader.run_state(run)

    def known_labels(self, run: str) -> tuple[str, ...]:
        """What a run is labelled with, as far as this process has seen; a run never loses a label. Nothing is read."""
        return self._reader.known_labels(run)

    @overload
    def write(self, write: Admit, *, alone: bool) -> Admission: ...
    @overload
    def write(self, write: Refuse, *, alone: bool) -> None: ...
    @overload
    def write(self, write: Settle, *, alone: bool) -> SettleAnswer: ...
    def write(self, write: Admit | Refuse | Settle, *, alone: bool) -> Admission | SettleAnswer | None:
        """Commit durably, then answer; blocks.

        Args:
            write: what to write.
            alone: the caller knows of no other call in flight: commit in this thread, if nobody else is committing.

        Raises:
            LedgerError: this cannot be written (and nothing was).
            LedgerUnavailable: the database is locked, full, lost, read-only or closed; nothing was written.
        """
        answer: Admission | SettleAnswer | None = self._writer.submit(self._prepared(write), alone=alone)
        return answer

    @overload
    def write_async(self, write: Admit, *, alone: bool) -> asyncio.Future[Admission]: ...
    @overload
    def write_async(self, write: Refuse, *, alone: bool) -> asyncio.Future[None]: ...
    @overload
    def write_async(self, write: Settle, *, alone: bool) -> asyncio.Future[SettleAnswer]: ...
    def write_async(self, write: Admit | Refuse | Settle, *, alone: bool) -> asyncio.Future[Any]:
        """The same for asyncio, answered in a future of the running loop.

        A task that awaits it and is cancelled is told so once the answer is there: it can look at it then.
        """
        return self._writer.submit_async(self._prepared(write), alone=alone)

    def write_elsewhere(self, write: Admit | Refuse | Settle) -> asyncio.Future[Any]:
        """The same, committed by the writer's thread: the running loop goes on with what others want of it."""
        return self._writer.submit_async(self._prepared(write), alone=False, here=False)

    def write_later(self, write: Settle) -> None:
        """Buffer an outcome: it is committed with whatever comes next, after 20 ms at most, or by `flush`.

        Whatever is written after this returns finds it settled.
        """
        self._writer.submit_later(self._prepared(write))

    def flush(self) -> None:
        """Commit what is buffered.

        Raises:
            LedgerUnavailable: it cannot be committed now; it stays buffered.
        """
        self._writer.flush()

    def _prepared(self, write: Admit | Refuse | Settle) -> Write:
        match write:
            case Admit():
                return Admitting(write, self._key, self._asking)
            case Refuse():
                return Refusing(write, self._key)
            case Settle():
                return Settling(write, self._key)

    # -- operators -----------------------------------------------------------------------------------

    def halt(self, scope: str, by: str, reason: str = "") -> None:
        """Admit nothing in a scope from now on.

        Args:
            scope: `all`, `run:ID`, `agent:ID` (also where it delegates) or `tool:SERVER/NAME`.
            by: who says so.
            reason: why; agents are shown it.

        Raises:
            Conflict: the scope is none of these.
        """
        self._writer.submit(Halt(scope, by, reason, self._key), alone=True)

    def unhalt(self, scope: str, by: str) -> None:
        """Lift a halt.

        Raises:
            Conflict: the scope is not halted.
        """
        self._writer.submit(Unhalt(scope, by), alone=True)

    def resolve(self, call: str, *, ran: bool, by: str) -> str:
        """Say how a call ended whose outcome is unknown.

        Args:
            call: `call_…`, or the beginning of its key.
            ran: it did: it reads `returned`, without a result. Otherwise its budgets are released and it may be
                admitted again.
            by: who says so.

        Returns:
            The state that the call has then.

        Raises:
            Conflict: no such call, or its outcome is known.
        """
        state: str = self._writer.submit(Resolve(call, ran, by), alone=True)
        return state

    def hear(self, run: str, source: Source, *, principal: Principal) -> None:
        """Keep what a run was told, and by whom.

        Args:
            run: its id; it begins now, if it is not known.
            source: what it was told.
            principal: who the agents act for.
        """
        self._writer.submit(Hear(run, principal.id, source, self._key), alone=True)

    def store_policy(self, revision: str, bundle: bytes) -> None:
        """Keep a policy revision, once, so that its decisions can be recomputed.

        Args:
            revision: digest of everything that can change an answer.
            bundle: all of that, as JSON.
        """
        if revision not in self._writer.memory.policies:
            self._writer.submit(StorePolicy(revision, bundle), alone=True)
            self._writer.memory.policies.add(revision)

    def remember(self, run: str, name: str, value: Any) -> None:
        """Keep a small JSON value about a run, for the adapter that knows what it means; the last one counts.

        Args:
            run: the run, or whatever else the adapter goes by (a thread).
            name: what the value is.
            value: plain JSON.
        """
        self._writer.submit(Remember(run, name, value), alone=True)

    def remember_also(self, run: str, name: str, value: Any, *, limit: int) -> None:
        """Add a small JSON value to the list under a name, unless it stands there: whoever adds, none is lost.

        Args:
            run: as for `remember`.
            name: what the values are.
            value: plain JSON.
            limit: how many are kept; the oldest ones go.
        """
        self._writer.submit(RememberAlso(run, name, value, limit), alone=True)

    def observe(self, looks: Sequence[Observation]) -> None:
        """Keep what was seen of packages; see `guardrail.registry.Observations`."""
        self._writer.submit(Observe(looks), alone=True)

    # -- questions -----------------------------------------------------------------------------------

    def settled(self, key: str) -> Settled | InFlight | None:
        """How the call with this key ended, or that it runs; None where it may be admitted.

        For whoever waits for a call that runs in another process.
        """
        return self._reader.settled(key)

    def recall(self, run: str, name: str) -> Any:
        """What was remembered about a run under a name; None where nothing was."""
        return self._reader.recall(run, name)

    def sources(self, run: str, marks: dict[int, int]) -> list[tuple[str, Source]]:
        """What values of a run's later calls may come from: its task, what it was told, what was handed on.

        Args:
            run: its id.
            marks: log → the last place of it that was read; changed to where this has read.

        Returns:
            What each is called, and what it says. What a call has returned is called by its key and attempt,
            `KEY/FENCE`.

        Raises:
            VerificationFailed: a sealed detail was changed.
        """
        return self._reader.sources(run, marks)

    def observations(self, names: Collection[str]) -> Sequence[Observation]:
        """All that was seen of packages with these names, the oldest first."""
        return self._reader.observations(names)

    def runs(self) -> tuple[ListedRun, ...]:
        """All runs, the latest first."""
        return self._reader.runs()

    def calls(self, run: str) -> tuple[ListedCall, ...]:
        """The calls of a run, in the order in which they entered it."""
        return self._reader.calls(run)

    def call(self, reference: str) -> ListedCall:
        """One call, by `call_…` or the beginning of its key.

        Raises:
            Conflict: there is none, or several begin so.
        """
        return self._reader.call(reference)

    def records(self, run: str | None = None) -> Iterator[Record]:
        """Records with their unsealed details, of one run or all: each log in its order, merged by time.

        Raises:
            VerificationFailed: a sealed detail was changed.
        """
        return self._reader.records(run)

    def halts(self) -> tuple[ListedHalt, ...]:
        """The halt switches that are on, the oldest first."""
        return self._reader.halts()

    def status(self) -> Status:
        """How the ledger is doing, for `guardrail doctor`."""
        return self._reader.status()

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Check everything that is stored against the logs; see `guardrail.ledger.verify`.

        Args:
            progress: told how many records of how many are checked, from time to time.
        """
        return verify(self._database.place, key=self._key, progress=progress)
