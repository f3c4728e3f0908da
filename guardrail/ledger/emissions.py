"""What is told to users: which contents were released for that, and what sinks made of what they were given.

A content is known here by a keyed digest, which nobody without the operator's key can try out. What a sink does is
decided and counted in one transaction before it does it, so that its figures hold whatever happens next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import func, select

from guardrail.canonical import digest
from guardrail.ledger import schema
from guardrail.ledger.connection import Database
from guardrail.ledger.notes import Remember, recall
from guardrail.ledger.statements import Member, text
from guardrail.ledger.writer import Writer
from guardrail.ledger.writes import Write
from guardrail.records import encode
from guardrail.sealing import SealingKey

if TYPE_CHECKING:
    from guardrail.ledger.transaction import Transaction

Emission = Literal["released", "unreviewed", "again"]
"""What a sink was given: what had been released, what nobody has reviewed, or what it has told already."""

_records = schema.records.c
_given, _told = Member(_records.body, "given"), Member(_records.body, "told", flag=True)
_tool, _released = Member(_records.body, "tool"), Member(_records.body, "released")
_COUNTS: Final = text(
    select(_given, _told, func.count()).where(_records.kind == "emission").group_by(_given, _told)
)
_RELEASES: Final = text(
    select(_tool, _released, func.count())
    .where(_records.kind == "settled", Member(_records.body, "status") == "returned")
    .group_by(_tool, _released)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFigures:
    """What became of the outputs of one tool.

    Attributes:
        tool: `server/name`.
        returned: how often it returned something.
        released: how often which became of that.
    """

    tool: str
    returned: int
    released: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFigures:
    """How much of what was read had been reviewed: measured where it is read, not where it is promised.

    Attributes:
        told: how often sinks told a user something,
        reviewed: and how often of these it had been released for that.
        refused: how often a sink was given what had not been, or what it had told already, and told nobody.
        tools: what became of the outputs of tools, final answers (`guardrail/emit`) among them.
    """

    told: int
    reviewed: int
    refused: int
    tools: tuple[ToolFigures, ...]

    @property
    def coverage(self) -> float | None:
        """The part of what users were told that had been reviewed; None where they were told nothing."""
        return self.reviewed / self.told if self.told else None

    def as_json(self) -> dict[str, Any]:
        """For listings."""
        tools = [{**asdict(item), "released": dict(item.released)} for item in self.tools]
        return {**asdict(self), "coverage": self.coverage, "tools": tools}


class Emissions:
    """Contents that are told to users, by run."""

    def __init__(self, database: Database, writer: Writer, key: SealingKey) -> None:
        self._database = database
        self._writer = writer
        self._key = key

    def release(self, run: str, body: bytes, *, call: str) -> None:
        """Remember that a content may be told in a run.

        Args:
            run: the run.
            body: the content as JSON with sorted keys.
            call: the reference of the call that it was released by.
        """
        self._writer.submit(_Release(run, self._name(body), call), alone=True)

    def tell(self, run: str, body: bytes, *, once: bool, enforced: bool) -> Emission:
        """Whether a content may be told: write down that it is, or that it is not.

        Args:
            run: the run that it is told in.
            body: the content as JSON with sorted keys.
            once: what was told already is refused.
            enforced: whether a sink obeys; where it does not, what it tells all the same is written down as such.
        """
        answer: Emission = self._writer.submit(_Tell(run, self._name(body), once, enforced), alone=True)
        return answer

    def figures(self) -> OutputFigures:
        """What sinks have counted, and what became of the outputs of tools."""
        with self._database.reading() as connection:
            told = connection.execute(_COUNTS, ()).fetchall()
            tools = connection.execute(_RELEASES, ()).fetchall()
        by_tool: dict[str, Counter[str]] = {}
        for tool, released, count in tools:
            by_tool.setdefault(tool, Counter())[released or "unreviewed"] += count
        return OutputFigures(
            told=sum(count for _, was_told, count in told if was_told),
            reviewed=sum(count for given, was_told, count in told if was_told and given == "released"),
            refused=sum(count for _, was_told, count in told if not was_told),
            tools=tuple(
                ToolFigures(tool=tool, returned=count.total(), released=dict(sorted(count.items())))
                for tool, count in sorted(by_tool.items())
            ),
        )

    def _name(self, body: bytes) -> str:
        return f"released {self._key.reference('output ' + digest(body))}"


class _Release(Remember):
    """Remember a release; what was told of it already stays counted."""

    def __init__(self, run: str, name: str, call: str) -> None:
        super().__init__(run, name, {"call": call, "told": 0})

    def apply(self, tx: Transaction) -> None:
        """See the class."""
        if recall(tx.connection, self._of, self._name) is None:
            super().apply(tx)


class _Tell(Write):
    """Decide what a sink does with a content, and write that down."""

    def __init__(self, run: str, name: str, once: bool, enforced: bool) -> None:
        encode({"run": run})
        self._run, self._name, self._once, self._enforced = run, name, once, enforced

    def apply(self, tx: Transaction) -> Emission:
        """See the class."""
        known: dict[str, Any] | None = recall(tx.connection, self._run, self._name)
        given: Emission = "unreviewed" if known is None else "released"
        if known is not None and known["told"] and self._once:
            given = "again"
        told = given == "released" or not self._enforced
        if known is not None and told:
            Remember(self._run, self._name, {**known, "told": known["told"] + 1}).apply(tx)
        call = "" if known is None else known["call"]
        tx.record("emission", {"run": self._run, "call": call, "given": given, "told": told})
        return given
