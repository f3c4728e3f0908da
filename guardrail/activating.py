"""The activating: one edition of the policies takes the place of the last, or is refused and the last good one stays.

What is to decide is read whole, believed, compared with what was there before, checked by the pre-flight and by its
own tests, stored, and written down; only then one pointer is swapped. A decision that has begun ends under the
policies that it has begun with.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Any, Final, Literal

import orjson

from guardrail.bundles import Bundle
from guardrail.editions import Edition
from guardrail.errors import (
    BundleFault,
    BundleRefused,
    BundleUnreachable,
    Conflict,
    LedgerError,
    PolicyError,
    PreflightError,
)
from guardrail.ledger import Ledger
from guardrail.ledger.activations import Activation, Offered, goes_back
from guardrail.policy import AllOf, joined
from guardrail.rego import RegoPolicy
from guardrail.standing import with_package
from guardrail.supply import SETTLING, Supply, as_faults

_log: Final = logging.getLogger("guardrail.policies")
_FIRST_AGAIN: Final = 1.0
"""Seconds until a source that failed is asked again; twice as long each time, up to the time between looks."""
_TRUSTED: Final = 600.0
"""Seconds after which an edition that did not pass is checked again: its tests may have run out of time."""
_PATIENCE: Final = 5.0
"""Seconds that closing waits for a check that is under way; it changes nothing any more."""

Found = Literal["same", "activated", "refused", "unreachable", "unsettled"]
"""What came of a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """An edition that did not pass: why, and until when that is taken to be so without looking again."""

    edition: str
    why: PolicyError
    until: float


class Feed:
    """Editions of one source, one after the other, for the policies of a guard.

    Args:
        supply: where they come from.
        ledger: where it is written down.
    """

    def __init__(self, supply: Supply, ledger: Ledger) -> None:
        self._supply, self._ledger = supply, ledger
        self._title = supply.source.title
        self._offered = Offered()
        self._tag = ""
        self._failed: _Failed | None = None
        self._trouble: PolicyError | None = None  # what is wrong with the source now, or with what it holds
        self._failures = 0  # in a row, to ask the source
        self._rego: RegoPolicy | None = None
        self._policy: AllOf | None = None
        self._thread: threading.Thread | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._looking = threading.Lock()
        self._ended = threading.Event()

    @property
    def trouble(self) -> PolicyError | None:
        """What is wrong with the source now; None = nothing is."""
        return self._trouble

    # -- the first edition -------------------------------------------------------------------------------

    def open(self) -> RegoPolicy:
        """The policy to begin with: of the edition that the source holds, else of the last one that was activated.

        Raises:
            PolicyError: the source gives none, and none was activated before.
        """
        last = self._ledger.activations.active(self._title)
        try:
            with as_faults():
                edition, tag = self._supply.first()
                self._check(edition, last)
                self._rego = self._supply.policy(edition.bundle)
                self._offered, self._tag = offered(edition), tag
        except PolicyError as error:
            self._trouble = error
            if last is None:
                raise PolicyError(
                    f"{self._title} gives no policies, and none were activated before: {error.message}",
                    fix=error.fix or "repair the source, and start again",
                ) from error
            self._rego = self._supply.policy(bundle_of(self._ledger, last))
            self._offered = Offered(edition=last.edition, label=last.label, counter=last.counter)
        return self._rego

    def begin(self, policy: AllOf) -> None:
        """Write down what decides from now on, and look for more from now on, in a thread of its own.

        Args:
            policy: of the guard, with the policy that `open` gave in it.

        Raises:
            PolicyError: another process has activated a later edition meanwhile.
            LedgerUnavailable: it cannot be written down.
        """
        self._policy = policy
        try:
            self._record(policy.pinned(), self._offered, previous="")
        except Conflict as error:
            raise PolicyError(error.message, fix="start again") from error
        if self._trouble is not None:
            self._refuse(self._trouble, Offered())
        _FEEDS.add(self)
        self._start()

    # -- the next ones -----------------------------------------------------------------------------------

    def look(self) -> Found:
        """Look at the source once, and take what it holds if that is another edition and may decide."""
        with self._looking:
            seen = Offered()
            try:
                with as_faults():
                    looked = self._supply.source.look(self._tag)
                    if looked == "unsettled":
                        return "unsettled"
                    self._failures = 0
                    if looked == "same":
                        return self._well()
                    edition = self._supply.read(looked)
                    seen = offered(edition)
                    if seen.edition == self._offered.edition:
                        self._tag = looked.tag
                        return self._well()
                    self._take(edition, seen, looked.tag)
            except PolicyError as error:
                return self._refuse(error, seen)
            except LedgerError as error:
                _log.warning("%s: nothing was activated: %s", self._title, error.message)
                return "refused"
            return "activated"

    def _take(self, edition: Edition, seen: Offered, tag: str) -> None:
        """Check an edition, write it down, and decide by it.

        Raises:
            PolicyError: it may not decide anything.
        """
        rego, policy = self._rego, self._policy
        if rego is None or policy is None:
            raise PolicyError("the guard has not begun")
        self._check(edition, self._ledger.activations.active(self._title))
        failed = self._failed
        if failed is not None and failed.edition == edition.digest and monotonic() < failed.until:
            raise failed.why.with_traceback(None)  # nothing about it has changed
        try:
            prepared = rego.prepared(edition.bundle)
        except PolicyError as error:
            self._failed = _Failed(edition=edition.digest, why=error, until=monotonic() + _TRUSTED)
            raise
        if self._ended.is_set():
            raise BundleUnreachable("the guard was closed")
        try:
            self._record(policy.pinned((rego, prepared)), seen, previous=policy.pinned().revision)
        except Conflict as error:
            raise BundleRefused("rollback", error.message, fix=_BACK) from error
        rego.adopt(prepared)
        self._offered, self._tag, self._trouble = seen, tag, None
        _log.info("%s: edition %s was activated", self._title, edition.label or edition.digest[:16])

    def _check(self, edition: Edition, last: Activation | None) -> None:
        if why := goes_back(last, offered(edition)):
            raise BundleRefused("rollback", f"the edition would go back: {why}", fix=_BACK)
        with_package(edition.bundle)

    def _record(self, policy: AllOf, seen: Offered, *, previous: str) -> None:
        self._ledger.activations.activate(
            self._title,
            seen,
            policy=policy.revision,
            bundle=orjson.dumps(policy.bundle, option=orjson.OPT_SORT_KEYS),
            previous=previous,
        )

    def _well(self) -> Found:
        if self._trouble is not None:
            self._ledger.activations.recover(self._title, policy=self._revision)
            self._trouble = None
        return "same"

    def _refuse(self, error: PolicyError, seen: Offered) -> Found:
        """The last good edition stays; why, is written down, and the source is asked for the whole of it again."""
        code = fault_of(error)
        if self._trouble is None or (fault_of(self._trouble), self._trouble.message) != (code, error.message):
            _log.warning("%s: the last good policies stay: %s", self._title, error.message)
        self._trouble, self._tag = error, ""
        self._failures = self._failures + 1 if code == "unreachable" else 0
        try:
            self._ledger.activations.refuse(
                self._title, seen, code=code, why=error.message, policy=self._revision
            )
        except LedgerError as lost:
            _log.warning("%s: this could not be written down: %s", self._title, lost.message)
        return "unreachable" if code == "unreachable" else "refused"

    @property
    def _revision(self) -> str:
        return "" if self._policy is None else self._policy.pinned().revision

    # -- the thread --------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(self._ended,), name="guardrail-policies", daemon=True
        )
        self._thread.start()

    def _run(self, ended: threading.Event) -> None:
        found: Found = "same"
        while not ended.wait(self.delay(found)):
            found = self.look()

    def delay(self, found: Found) -> float:
        """Seconds until the next look, so spread that many processes do not ask at once.

        Args:
            found: what came of the last one.
        """
        poll = self._supply.poll
        if found == "unsettled":
            return min(poll, SETTLING)
        if found != "unreachable":
            return poll * uniform(0.9, 1.1)  # noqa: S311  no secret
        again = min(_FIRST_AGAIN * 2.0 ** min(self._failures - 1, 30), poll)
        after = self._trouble.after if isinstance(self._trouble, BundleUnreachable) else 0.0
        return max(again * uniform(0.5, 1.0), after)  # noqa: S311

    def close(self) -> None:
        """Look no more. A check that is under way may still end, and changes nothing."""
        _FEEDS.discard(self)
        self._ended.set()
        self._supply.source.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)
        self._thread = None

    def start_afresh(self) -> None:
        """In a forked child: look with a thread of its own."""
        self._begin_anew()
        self._start()


def activate_now(
    supply: Supply, ledger: Ledger, *, around: Callable[[RegoPolicy], AllOf], by: str, back: str | None = None
) -> Activation:
    """Check what a source holds now, and write down that it is to decide: guards take it at their next look.

    Args:
        supply: where it comes from.
        ledger: where it is written down, or that it was refused.
        around: makes the policy of a guard of the Rego policy.
        by: who wants it.
        back: why it may go back; None = it may not.

    Raises:
        PolicyError: it may not decide anything.
        LedgerUnavailable: it cannot be written down.
    """
    title, seen = supply.source.title, Offered()
    last = ledger.activations.active(title)
    before = "" if last is None else last.policy
    try:
        with as_faults():
            edition, _ = supply.first()
            seen = offered(edition)
            if back is None and (why := goes_back(last, seen)):
                raise BundleRefused("rollback", f"the edition would go back: {why}", fix=_BACK)
            with_package(edition.bundle)
            with closing(supply.policy(edition.bundle)) as rego:
                policy = around(rego)
                bundle = orjson.dumps(policy.bundle, option=orjson.OPT_SORT_KEYS)
                return ledger.activations.activate(
                    title, seen, policy=policy.revision, bundle=bundle, previous=before, by=by, back=back
                )
    except PolicyError as error:
        ledger.activations.refuse(title, seen, code=fault_of(error), why=error.message, policy=before, by=by)
        raise


_BACK: Final = "if that is meant: guardrail policies activate --allow-rollback --reason …"


class LastActivated:
    """The bundle that a source was last activated with, in whichever process: for whoever judges votes.

    Args:
        ledger: where that is written down.
        supply: where editions come from.
    """

    def __init__(self, ledger: Ledger, supply: Supply) -> None:
        self._ledger, self._supply = ledger, supply
        self._known: tuple[str, Bundle] | None = None

    def __call__(self) -> Bundle | None:
        """The bundle; where none was activated yet, what comes with guardrail.

        Raises:
            PolicyError: what is stored is no bundle.
            LedgerUnavailable: the ledger cannot be read.
        """
        last = self._ledger.activations.active(self._supply.source.title)
        if last is None:
            return self._supply.beside
        if self._known is None or self._known[0] != last.policy:
            self._known = last.policy, bundle_of(self._ledger, last)
        return self._known[1]


def offered(edition: Edition) -> Offered:
    """What the ledger knows of an edition."""
    return Offered(edition=edition.digest, label=edition.label, counter=edition.counter)


def fault_of(error: PolicyError) -> BundleFault:
    """Why an edition was not taken, in one word."""
    if isinstance(error, BundleRefused):
        return error.code
    return "preflight" if isinstance(error, PreflightError) else "policy"


def bundle_of(ledger: Ledger, activation: Activation) -> Bundle:
    """The bundle of an activation, from what is stored of its policy.

    Raises:
        PolicyError: it is not stored, or is no bundle.
    """
    stored = ledger.activations.stored(activation.policy)
    kept: Mapping[str, Any] = {} if stored is None else orjson.loads(stored)
    parts: Sequence[Mapping[str, Any]] = kept.get("all_of", ())
    if joined([part["revision"] for part in parts], kept.get("hide", ())) == activation.policy:
        for part in parts:
            named = {name: value for name, value in part.items() if name != "revision"}
            if "rego" in part and RegoPolicy.revision_of(named) == part["revision"]:
                return Bundle.from_json(part["rego"])
    raise PolicyError(
        f"the policy {activation.policy[:16]} is not what was stored", fix="run `guardrail verify`"
    )


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    for feed in list(_FEEDS):
        feed.start_afresh()


_FEEDS: Final[weakref.WeakSet[Feed]] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
