"""Voting: the one way in which people answer, whatever channel they come through.

Every answer is judged by the approval policy over the answers that there are, and counted only if these are
still the ones: where somebody else was faster, it is judged again. Nothing here knows of a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from guardrail.approvals import Answer, Approval, Consent, Judged, Vote, check_floor, digest_of
from guardrail.calls import Call
from guardrail.decisions import Ask
from guardrail.errors import Conflict, GuardrailError, Overtaken
from guardrail.hidden import Hidden
from guardrail.ledger import Ledger
from guardrail.ledger.figures import seconds_to_decide
from guardrail.people import People, Person
from guardrail.scopes import Remembered
from guardrail.standing import ApprovalPolicy, Question, Standby
from guardrail.telemetry import measures
from guardrail.telemetry.votes import VoteSpan

MAX_ROUNDS: Final = 64
"""How often one vote is judged anew because others were faster; each of them has voted, so this ends."""


class Voting:
    """How people answer.

    Args:
        ledger: where requests and votes are.
        people: who may answer; left out: whoever has a plain name.
        policy: the approval policy; left out: the shipped one.
        remember_at_most: how long a scope may be remembered, in seconds.
        pending_per_run: how many requests of one agent may wait in one run.
        clock: the time, in UTC; None = the ledger's.
    """

    def __init__(
        self,
        ledger: Ledger,
        people: People | None = None,
        policy: ApprovalPolicy | None = None,
        *,
        remember_at_most: float = 7 * 86_400.0,
        pending_per_run: int = 20,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._ledger = ledger
        self.people = people or People()
        self._policy = policy or ApprovalPolicy()
        self._remember_at_most = remember_at_most
        self._pending_per_run = pending_per_run
        self._clock = clock or ledger.clock

    def close(self) -> None:
        """Let go of the approval policy; the ledger is not this object's."""
        self._policy.close()

    def vote(
        self,
        approval: str,
        person: str,
        answer: Answer,
        *,
        channel: str,
        reason: str = "",
        opened: bool = True,
    ) -> Approval:
        """Count one person's answer.

        Args:
            approval: id of the request.
            person: id of a person whom the channel has verified.
            answer: `approve` or `reject`; one `reject` decides.
            channel: where: `cli`, `http`, `slack`, …
            reason: why; the agent reads it where the answer is no.
            opened: the person had the complete arguments in view; counted, never trusted.

        Returns:
            The request as it stands then.

        Raises:
            Conflict: there is no such request, it is decided already (by whom), or this person may not answer (why).
        """
        with self._span(approval, answer, channel) as span:
            voted = self._voted(approval, self.people.person(person), answer, channel, reason, opened=opened)
            span.counted(voted)
        if (seconds := seconds_to_decide(voted)) is not None:
            measures.decided(voted.state, channel=channel, opened=opened, seconds=seconds)
        return voted

    def _span(self, approval: str, answer: str, channel: str) -> VoteSpan:
        """The span of an answer, linked to the call that it is about."""
        span = VoteSpan(approval, answer, channel)
        if span.is_recording:
            with suppress(GuardrailError):  # nothing depends on it
                span.about(self._ledger.asked_from(approval))
        return span

    def _voted(
        self, approval: str, who: Person, answer: Answer, channel: str, reason: str, *, opened: bool
    ) -> Approval:
        for _ in range(MAX_ROUNDS):
            found = self._open_to(approval, who)
            judged = self._judged(found, who, answer, channel)
            try:
                return self._ledger.vote(
                    approval, who.id, answer, channel=channel, reason=reason, opened=opened, judged=judged
                )  # fmt: skip
            except Overtaken:
                continue
        raise Conflict(f"{approval} is voted on by too many at once", fix="vote again")

    def edit(
        self, approval: str, person: str, arguments: Mapping[str, Any], *, channel: str, reason: str = ""
    ) -> Approval:
        """Put other arguments in the place of those that are asked about.

        The request is superseded. The call with the new arguments goes down the whole line: it is judged like any
        other, and people are asked about it where the policy says so.

        Args:
            approval: id of the request.
            person: id of a person whom the channel has verified.
            arguments: all of them, as they should be.
            channel: where.
            reason: why; the agent reads it.

        Returns:
            The superseded request.

        Raises:
            Conflict: there is no such request, it is decided, this person may not answer it, or nothing would change.
            InvalidArguments: the arguments have no canonical JSON form.
        """
        with self._span(approval, "edit", channel) as span:
            who = self.people.person(person)
            self._open_to(approval, who)
            edited = self._ledger.edit(approval, who.id, arguments, channel=channel, reason=reason)
            span.counted(edited)
        return edited

    def remember(self, approval: str, person: str, scope: Remembered, *, channel: str) -> str:
        """Say yes beforehand, for calls like one that this person has approved; answers the scope's id.

        It counts as this person's yes wherever a call is in the scope, so what needs two people needs two of them
        to remember it. Every call that runs so names the scope in its record. Requests that wait for no more than that
        are superseded: their calls go on.

        Raises:
            Conflict: there is no such request, this person has not approved it, or a pattern is for no argument.
            GuardrailError: it is to be remembered for too long.
        """
        who = self.people.person(person)
        if scope.seconds > self._remember_at_most:
            raise Conflict(
                f"at most {self._remember_at_most:,.0f} seconds are remembered, not {scope.seconds:,.0f}",
                fix="approvals.remember_at_most in guardrail.toml",
            )
        number = self._ledger.remember_scope(approval, who.id, scope, channel=channel)
        tool = self._ledger.approval(approval).tool
        for waiting in self._ledger.approvals("pending"):
            if waiting.tool == tool:
                self._release(waiting)
        return number

    def forget(self, scope: str, person: str) -> None:
        """Take a remembered yes back; everybody may, since that only means that people are asked again.

        Raises:
            Conflict: there is no such scope, or it is forgotten already.
        """
        self._ledger.forget_scope(scope, self.people.person(person).id)

    def may_vote(self, approval: str, person: str) -> str | None:
        """Why this person may not answer; None where he may. For channels, which show no button then.

        Raises:
            Conflict: there is no such request.
        """
        self._ledger.approval(approval)
        try:
            self.check(approval, person)
        except Conflict as error:
            return error.message
        return None

    def check(self, approval: str, person: str) -> Approval:
        """The request, where this person may answer it.

        Raises:
            Conflict: there is no such request, or this person may not answer it: why, and what to do.
        """
        return self._open_to(approval, self.people.person(person))

    def consent(self, call: Call, asks: tuple[Ask, ...], given: bytes, edited_by: str = "") -> Consent:
        """What people have said to a call that is about to be admitted, judged with the people as they are now.

        Args:
            call: the call.
            asks: what is asked for it now.
            given: its policy input, as JSON text.
            edited_by: who has put its arguments in the place of others; empty = nobody has.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        most, standby = self._pending_per_run, self._standby(call.tool.digest, given)
        found = self._ledger.latest_approval(call.key)
        if found is not None and found.state in ("approved", "consumed"):
            judged, votes = replace(found, asks=asks), digest_of(found.votes)
        elif standby:
            judged, votes = _unasked(call, asks, found), ""
        else:
            return Consent(most=most)
        if edited_by:  # whoever asked first may have been asked about a call that nobody had changed
            judged = replace(judged, edited_by=edited_by)
        met = self._policy.judge(self._question(judged, given, standby), self.people).met
        alone = met and (not votes or self._is_alone(judged, given, standby))
        scopes = tuple(item.id for item in standby)
        return Consent(
            approval=judged.id, votes=votes, remembered=scopes, met=met, alone=bool(standby) and alone, most=most
        )  # fmt: skip

    def _is_alone(self, approval: Approval, given: bytes, standby: tuple[Standby, ...]) -> bool:
        """Whether what people have said beforehand is enough without any vote."""
        unasked = replace(approval, votes=())
        return bool(standby) and self._policy.judge(self._question(unasked, given, standby), self.people).met

    def _release(self, waiting: Approval) -> None:
        """Let a call go on that waits for an answer which has been given beforehand by now."""
        try:
            given = self._ledger.approval_input(waiting.id)
        except Conflict:
            return  # erased: nobody knows what it was
        standby = self._standby(orjson.loads(given)["tool"]["digest"], given)
        if self._is_alone(waiting, given, standby):
            self._ledger.release(waiting.id, tuple(item.id for item in standby))

    def _open_to(self, approval: str, who: Person) -> Approval:
        """The request, once it is known that this person may answer it."""
        found = self._ledger.approval(approval)
        self._check(found, who)
        return found

    def _check(self, approval: Approval, who: Person) -> None:
        check_floor(approval, who.id, who.principals)
        given = self._ledger.approval_input(approval.id)
        standing = self._policy.judge(self._question(approval, given, (), who), self.people)
        if standing.barred:
            fix = next((reason.fix for reason in standing.barred if reason.fix), None)
            told = "; ".join(f"{reason.message} [{reason.rule}]" for reason in standing.barred)
            kept = self._ledger.approval_arguments(approval.id)
            hidden = Hidden.of(kept.arguments, kept.mask)
            message = hidden.text(f"{who.id} may not answer {approval.id}: {told}")
            raise Conflict(message, fix=hidden.text(fix or ""))

    def _judged(self, approval: Approval, who: Person, answer: Answer, channel: str) -> Judged:
        """What this answer comes to, together with those that there are."""
        votes = digest_of(approval.votes)
        if answer != "approve":
            return Judged(votes=votes, met=False)
        vote = Vote(person=who.id, answer=answer, channel=channel, at=self._now())
        voted = replace(approval, votes=(*approval.votes, vote))
        given = self._ledger.approval_input(approval.id)
        standby = self._standby(orjson.loads(given)["tool"]["digest"], given)
        return Judged(
            votes=votes, met=self._policy.judge(self._question(voted, given, standby), self.people).met
        )  # fmt: skip

    def _standby(self, tool_digest: str, given: bytes) -> tuple[Standby, ...]:
        """The yes that people gave beforehand, in whose scope this call is."""
        scopes = self._ledger.scopes(tool_digest)
        call: dict[str, Any] = orjson.loads(given) if scopes else {}
        return tuple(
            Standby(id=scope.id, person=scope.person, at=scope.at, until=scope.until)
            for scope in scopes
            if scope.covers(call)
        )

    def _question(
        self, approval: Approval, given: bytes, standby: tuple[Standby, ...], who: Person | None = None
    ) -> Question:
        return Question(
            point="use" if who is None else "vote",
            approval=approval,
            given=given,
            now=self._now(),
            person=who,
            remembered=standby,
        )

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")[:19] + "Z"


def _unasked(call: Call, asks: tuple[Ask, ...], found: Approval | None) -> Approval:
    """What the approval policy sees of a call that nobody has approved, but for what was said beforehand."""
    return Approval(
        id="",
        key=call.key,
        digest=call.digest,
        run=call.run,
        agent=call.agent.id,
        chain=call.agent.chain,
        principal=call.principal.id,
        tool=call.tool.title,
        asks=asks,
        revision="",
        state="pending",
        requested_at="",
        expires_at="",
        edited_by=None if found is None else found.edited_by,
    )
