"""What decisions refer to, stored once: runs, tool definitions and policy revisions."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select

from guardrail.calls import Principal, Tool
from guardrail.ledger import schema
from guardrail.ledger.statements import text
from guardrail.ledger.writes import Write, to_json
from guardrail.provenance.sources import Source
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

_TOOL: Final = text(select(schema.tools.c.digest).where(schema.tools.c.digest == bindparam("digest")))
_POLICY: Final = text(
    select(schema.policies.c.revision).where(schema.policies.c.revision == bindparam("revision"))
)


class BeginRun(Write):
    """Begin a run; one that is known already stays as it is."""

    def __init__(self, run: str, principal: Principal, task: str, key: SealingKey) -> None:
        self.runs = (run,)
        self._says = bool(task)
        self._principal = principal.id
        encode({"run": run, "principal": principal.id})
        attributes = dict(principal.attributes)
        self._sealed = key.seal(
            to_json({"task": task, "principal": {"id": principal.id, "attributes": attributes}})
        )

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        (run,) = self.runs
        if run not in tx.memory.runs:
            tx.begin_run(run, self._principal, self._sealed).sources = int(self._says)


class Hear(Write):
    """Keep what a run was told, and by whom."""

    def __init__(self, run: str, principal: str, source: Source, key: SealingKey) -> None:
        encode({"run": run, "principal": principal})
        self.runs = (run,)
        self._principal = principal
        self._kind, self._labels = source.kind, source.labels
        self._sealed = key.seal(to_json({"content": source.body.decode(), "source": source.as_json()}))

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        row = tx.run(self.runs[0], self._principal)
        row.position += 1
        row.sources += 1
        labels = [label for label in self._labels if label not in row.seen]
        if labels:
            row.seen = (*row.seen, *labels)
            row.version += 1
        fields = {"run": row.id, "trust": self._kind, "labels": labels, "position": row.position}
        tx.record("heard", fields, self._sealed)
        tx.change_run(row)


class StorePolicy(Write):
    """Keep a policy revision, so that its decisions can be recomputed."""

    def __init__(self, revision: str, bundle: bytes) -> None:
        encode({"revision": revision})
        self._revision, self._bundle = revision, bundle

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        if tx.connection.execute(_POLICY, (self._revision,)).fetchone() is None:
            fields = {"revision": self._revision, "bundle": sha256(self._bundle).hexdigest()}
            record = tx.record("policy", fields)
            tx.insert(schema.policies, (self._revision, self._bundle, tx.now, record))


def keep_tool(tx: Transaction, tool: Tool) -> None:
    """Keep a tool's definition, the first time that it is seen."""
    if tool.digest in tx.memory.tools or tool.digest in tx.new_tools:
        return
    if tx.connection.execute(_TOOL, (tool.digest,)).fetchone() is None:
        record = tx.record("tool", {"tool": tool.title, "tool_digest": tool.digest})
        tx.insert(schema.tools, (tool.digest, tool.title, tool.definition, tx.now, record))
    tx.new_tools.add(tool.digest)
