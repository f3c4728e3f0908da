"""The judging: everything that a decision is made from, put together, at both points of the line.

Before a tool acts: facts, where the arguments come from, the state of the run, the policies. Before what it
returned is handed on: the same call, and what it says now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail import outputs
from guardrail.admission import Released, Ticket
from guardrail.boundaries import Boundaries
from guardrail.calls import Call, Trust
from guardrail.config import Mode
from guardrail.decisions import Decision, Reason, attended, refuse
from guardrail.errors import CallError, InvalidArguments, PolicyError
from guardrail.facts import Facts, extract
from guardrail.hidden import Hidden
from guardrail.ledger import Ledger
from guardrail.names import Names
from guardrail.obligations import as_obliged
from guardrail.origins import Origins
from guardrail.outputs import CheckResult, ConfiguredCheck, Sink, are_quick, named_in, run_checks, unlooked
from guardrail.policy import AllOf, Judging, Output, PolicyInput
from guardrail.provenance import Source
from guardrail.registry import Registry
from guardrail.releasing import EMIT, labels_of, release_of, source_of, without_content
from guardrail.steps import Decided, Reviewed
from guardrail.voting import Voting

_UNKEPT: Final = (
    "the policy that decided could not be stored: it is not the revision that the policy says it is"
)
UNASKED: Final = Reason(
    rule="guardrail.release", message="people were asked about this output, and nobody has to be any more"
)
"""Why an output goes on that had waited for people."""


class Judge:
    """Decides about calls and about what they return, and stores every policy that it has decided by.

    Args:
        policy: who decides.
        boundaries: what each agent may do; None = nothing limits an agent but the policy.
        ledger: where runs and policies stand.
        registry: what is known of packages.
        names: where names lead.
        voting: who may answer for agents.
        mode: `observe` decides and enforces nothing.
        folders: tool, as `server/name` → what its relative paths are relative to.
        clock: the time; None = the ledger's.
        checks: what looks at outputs, where a policy has something to say of them.

    Attributes:
        origins: what every run has seen.
    """

    def __init__(
        self,
        *,
        policy: AllOf,
        boundaries: Boundaries | None,
        ledger: Ledger,
        registry: Registry,
        names: Names,
        voting: Voting,
        mode: Mode,
        folders: Mapping[str, Path],
        clock: Callable[[], datetime] | None,
        checks: Sequence[ConfiguredCheck],
    ) -> None:
        self.origins = Origins(ledger)
        self._policy, self._boundaries, self._ledger = policy, boundaries, ledger
        self._registry, self._names, self._voting = registry, names, voting
        self._mode, self._folders = mode, folders
        self._clock, self._checks = clock or ledger.clock, tuple(checks)
        self._are_quick = are_quick(self._checks)
        self._kept: set[str] = set()

    @property
    def waits(self) -> bool:
        """Whether a policy waits while it decides, so that asyncio code awaits it."""
        return self._policy.waits

    def reviews_quickly(self, call: Call) -> bool:
        """Whether a review waits for no check that takes time, and for no network."""
        asks = call.tool is EMIT and self._registry.is_remote
        return (self._are_quick and not asks) or not self._policy.reviews

    def keep(self, call: Call, ticket: Ticket, source: Source) -> None:
        """What a call has returned is handed on: values of later calls may come from it."""
        self.origins.keep(call.run, f"{call.key}/{ticket.fence}", source)

    def is_quick_about(self, call: Call) -> bool:
        """Whether a decision about a call waits for no network."""
        return not (self._registry.may_ask(call) or self._names.may_ask(call))

    def decide(self, call: Call) -> Decision:
        """What the policies say of a call; nothing is stored."""
        policy = self._policy.pinned()
        return policy.answers(self._deciding(call))

    def _deciding(self, call: Call) -> Judging[Decision]:
        given = self._given(call)
        decision = attended_to(given, (yield given))
        if decision.effect == "allow" and self._names.are_due(given.facts):
            given = self._with_names(given)
            decision = attended_to(given, (yield given))
        return decision

    def judge(self, call: Call, edited_by: str = "") -> Decided:
        """What the line needs to know before it goes on with a call.

        Args:
            call: the call.
            edited_by: the person whose arguments these are; empty = nobody has changed them.
        """
        policy = self._policy.pinned()
        return policy.answers(self._judging(call, policy, edited_by))

    async def judge_async(self, call: Call, edited_by: str = "") -> Decided:
        """The same, policies awaited."""
        policy = self._policy.pinned()
        return await policy.answers_async(self._judging(call, policy, edited_by))

    def _judging(self, call: Call, policy: AllOf, edited_by: str) -> Judging[Decided]:
        if call.tool is EMIT:
            return self._said(call)
        given = self._given(call)
        decided = yield from self._judged(call, given, policy, edited_by)
        if decided.goes_on and self._names.are_due(given.facts):
            decided = yield from self._judged(call, self._with_names(given), policy, edited_by)
        return decided

    def _with_names(self, given: PolicyInput) -> PolicyInput:
        """The same, with the names looked up."""
        return replace(given, facts=self._names.look_up(given.facts))

    def _judged(self, call: Call, given: PolicyInput, policy: AllOf, edited_by: str) -> Judging[Decided]:
        decision = yield from self._stored(given, policy)
        bounds, observe = self._boundaries, self._mode == "observe"
        reservations = () if bounds is None else bounds.reservations(call, now=given.now)
        asks = decision.effect == "ask" and not observe
        return Decided(
            decision=decision,
            given=given.json,
            version=given.run.version,
            reservations=reservations if decision.effect != "deny" else (),
            observe=observe,
            consent=self._voting.consent(call, decision.asks, given.json, edited_by) if asks else None,
        )

    def _said(self, call: Call) -> Decided:
        """To say something is no action: what becomes of it is decided at its output."""
        given, policy = self._given(call, network=False), self._policy.pinned()
        decision = said(policy.revision)
        if wrong := self._unkept(decision.revision, policy):
            decision = refuse("policy.error", wrong, revision=decision.revision)
        return Decided(decision=decision, given=given.json, version=given.run.version)

    def review(self, call: Call, content: Any, *, raised: bool = False, held: bool = False) -> Reviewed:
        """What is to become of what a call has returned, or raised.

        Args:
            call: what ran.
            content: what somebody would read of it, as a JSON value.
            raised: these are the words of an error.
            held: people were asked about it: the answer names the call that hands it on.
        """
        policy = self._policy.pinned()
        return policy.answers(self._reviewing(call, content, policy, raised=raised, held=held))

    async def review_async(self, call: Call, content: Any, *, raised: bool, held: bool) -> Reviewed:
        """The same where policies are awaited."""
        policy = self._policy.pinned()
        return await policy.answers_async(self._reviewing(call, content, policy, raised=raised, held=held))

    def _reviewing(
        self, call: Call, content: Any, policy: AllOf, *, raised: bool, held: bool
    ) -> Judging[Reviewed]:
        source = source_of(call, content, raised=raised)
        if not policy.reviews:
            version = (
                self._ledger.read_run(call.run).version if held else 0
            )  # nobody else asks for an admission
            reviewed = Reviewed(source=source, labels=self._new_labels(call, source), version=version)
        else:
            reviewed = yield from self._reviewed(call, source, policy, raised=raised)
        return self._let_through(call, reviewed, policy) if held and reviewed.release is None else reviewed

    def _reviewed(self, call: Call, source: Source, policy: AllOf, *, raised: bool) -> Judging[Reviewed]:
        """What the policies say of an output, and the checks before them."""
        given, content = self._given(call, network=False), source.content
        output, checks = self._looked_at(call, source, given.run.labels, raised=raised)
        given = replace(given, point="output", output=output)
        decision = yield from self._stored(given, policy)
        if self._mode == "observe":
            return self._released(call, decision, given, source)
        if decision.effect == "deny":
            return _withheld(decision, given, source)
        try:
            changed = as_obliged(content, decision.obligations, checks)
        except CallError as error:
            unknown = refuse("obligation.failed", error.message, fix=error.fix, revision=decision.revision)
            return _withheld(replace(unknown, mask=decision.mask), given, source)
        source = replace(source, content=changed)
        if decision.effect == "ask":
            return self._held(call, decision, given, source, changed=changed != content)
        return self._released(call, decision, given, source, changed=changed != content)

    def _looked_at(
        self, call: Call, source: Source, labels: Sequence[str], *, raised: bool
    ) -> tuple[Output, tuple[CheckResult, ...]]:
        """The output as policies see it, with what the checks have found."""
        told = call.tool is EMIT  # an agent's words are as trusted as what its run has seen
        trust: Trust = call.tool.trust if not told else "untrusted" if "untrusted" in labels else "trusted"
        sink: Sink = "user" if told else "agent"
        shown = Output(content=source.content, bytes=len(source.body), sink=sink, trust=trust, raised=raised)
        named: tuple[Mapping[str, Any], ...] = ()
        complete = True
        try:
            looked = outputs.Output.of(
                source.content,
                sink=sink,
                trust=trust,
                tool=call.tool.title,
                agent=call.agent.id,
                raised=raised,
            )
            checks = run_checks(looked, self._checks)
            if told and self._registry.is_any:
                named, complete = named_in(looked)
        except InvalidArguments as error:
            checks, complete = unlooked(self._checks, error.message), False
        packages = self._registry.look_up(Facts(packages=named)).packages
        found = tuple(result.as_json() for result in checks)
        return replace(shown, checks=found, packages=packages, packages_complete=complete), checks

    def _released(
        self, call: Call, decision: Decision, given: PolicyInput, source: Source, *, changed: bool = False
    ) -> Reviewed:
        return Reviewed(
            source=source,
            labels=self._new_labels(call, source),
            released="changed" if changed else "whole",
            decision=decision,
            given=without_content(given.json) if changed else given.json,
            version=given.run.version,
            changed=changed,
        )

    def _let_through(self, call: Call, reviewed: Reviewed, policy: AllOf) -> Reviewed:
        """The same about what was held, where nobody has to be asked any more, or where it is withheld by now."""
        decision = reviewed.decision
        if decision is None or (decision.effect != "allow" and reviewed.released != "withheld"):
            decision = unasked(decision, revision=policy.revision)
            if wrong := self._unkept(decision.revision, policy):
                broken = refuse("policy.error", wrong, revision=decision.revision)
                decision = replace(broken, mask=decision.mask)
        try:
            release = release_of(call, reviewed.source.content)
        except InvalidArguments as error:
            broken = refuse("guard.error", f"this output has no canonical form: {error.message}")
            return replace(reviewed, decision=replace(broken, mask=decision.mask), released="withheld")
        given = reviewed.given or b"{}"
        released: Released = "withheld" if decision.effect == "deny" else reviewed.released
        return replace(reviewed, decision=decision, given=given, released=released, release=release)

    def _held(
        self, call: Call, decision: Decision, given: PolicyInput, source: Source, *, changed: bool
    ) -> Reviewed:
        """People are asked, about a call that hands the output on."""
        try:
            release = release_of(call, source.content)
        except InvalidArguments as error:
            message = f"people cannot be shown this output: {error.message}"
            wrong = refuse("guard.error", message, revision=decision.revision)
            return _withheld(replace(wrong, mask=decision.mask), given, source)
        return Reviewed(
            source=source,
            labels=self._new_labels(call, source),
            released="held",
            decision=decision,
            given=without_content(given.json) if changed else given.json,
            release=release,
            version=given.run.version,
            consent=self._voting.consent(release, decision.asks, given.json),
            changed=changed,
        )

    def _new_labels(self, call: Call, source: Source) -> tuple[str, ...]:
        """What the run is labelled with by this, and was not before: an outcome with labels is waited for."""
        labels = labels_of(call, source)
        known = self._ledger.known_labels(call.run) if labels else ()
        return tuple(label for label in labels if label not in known)

    def _given(self, call: Call, *, network: bool = True) -> PolicyInput:
        """The policy input about a call, as things stand now; registries are asked where the network may be used."""
        roots = (
            self._boundaries.roots(call.agent.chain) if self._boundaries is not None else dict[str, Path]()
        )
        facts = extract(call, roots=roots, folder=self._folders.get(call.tool.title))
        facts = self._registry.look_up(facts, network=network)
        run = self._ledger.read_run(call.run)
        links = {link["url"]: link["host"] for content in facts.contents for link in content["links"]}
        return PolicyInput(
            call=call,
            facts=facts,
            run=run,
            now=self._clock().isoformat(timespec="seconds")[:19] + "Z",
            labels=self.origins.labels(call, run),
            links=self.origins.links(call, run, links) if links else {},
        )

    def _stored(self, given: PolicyInput, policy: AllOf) -> Judging[Decision]:
        """The decision, once the policy that made it is stored."""
        decision = attended_to(given, (yield given))
        if self._unkept(decision.revision, policy):  # one that cannot be pinned was changed in between
            decision = attended_to(given, (yield given))
            if wrong := self._unkept(decision.revision, policy):
                broken = refuse("policy.error", wrong, revision=decision.revision)
                decision = replace(broken, mask=decision.mask)
        return decision

    def _unkept(self, revision: str, policy: AllOf) -> str:
        """Store the policy behind a decision before the decision is recorded; else why it is not stored."""
        if revision in self._kept:
            return ""
        try:
            bundle, active = policy.bundle, policy.revision
        except PolicyError as error:
            return error.message
        if active != revision:
            return _UNKEPT
        self._ledger.store_policy(revision, orjson.dumps(bundle, option=orjson.OPT_SORT_KEYS))
        self._kept.add(revision)
        return ""


def decision_about(given: PolicyInput, policy: AllOf) -> Decision:
    """What the policies say, at either point, in words that may be shown."""
    return attended_to(given, policy.decide(given))


def attended_to(given: PolicyInput, decision: Decision) -> Decision:
    """The decision about an input, in words that may be shown.

    What could not be understood is never allowed unattended. What is masked is quoted by no reason, and an output that
    holds it is masked there.
    """
    if given.point == "action":
        opaque = tuple(f"{item['argument']}: {item['why']}" for item in given.facts.opaque)
        decision = attended(decision, opaque)
    if not decision.mask:
        return decision
    hidden = Hidden.of(given.call.arguments, decision.mask)
    if given.point == "output":
        echoed = tuple(f"/output{at}" for at in hidden.within(given.output.content))
        decision = replace(decision, mask=tuple(dict.fromkeys((*decision.mask, *echoed))))
    return hidden.decision(decision)


def said(revision: str) -> Decision:
    """What is decided about saying something, before it is looked at what is said."""
    reason = Reason(rule="guardrail.emit", message="what the user is told is decided as an output")
    return Decision(effect="allow", reasons=(reason,), revision=revision)


def unasked(decision: Decision | None, *, revision: str) -> Decision:
    """What is decided about an output that people were asked about, where nobody has to be any more.

    Args:
        decision: what the policies say of it now; None = nobody says anything.
        revision: theirs.
    """
    spoken, mask = ((), ()) if decision is None else (decision.reasons, decision.mask)
    return Decision(effect="allow", reasons=(UNASKED,), mask=mask, observed=spoken, revision=revision)


def _withheld(decision: Decision, given: PolicyInput, source: Source) -> Reviewed:
    return Reviewed(
        source=source,
        released="withheld",
        decision=decision,
        given=without_content(given.json),
        version=given.run.version,
    )
