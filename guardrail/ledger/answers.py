"""The part of the ledger that is about people: what they are asked, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from guardrail.approvals import Answer, Approval, ApprovalState, Judged
from guardrail.errors import Conflict
from guardrail.grants import SignedGrant
from guardrail.hidden import Hidden
from guardrail.ledger import schema
from guardrail.ledger.connection import Database
from guardrail.ledger.figures import Figures, figures_of
from guardrail.ledger.granting import Asking
from guardrail.ledger.listings import ApprovalArguments
from guardrail.ledger.queries import Reader
from guardrail.ledger.remembered import ForgetScope, RememberScope
from guardrail.ledger.statements import text
from guardrail.ledger.votes import Cancel, CastVote, ChangeArguments, Expire, Release
from guardrail.ledger.waiting import Doorbell
from guardrail.ledger.writer import Writer
from guardrail.scopes import Remembered, Scope
from guardrail.sealing import SealingKey

_PRINCIPAL: Final = text(select(schema.runs.c.principal).where(schema.runs.c.id == bindparam("id")))


class Answers:
    """Requests and votes of one ledger; `Ledger` is all of it."""

    def __init__(
        self, database: Database, key: SealingKey, writer: Writer, reader: Reader, asking: Asking
    ) -> None:
        """See `Ledger.open`."""
        self._database = database
        self._key = key
        self._writer = writer
        self._reader = reader
        self._doorbell = Doorbell()
        self._asking = asking

    def acts_for(self, run: str) -> str | None:
        """Whom the agents of a run act for; None where it has not begun."""
        with self._database.reading() as connection:
            found = connection.execute(_PRINCIPAL, (run,)).fetchone()
        return None if found is None else str(found[0])

    def vote(
        self,
        approval: str,
        person: str,
        answer: Answer,
        *,
        channel: str,
        reason: str = "",
        opened: bool = True,
        judged: Judged | None = None,
    ) -> Approval:
        """Count one person's answer. Channels go through `guardrail.voting`, which asks the approval policy first.

        Args:
            approval: id of the request.
            person: id of a verified person; verifying is the channel's duty.
            answer: `approve` or `reject`; one `reject` decides.
            channel: where the vote was cast.
            reason: why, in the person's words; sealed, and shown to the agent where the answer is no.
            opened: the channel had shown the complete arguments.
            judged: what the approval policy said; None = counted by what the request asks for: names and a quorum.

        Returns:
            The approval as it stands then.

        Raises:
            Conflict: there is no such request, it is decided already, or this person may not vote.
            Overtaken: somebody else has voted since it was judged.
        """
        reason = self._unmasked(approval, reason)
        vote = CastVote(
            approval, person, answer, channel, reason, opened=opened, judged=judged, key=self._key,
            asking=self._asking,
        )  # fmt: skip
        return self._answered(vote)

    def edit(
        self, approval: str, person: str, arguments: Mapping[str, Any], *, channel: str, reason: str = ""
    ) -> Approval:
        """Put other arguments in the place of those that are asked about: the request is superseded by them.

        Channels go through `guardrail.voting`, which asks the approval policy first.

        Raises:
            Conflict: there is no such request, it is decided already, or this person may not answer it.
            InvalidArguments: the arguments have no canonical JSON form.
        """
        reason = self._unmasked(approval, reason)
        change = ChangeArguments(approval, person, arguments, channel, reason, self._key)
        return self._answered(change)

    def cancel(self, approval: str, key: str | None = None) -> Approval:
        """Withdraw a request that nobody waits for; one that is decided stays so.

        Args:
            approval: id of the request.
            key: whose call is withdrawn: identical calls that wait with it go on waiting. None = for all.

        Raises:
            Conflict: there is no such request.
        """
        return self._answered(Cancel(approval, key))

    def release(self, approval: str, scopes: tuple[str, ...]) -> Approval:
        """Ask nobody any more about a call for which people have said yes beforehand: it is judged anew.

        Args:
            approval: id of the request; one that does not wait stays as it is.
            scopes: ids of the remembered scopes that are enough for it.

        Raises:
            Conflict: there is no such request.
        """
        return self._answered(Release(approval, scopes))

    def _unmasked(self, approval: str, reason: str) -> str:
        """The words of a person who was shown what is masked, in this request or in one before it, without that."""
        hidden, request = Hidden(), approval if reason else None
        while request is not None:
            try:
                kept, request = self._reader.arguments(request), self._reader.approval(request).edits
            except Conflict:  # erased; or there is no such request, which the answer itself finds
                break
            hidden |= Hidden.of(kept.arguments, kept.mask)
        return hidden.text(reason)

    def _answered(self, write: CastVote | ChangeArguments | Cancel | Release) -> Approval:
        """Write an answer, and wake whoever waits for one."""
        found: Approval = self._writer.submit(write, alone=True)
        self._doorbell.ring()
        return found

    def expire_due(self) -> tuple[Approval, ...]:
        """Turn the silence on every overdue request into a refusal; answers those that expired now.

        Nothing depends on this being called: an overdue request is refused wherever it is met.
        """
        found: tuple[Approval, ...] = (
            self._writer.submit(Expire(), alone=True) if self._reader.is_due() else ()
        )
        return found

    def approval(self, approval: str) -> Approval:
        """One approval; overdue ones read `expired`.

        Raises:
            Conflict: there is none with this id.
        """
        return self._reader.approval(approval)

    def asked_from(self, approval: str) -> str:
        """The W3C `traceparent` of the call that people were asked about; empty where nobody traced it."""
        return self._reader.asked_from(approval)

    def latest_approval(self, key: str) -> Approval | None:
        """The request that counts for the call with this key, as it is stored; None where nobody was asked."""
        return self._reader.latest_approval(key)

    def approvals(self, state: ApprovalState | None = None) -> tuple[Approval, ...]:
        """Approvals, the oldest first, all or those in one state."""
        return self._reader.approvals(state)

    def approval_arguments(self, approval: str) -> ApprovalArguments:
        """What an approver is shown: the complete arguments, and what of them nothing may show.

        Raises:
            Conflict: there is no such approval, or its arguments were erased.
        """
        return self._reader.arguments(approval)

    def approval_input(self, approval: str) -> bytes:
        """The policy input of the call that is asked about, as JSON text: what was decided over.

        Raises:
            Conflict: there is no such approval, or its call was erased.
        """
        return self._reader.given(approval)

    def grant(self, approval: str) -> SignedGrant | None:
        """What the approval service has signed about a request, unverified; None where it has nothing."""
        return self._reader.grant(approval)

    def figures(self) -> Figures:
        """How people answer: how long they take, how often nobody does, and what they do not open."""
        return figures_of(self._reader.approvals(None))

    # -- waiting -------------------------------------------------------------------------------------

    def is_pending(self, approval: str) -> bool:
        """Whether people can still answer a request.

        Raises:
            Conflict: there is none with this id.
        """
        return self._reader.is_pending(approval)

    def wait_for_answers(self, seconds: float) -> None:
        """Block until somebody answers, whatever he answers, or for so long.

        Who answers in another process is heard of with PostgreSQL only, and may be missed: look again.
        """
        self._database.listen(self._doorbell.ring)
        self._doorbell.wait(seconds)

    async def wait_for_answers_async(self, seconds: float) -> None:
        """The same for asyncio."""
        self._database.listen(self._doorbell.ring)
        await self._doorbell.wait_async(seconds)

    # -- yes, beforehand -----------------------------------------------------------------------------

    def remember_scope(self, approval: str, person: str, scope: Remembered, *, channel: str) -> str:
        """Remember a person's yes for later calls like the one of a request; answers the scope's id.

        Channels go through `guardrail.voting`.

        Raises:
            Conflict: there is no such request, this person has not approved it, a pattern is for no argument, or
                grants are required.
        """
        if self._asking.keys is not None:
            raise Conflict(
                "grants are required: a yes that is remembered has none, and would not count",
                fix="answer each request",
            )
        given = self._reader.given(approval)
        number: str = self._writer.submit(
            RememberScope(approval, person, scope, given, channel, self._key), alone=True
        )
        return number

    def forget_scope(self, scope: str, by: str) -> None:
        """Take a remembered yes back: from now on it counts for nothing.

        Raises:
            Conflict: there is no such scope, or it is forgotten already.
        """
        self._writer.submit(ForgetScope(scope, by), alone=True)

    def scopes(self, tool_digest: str) -> tuple[Scope, ...]:
        """The remembered scopes that count for a tool now, by the digest of its definition; the oldest first.

        None where grants are required: nobody has signed them.
        """
        return self._reader.scopes(tool_digest) if self._asking.keys is None else ()

    def all_scopes(self) -> tuple[Scope, ...]:
        """Every scope that was ever remembered, forgotten and overdue ones too; the oldest first."""
        return self._reader.all_scopes()
