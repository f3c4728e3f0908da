"""The policies of a history: made again from what the ledger has stored of each revision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import bindparam, select

from guardrail.boundaries import Boundaries
from guardrail.errors import PolicyError
from guardrail.ledger import schema
from guardrail.ledger.connection import Connection
from guardrail.ledger.schema import PLACES
from guardrail.ledger.statements import text
from guardrail.opa.stored import StoredOpa
from guardrail.policy import AllOf, Policy, joined
from guardrail.rego import RegoPolicy
from guardrail.rego.interpreter import interpreter_version
from guardrail.version import __version__

_KEPT: Final = 16
"""Policies that are kept; those that were not used for longest are made again."""
_policies = schema.policies.c
_BUNDLE: Final = text(
    select(_policies.bundle, schema.records.c.body, _policies.record)
    .join_from(schema.policies, schema.records, _policies.record == schema.records.c.id, isouter=True)
    .where(_policies.revision == bindparam("revision"))
)
"""What is stored of a revision, and the record that says what was."""
_PRUNED: Final = text(
    select(schema.records.c.body)
    .join_from(schema.pruned, schema.records, schema.pruned.c.record == schema.records.c.id)
    .where(schema.pruned.c.log == bindparam("log"))
)
"""The record that says what was in a log that was pruned."""


class _Storable(Protocol):
    """A kind of policy that can be made again from what is stored of it."""

    @classmethod
    def stored(cls, bundle: Mapping[str, Any]) -> Policy:
        """The policy again."""
        ...

    @staticmethod
    def revision_of(bundle: Mapping[str, Any]) -> str:
        """Its revision, by what is stored."""
        ...


_STORABLE: Final[Mapping[str, type[_Storable]]] = {
    "boundaries": Boundaries,
    "opa": StoredOpa,
    "rego": RegoPolicy,
}
"""What a stored policy is known by → its class; that of an OPA server holds Rego too, so it comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A revision, made again from what is stored of it.

    Attributes:
        policy: what decides; None where it cannot be made, and
        why: says why.
        fault: what is stored is not what the revision digests: how.
        changed: what reads it today and read it in another version then.
    """

    policy: AllOf | None = None
    why: str = ""
    fault: str = ""
    changed: tuple[str, ...] = ()


class Policies:
    """The policies that a ledger has stored, by revision, each made once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, Rebuilt] = OrderedDict()

    def of(self, revision: str) -> Rebuilt:
        """A revision, made again."""
        known = self._known.get(revision)
        if known is None:
            known = self._known[revision] = self._rebuilt(revision)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(revision)
        return known

    def _rebuilt(self, revision: str) -> Rebuilt:
        row = self._connection.execute(_BUNDLE, (revision,)).fetchone()
        if row is None:
            return Rebuilt(why=f"the policy {revision[:16]} is not stored")
        stored, record, number = row
        rebuilt = _rebuilt(revision, stored)
        if record is None:
            recorded = self._was_recorded(revision, stored, number >> PLACES)
        else:
            recorded = _is_recorded(revision, stored, record)
        if not rebuilt.fault and not recorded:
            return Rebuilt(fault=f"what is stored of the policy {revision[:16]} is not what was recorded")
        return rebuilt

    def _was_recorded(self, revision: str, stored: bytes, log: int) -> bool:
        """The same where the record was pruned: log 0 keeps what it said."""
        row = self._connection.execute(_PRUNED, (log,)).fetchone()
        kept: list[list[str]] = [] if row is None else orjson.loads(row[0])["carried"]["policies"]
        return [revision, sha256(stored).hexdigest()] in kept


@lru_cache(maxsize=_KEPT)
def _rebuilt(revision: str, stored: bytes) -> Rebuilt:
    """A revision from what is stored as it; kept for the next stretch that this process reads."""
    try:
        bundle = orjson.loads(stored)
        parts, hide = bundle["all_of"], bundle.get("hide", [])
        fault = _fault(revision, parts, hide)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, PolicyError) as error:
        return Rebuilt(fault=f"what is stored as policy {revision[:16]} cannot be read: {error}")
    changed = tuple(dict.fromkeys(change for part in parts for change in _changes(part)))
    if fault:
        return Rebuilt(fault=fault, changed=changed)
    if any(_class_of(part) is None for part in parts):
        return Rebuilt(why="a part of the policy is of a class of somebody else's", changed=changed)
    if any("opa" in part and part.get("rego") is None for part in parts):
        return Rebuilt(why="an OPA server decided, and what by is not stored", changed=changed)
    try:
        made = [kind.stored(part) for part in parts if (kind := _class_of(part)) is not None]
        return Rebuilt(policy=AllOf(made, hide=hide), changed=changed)
    except PolicyError as error:
        why = f"the policy {revision[:16]} would not be activated today: {error.message}"
        return Rebuilt(why=why, changed=changed)


def _is_recorded(revision: str, stored: bytes, record: bytes | None) -> bool:
    """Whether a policy is stored as its record says, even where nothing of it can be made again."""
    try:
        fields = orjson.loads(record or b"{}")
        said = fields["kind"], fields["revision"], fields["bundle"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return said == ("policy", revision, sha256(stored).hexdigest())


def _fault(revision: str, parts: list[dict[str, Any]], hide: list[str]) -> str:
    """Which part of a stored policy is not the one whose revision it bears; empty where all are."""
    for part in parts:
        kind = _class_of(part)
        if kind is not None and kind.revision_of(_unnamed(part)) != part["revision"]:
            return f"what is stored of the policy {revision[:16]} is not what decided: a part was changed"
    if joined([part["revision"] for part in parts], hide) != revision:
        return f"what is stored of the policy {revision[:16]} is not what decided: its parts were changed"
    return ""


def _class_of(part: Mapping[str, Any]) -> type[_Storable] | None:
    return next((kind for name, kind in _STORABLE.items() if name in part), None)


def _unnamed(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "revision"}


def _changes(part: Mapping[str, Any]) -> Iterator[str]:
    """What read a part then, and is another version today."""
    if (then := part.get("guardrail")) is not None and then != __version__:
        yield f"guardrail {then} decided then, {__version__} decides now"
    if (read := part.get("interpreter")) is not None and read != interpreter_version():
        yield f"{read} decided then, {interpreter_version()} decides now"
