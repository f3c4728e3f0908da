"""The shape of a write: prepared by whoever asks for it, applied inside the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from guardrail.calls import Call
from guardrail.errors import LedgerError
from guardrail.ledger.rows import CallRow, CallState, RunRow
from guardrail.masking import listed
from guardrail.records import Kind
from guardrail.sealing import Sealed, SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction


class Write:
    """One write; this one writes nothing. Constructors serialise: what cannot be written fails before the transaction.

    Attributes:
        keys: calls whose rows `apply` will ask for.
        runs: runs likewise.
        scopes: budgets likewise.
        ends: calls (key → fence) that no longer run in this process, whether this can be written or not.
    """

    keys: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    ends: Mapping[str, int] = MappingProxyType({})

    def apply(self, tx: Transaction) -> Any:  # noqa: ARG002  every other write asks it
        """Decide, change the transaction's rows, and answer.

        Raises:
            LedgerError: the write is refused; it has changed nothing.
        """
        return None


def to_json(detail: Mapping[str, Any]) -> bytes:
    """A detail as JSON bytes, in the order given.

    Raises:
        LedgerError: a value has no JSON form.
    """
    try:
        return orjson.dumps(detail)
    except orjson.JSONEncodeError as error:
        raise LedgerError(f"this cannot be recorded: {error}", fix="use plain JSON values") from error


class CallWrite(Write):
    """A write about one call."""

    def __init__(self, call: Call, key: SealingKey, detail: Mapping[str, Any]) -> None:
        self.call = call
        identity = call.key
        self.keys = (identity,)
        self.runs = (call.run,)
        self.reference = key.reference(identity)
        agent, tool = call.agent, call.tool
        self.fields: dict[str, Any] = {
            "run": call.run, "call": self.reference, "id": call.id, "scope": call.scope, "agent": agent.id,
            "chain": agent.chain, "principal": call.principal.id, "tool": tool.title, "tool_digest": tool.digest,
            "effect": tool.effect,
        }  # fmt: skip
        self.detail: dict[str, Any] = {"key": identity, **detail}
        self.sealed: Sealed = key.seal(to_json(self.detail))

    def hides(self, pointers: Sequence[str], key: SealingKey) -> None:
        """Say in the record what is masked: where, as far as the tool declares the names, and a keyed digest."""
        call = self.call
        if pointers and (found := listed(call.arguments, pointers, key=key.masking, names=call.tool.names)):
            self.fields["masked"] = found

    def entered(self, tx: Transaction, row: CallRow | None, state: CallState) -> CallRow:
        """The call's row, made or set to a state in which it stands anew at the end of the history."""
        if row is None:
            call = self.call
            row = CallRow(
                call.key, self.reference, call.run, call.id, call.scope, call.agent.id, call.tool.title,
                call.tool.effect, tx.now, 0, state, 0, tx.log.id, tx.log.fence, 0, "{}", "", 0, 0, stored=False,
            )  # fmt: skip
        row.state = state
        row.started = tx.now
        row.reentered = True
        return row

    def move(
        self, tx: Transaction, run: RunRow, row: CallRow, kind: Kind, sealed: Sealed, **fields: Any
    ) -> None:
        """Record that the call's state is now `row.state`, and store the row."""
        row.moves += 1
        row.record = tx.record(
            kind,
            {**self.fields, **fields, "state": row.state, "move": row.moves, "position": run.position},
            sealed,
        )
        tx.change_call(row)
        tx.change_run(run)


def about(row: CallRow) -> dict[str, Any]:
    """Fields of a record about a call of which only the row is at hand."""
    return {
        "run": row.run, "call": row.reference, "id": row.call, "scope": row.scope, "agent": row.agent,
        "tool": row.tool, "effect": row.effect,
    }  # fmt: skip
