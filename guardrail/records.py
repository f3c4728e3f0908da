"""The record: one fact of the line, as canonical JSON, appended to a log and never changed.

A record names who, what, when, which rules and how it ended. It holds no arguments, no messages, no
results and no plain digests of them: those are its detail, sealed beside it, to which it holds only a
commitment (`guardrail.sealing`). So a log can be shown to an auditor, and a detail can be erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import orjson

from guardrail.errors import LedgerError
from guardrail.merkle import leaf_hash

SCHEMA: Final = 1
"""Version of the record's form."""

Kind = Literal[
    "begun",  # a run was started
    "policy",  # a policy revision was stored
    "activation",  # an edition of the policies took the place of another one, or was refused
    "tool",  # a tool definition was stored
    "denied",  # a call was refused: by policy, halt, budget or person
    "asked",  # people were asked
    "voted",  # a person answered
    "expired",  # nobody answered in time
    "cancelled",  # the request was withdrawn
    "superseded",  # other requirements took its place
    "edited",  # a person changed the arguments: the call with the new ones goes down the line
    "remembered",  # a person said yes beforehand, for every call in a scope
    "forgotten",  # and took that back
    "heard",  # somebody told the run something: whose words values of later calls may be
    "admitted",  # the intent: the call may run, and is about to
    "settled",  # how it ended
    "late",  # an outcome that came after the call was resolved without it; it changed nothing
    "resolved",  # a person said how an unknown outcome ended
    "emission",  # a sink was given something for the user, and told it or refused
    "erased",  # what was sealed about a run was deleted; its records stay
    "halted",  # a halt switch was turned on
    "unhalted",  # and off again
    "checkpoint",  # how all logs stood; in log 0
    "pruned",  # the same, and which of them were pruned; likewise: log 0 holds no other kind
]
"""What a record is about, in a closed set."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record as it stands in its log.

    Attributes:
        log: number of the log.
        sequence: its place there, from 0, without gaps.
        kind: what it is about.
        body: canonical JSON (RFC 8785) of the fields: what the leaf hash is over.
        detail: the sealed part as JSON bytes, where it was asked for, is still kept and the key is held.
    """

    log: int
    sequence: int
    kind: Kind
    body: bytes
    detail: bytes | None = None

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The body, read."""
        fields: dict[str, Any] = orjson.loads(self.body)
        return fields

    @property
    def leaf(self) -> bytes:
        """The leaf hash of the record in its log's tree."""
        return leaf_hash(self.body)

    def as_json(self) -> dict[str, Any]:
        """For listings: place, fields, and the detail where it is known."""
        shown: dict[str, Any] = {"log": self.log, "sequence": self.sequence, **self.fields}
        if self.detail is not None:
            shown["detail"] = orjson.loads(self.detail)
        return shown


def encode(fields: Mapping[str, Any]) -> bytes:
    """Canonical bytes of a record's fields.

    The fields are made of ASCII keys, strings, integers, booleans, None, and lists and objects of those; for them
    orjson with sorted keys writes RFC 8785 byte for byte.

    Raises:
        LedgerError: a value has no JSON form.
    """
    try:
        return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise LedgerError(f"the record cannot be written: {error}", fix="use plain JSON values") from error
