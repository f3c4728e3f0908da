"""How people are asked in this process: which channels are told, and whether votes need a signature.

The service signs in the transaction of the vote, so that whoever sees the request approved sees the grant too; what
it signs is the call that was shown, computed anew from the stored arguments. Whoever admits checks with the public
keys, in the transaction of the admission.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from guardrail.approvals import Approval
from guardrail.calls import Call
from guardrail.canonical import canonical, digest
from guardrail.decisions import Reason
from guardrail.errors import Conflict, GuardrailError
from guardrail.grants import Grant, PublicKeys, Refused, SignedGrant, SigningKey, check, unvouched
from guardrail.ledger import schema
from guardrail.ledger.statements import text, upserting

if TYPE_CHECKING:
    from guardrail.ledger.connection import Connection
    from guardrail.ledger.transaction import Transaction

_grants, _approvals = schema.grants.c, schema.approvals.c
_ONE: Final = text(select(_grants.body, _grants.signature).where(_grants.approval == bindparam("approval")))
_STORE: Final = upserting(schema.grants, ("body", "signature"))
_ASKED: Final = text(select(_approvals.record).where(_approvals.id == bindparam("approval")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How this process asks people.

    Attributes:
        channels: who is told of a request.
        keys: an approval counts only with a grant under one of them; None = votes count as they stand.
        signing: votes that this process casts are signed with it.
    """

    channels: tuple[str, ...] = ()
    keys: PublicKeys | None = None
    signing: SigningKey | None = None


DIRECT: Final = Asking()
"""No channel is told, and votes count as they stand: one program, or a file that honest programs share."""


def grant_of(connection: Connection, approval: str) -> SignedGrant | None:
    """What is signed about a request, unverified."""
    found = connection.execute(_ONE, (approval,)).fetchone()
    return None if found is None else SignedGrant(body=bytes(found[0]), signature=bytes(found[1]))


def refusal(
    tx: Transaction, asking: Asking, call: Call, approval: Approval, *, used: bool = False
) -> Reason | None:
    """Why an approved request does not admit this call, where it needs a grant; None where it does."""
    if asking.keys is None:
        return None
    try:
        grant = asking.keys.verify(grant_of(tx.connection, approval.id))
        check(grant, call, approval, now=tx.now, used=used)
    except Refused as refused:
        return Reason(
            rule="guardrail.grant",
            message=f"people said yes, but the grant for it does not hold: {refused.message}",
            fix="ask again; people answer through the approval service",
            code="approval.ungranted",
        )
    return None


def may_cast(tx: Transaction, asking: Asking, approval: Approval) -> bool:
    """Whether a yes to this request, which can be cast here, is to be signed.

    Raises:
        Conflict: grants are required and this process signs none or earlier votes did not come through
            the service; or what was shown is not what would run.
    """
    if asking.signing is None:
        if asking.keys is not None:
            raise Conflict(
                "a vote from here would not count: grants are required, and only the approval service signs them",
                fix="approve through the service (`guardrail serve`): HTTP or Slack; a rejection counts from anywhere",
            )
        return False
    strangers = unvouched(approval, _signed_before(tx, asking, asking.signing, approval))
    if strangers and asking.keys is not None:
        raise Conflict(
            f"votes on {approval.id} did not come through the service ({', '.join(strangers)}): it signs none of them",
            fix="reject it; the agent asks anew",
        )
    if _stated(tx, approval) is None:
        raise Conflict(
            f"what is stored of {approval.id} is not the call that would run: nothing is signed",
            fix="reject it",
        )
    return (
        not strangers
    )  # where no grant is needed, these votes count as they stand, and nobody signs for them


def sign(tx: Transaction, asking: Asking, approval: Approval) -> None:
    """Sign for all the votes of a request, after `may_cast` has let the last of them pass."""
    tool_digest = None if asking.signing is None else _stated(tx, approval)
    if asking.signing is None or tool_digest is None:
        return
    seconds = min(ask.expires_in for ask in approval.asks)
    grant = Grant.of(
        approval,
        tool_digest=tool_digest,
        not_before=tx.now,
        expires=tx.time(tx.moment + timedelta(seconds=seconds)),
    )
    signed = asking.signing.sign(grant)
    tx.connection.execute(_STORE, (approval.id, signed.body, signed.signature))


def _signed_before(tx: Transaction, asking: Asking, own: SigningKey, approval: Approval) -> Grant | None:
    """What this service, or its forerunner, has signed of earlier votes on this request."""
    signed = grant_of(tx.connection, approval.id)
    for keys in (own.public, asking.keys):
        try:
            if keys is not None:
                return keys.verify(signed)
        except Refused:
            continue
    return None


def _stated(tx: Transaction, approval: Approval) -> str | None:
    """Digest of the tool's definition, where the stored call is the one that the request is bound to; else None."""
    (record,) = tx.connection.execute(_ASKED, (approval.id,)).fetchone()
    detail: dict[str, Any] = tx.detail(record) or {}
    try:
        given, arguments = detail["given"], canonical(detail["arguments"])
        principal, agent, tool = given["principal"], given["agent"], given["tool"]
        same = (principal["id"], agent["id"], tuple(agent["chain"]), f"{tool['server']}/{tool['name']}")
        shown = (approval.principal, approval.agent, approval.chain, approval.tool)
        bound = digest(principal["id"].encode(), canonical(agent), tool["digest"].encode(), arguments)
    except (KeyError, TypeError, AttributeError, GuardrailError):
        return None
    return tool["digest"] if same == shown and bound == approval.digest else None
