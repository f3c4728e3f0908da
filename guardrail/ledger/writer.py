"""Group commit: whoever is alone commits at once; what piles up meanwhile is committed together.

A caller that is the only one commits in its own thread. Otherwise writes of threads pile up while the writer
thread commits the batch before, and are committed as the next one: no timer decides how large a batch is. All
threads that wait for a batch wait at one gate.

What the tasks of one event loop want written in one of its turns, the loop commits itself at the end of that
turn: handing every task to another thread and back costs more than the commit. The first of a turn is committed at
once, as long as turns bring one write each. Where a commit would hold the loop up, since somebody else is writing or
the disk is slow, the writer thread does it, and wakes all tasks by one call.

An outcome may be buffered: it rides with whatever is committed next, after at most 20 ms.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from guardrail.admission import Ticket
from guardrail.errors import GuardrailError, LedgerError, LedgerUnavailable
from guardrail.ledger import leases
from guardrail.ledger.batches import Batch, Held, Item, answer_all
from guardrail.ledger.connection import Database, Uncertain
from guardrail.ledger.identity import Identity
from guardrail.ledger.memory import Memory
from guardrail.ledger.transaction import Transaction
from guardrail.ledger.turns import Turns
from guardrail.ledger.writes import Write
from guardrail.sealing import SealingKey
from guardrail.telemetry import measures

RIDE: Final = 0.02
"""How long a buffered outcome waits for company, in seconds."""
SLOW: Final = 0.005
"""Seconds that a commit may hold an event loop up; where the last one took longer, the next is the writer thread's."""
_RETRY: Final = 1.0
_log: Final = logging.getLogger("guardrail.ledger")


class Writer:
    """Commits what it is given. Every method may be called from every thread."""

    def __init__(
        self, database: Database, key: SealingKey, *, lease: float, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._key = key
        self._lease = lease
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """A new writer, as after a fork: another identity, nothing remembered, nothing in flight."""
        self.identity = Identity.of_this_process()
        self.memory = Memory()
        self._bell = threading.Condition(threading.Lock())
        self._batch = Batch()
        self._turns = Turns(self._commit_turn)
        self._is_slow = False  # the last commit took long
        self._later: list[tuple[float, Item]] = []
        self._thread: threading.Thread | None = None
        self._resting = False  # the thread has to be woken to look at the buffer
        self._ticking = False  # something was buffered since the thread looked last
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._closed

    @property
    def waiting(self) -> list[Item]:
        """What waits for a commit now."""
        with self._bell:
            return [*self._batch.items, *(item for _, item in self._later)]

    def pause(self) -> None:
        """Before a fork: finish, close every connection, hold everything back."""
        self._database.lock.acquire()
        self._database.release()

    def resume(self) -> None:
        """After the fork, in the parent: go on."""
        self._database.resume()
        self._database.lock.release()

    def restart_in_child(self) -> None:
        """After the fork, in the child."""
        self._database.forget()
        self.restart()

    # -- asking --------------------------------------------------------------------------------------

    def submit(self, write: Write, *, alone: bool) -> Any:
        """Commit and answer; blocks."""
        if alone:
            item = Item(write)
            if self._inline([item]):
                return item.result()
        item = Item(write)
        batch = self._enqueue([item])
        try:
            with batch.gate:
                pass
        except BaseException:  # an interrupt: whoever asked is gone, and runs nothing that this admits
            item.forsaken = True
            self._release(item)
            raise
        return item.result()

    def submit_async(self, write: Write, *, alone: bool, here: bool = True) -> asyncio.Future[Any]:
        """Commit and answer in a future of the running loop, which is done already where the commit was inline."""
        self._check_open()
        loop = asyncio.get_running_loop()
        item = Item(write, future := Held(loop=loop))
        # An outcome begins no call: where its own is the only one, nobody else is about to write.
        at_once = bool(write.ends) or self._turns.goes_at_once(loop)
        if not here:  # the loop belongs to others too: no slow database holds it up
            self._enqueue([item])
        elif alone and at_once and not self._is_slow and self._inline([item]):
            answer_all([item])
        else:
            self._turns.gather(loop, item)
        return future

    def _commit_turn(self, items: list[Item]) -> None:
        """Commit what the tasks of a loop wrote in one of its turns, or have the writer thread do it."""
        try:
            if self._is_slow or not self._inline(items):
                self._enqueue(items)
                return
        except LedgerError as error:  # closed meanwhile
            for item in items:
                item.error = error
        except BaseException:  # an interrupt: nobody is left waiting
            for item in items:
                item.error = LedgerUnavailable(
                    "interrupted while it was written", fix="see what was recorded"
                )
                self._release(item)
            answer_all(items)
            raise
        answer_all(items)

    def submit_later(self, write: Write) -> None:
        """Commit with the next batch. Whatever is submitted after this returns finds it done."""
        with self._bell:
            self._check_open()
            self._later.append((time.monotonic() + RIDE, Item(write)))
            self._ticking = True
            if self._resting:
                self._bell.notify()
            self._start()

    def flush(self) -> None:
        """Commit what is buffered, now.

        Raises:
            LedgerUnavailable: it cannot be committed; it stays buffered.
        """
        with self._database.lock:
            if self._later:
                item = Item(Write())
                self._commit([item], wait=self._database.wait)
                item.result()

    def close(self) -> None:
        """Commit what is buffered, give the log back and stop.

        Raises:
            LedgerUnavailable: what is buffered cannot be committed.
        """
        try:
            with self._database.lock:
                if self.memory.log is not None or self._later:
                    item = Item(leases.GiveBack())
                    self._commit([item], wait=self._database.wait)
                    item.result()
        finally:
            with self._bell:
                self._closed = True
                self._bell.notify()
                thread = self._thread
            if thread is not None:
                thread.join()

    def _release(self, item: Item) -> None:
        """Let a call go that was admitted for somebody who is gone: it reads `unknown`, and can be settled."""
        if isinstance(item.answer, Ticket):
            self.memory.over({item.answer.key: item.answer.fence})

    # -- the queue -----------------------------------------------------------------------------------

    def _enqueue(self, items: list[Item]) -> Batch:
        with self._bell:
            self._check_open()
            batch = self._batch
            if not batch.items:
                self._bell.notify()
            batch.items += items
            self._start()
        return batch

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed", fix="open it again")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="guardrail-ledger", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        """The writer thread; one that dies of something unheard of is replaced, so that nobody waits for it."""
        try:
            self._serve_until_closed()
        finally:
            with self._bell:
                self._thread = None
                if self._batch.items:
                    self._start()

    def _serve_until_closed(self) -> None:
        """Commit what has piled up, what is due, and the lease before it runs out."""
        while True:
            with self._bell:
                self._rest()
                batch = self._batch if self._batch.items else None
                if batch is not None:
                    self._batch = Batch()
                elif self._closed:
                    return
            try:
                with self._database.lock:
                    if batch is not None or self._is_due():
                        self._commit(batch.items if batch else [], wait=self._database.wait)
                    elif self._must_renew():
                        self._commit([Item(leases.Renew())], wait=self._database.wait)
            finally:
                if batch is not None:
                    batch.finish()

    def _rest(self) -> None:
        """Wait for something to do. Whoever buffers an outcome need not ring while the ticks go on."""
        if self._batch.items or self._closed:
            return
        if self._later:
            timeout = self._later[0][0] - time.monotonic()
        elif self._ticking:
            timeout = RIDE
        else:
            timeout = self._lease / 3
            self._resting = True
        self._ticking = False
        if timeout > 0:
            self._bell.wait(timeout)
        self._resting = False

    def _is_due(self) -> bool:
        later = self._later
        return bool(later) and later[0][0] <= time.monotonic()

    def _must_renew(self) -> bool:
        log = self.memory.log
        if log is None or not self.memory.in_flight:
            return False
        return log.lease_until - self._clock().timestamp() < self._lease * 2 / 3

    # -- committing ----------------------------------------------------------------------------------

    def _inline(self, items: list[Item]) -> bool:
        """Commit in this thread, if that can be done without waiting for anybody; answers whether it was."""
        self._check_open()
        if not self._database.lock.acquire(blocking=False):
            return False
        try:
            return self._commit(items, wait=0.0)
        finally:
            self._database.lock.release()

    def _commit(self, items: list[Item], *, wait: float) -> bool:
        """Commit what is buffered and these; False where that has to wait for somebody and `wait` is 0.

        What goes wrong with one write is that write's own error. What goes wrong with the database is everybody's,
        and the buffered outcomes stay buffered.
        """
        later: list[tuple[float, Item]] = []
        if self._later:
            with self._bell:
                later, self._later = self._later, []
        every = [*(item for _, item in later), *items] if later else items
        until = time.monotonic() + wait
        while True:
            try:
                self._transact(every, wait)
            except BaseException as error:  # whatever it is: the callers get it, nobody is left waiting
                self._database.rollback(error)
                self.memory.forget()
                if not isinstance(error, Exception):
                    self._put_back(later, 0.0)
                    raise
                again = self._database.may_repeat(error)
                if not wait and (again or self._database.is_busy(error)):
                    self._put_back(later, 0.0)
                    return False
                if again and time.monotonic() < until:
                    continue  # it is undone: all of it is decided once more
                if isinstance(error, Uncertain):  # what this admitted reads `unknown` once its lease is over
                    self.memory.log = None
                self._distribute(error, later, items)
            return True

    def _distribute(self, error: Exception, later: list[tuple[float, Item]], items: list[Item]) -> None:
        if isinstance(error, LedgerUnavailable) or self._database.is_environment(error):
            self._put_back(later, _RETRY)
            self._fail(items, error)
        elif len(later) + len(items) == 1:
            self._fail([*items, *(item for _, item in later)], error)
        else:  # one of them is at fault: each for itself
            for entry in later:
                with self._bell:
                    self._later.append(entry)
                self._commit([], wait=self._database.wait)
            for item in items:
                self._commit([item], wait=self._database.wait)

    def _fail(self, items: list[Item], error: Exception) -> None:
        """These were not written. An outcome among them is lost: its call reads `unknown` from now on."""
        measures.lost(len(items))
        for item in items:
            item.error = self._translated(error)
            self.memory.over(item.write.ends)
        _log.error("the ledger could not write", exc_info=error)

    def _translated(self, error: Exception) -> GuardrailError:
        if isinstance(error, GuardrailError):
            return type(error)(error.message, fix=error.fix)
        if isinstance(error, self._database.errors):
            translated = self._database.translate(error)
        else:
            translated = LedgerError(f"the record could not be written: {error!r}")
        translated.__cause__ = error
        return translated

    def _put_back(self, later: list[tuple[float, Item]], delay: float) -> None:
        due = time.monotonic() + delay
        with self._bell:
            self._later[:0] = [(due, item) for _, item in later]

    def _transact(self, items: list[Item], wait: float) -> None:
        began = time.perf_counter()
        connection = self._database.begin(wait)
        tx = Transaction(
            self._database, connection, self.memory, self.identity, self._key, self._clock(), self._lease
        )
        writes = [item.write for item in items]
        if len(writes) == 1:
            tx.load(writes[0].keys, writes[0].runs, writes[0].scopes)
        else:
            tx.load(
                [key for write in writes for key in write.keys],
                [run for write in writes for run in write.runs],
                [scope for write in writes for scope in write.scopes],
            )
        for item in items:
            item.error = None
            try:
                item.answer = item.write.apply(tx)
            except LedgerError as error:
                item.error = error
        if tx.is_empty:
            self._database.end()
            self.memory.is_exact = False
            return
        tx.store()
        self._finish(tx, len(items), began)
        for item in items:
            if item.forsaken:
                self._release(item)
        if self._thread is None and tx.started:
            with self._bell:
                self._start()  # it keeps the lease alive

    def _finish(self, tx: Transaction, writes: int, began: float) -> None:
        """Commit what is stored, and let everybody see it."""
        if not self._database.is_remote:  # there, whatever is asked takes its time
            began = time.perf_counter()
        # An outcome that goes into a lost file reads `unknown`, and the next admission finds the loss.
        self._database.commit(check=bool(tx.started) or not tx.ended, landed=tx.landed)
        taken = time.perf_counter() - began
        self._is_slow = taken > SLOW
        measures.commit(writes, taken)
        tx.publish()
