"""Spans sent to a collector, over OTLP/HTTP in JSON.

Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP": a `POST` of an `ExportTraceServiceRequest`; where the answer is 429,
502, 503 or 504 it may be sent again later. Nothing is kept of what was sent: whoever sends again sends the same ids.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import httpx

from guardrail.errors import CollectorUnavailable
from guardrail.exports.cursor import Asked, Cursor
from guardrail.exports.exporting import Exported, Progress, counted, documents, told
from guardrail.exports.shown import Source
from guardrail.replay.history import History
from guardrail.version import __version__

PATH: Final = "/v1/traces"
"""Where collectors take spans, below their address."""
_PIECE: Final = 5_000
_LATER: Final = frozenset({429, 502, 503, 504})
_WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds before it is tried again."""
_TIMEOUT: Final = 30.0


def send(
    history: History,
    url: str,
    asked: Asked,
    *,
    progress: Progress = None,
    wait: Callable[[float], None] = time.sleep,
) -> Exported:
    """Send the spans of recorded calls to a collector.

    Args:
        history: where to read; what of it is said by `asked`.
        url: of the collector; `/v1/traces` is put behind an address without a path.
        asked: what is to be sent.
        progress: told how far it is.
        wait: waits so many seconds.

    Raises:
        CollectorUnavailable: the collector does not answer, or does not take them.
        LedgerUnavailable: the ledger, or its key, cannot be read.
    """
    place = httpx.URL(url)
    if place.path in {"", "/"}:
        place = place.copy_with(path=PATH)
    cursor = Cursor.begin(history, asked)
    pieces = cursor.pieces(_PIECE)
    counts, details = Counter[str](), Counter[str]()
    read, total = 0, sum(map(len, pieces))
    headers = {"Content-Type": "application/json", "User-Agent": f"guardrail/{__version__}"}
    with httpx.Client(timeout=_TIMEOUT, headers=headers) as client, Source.opened(history, asked) as source:
        for piece in pieces:
            records = counted(told(source.records(piece), progress, read=read, total=total), details)
            for document in documents(records, asked.format, counts):
                _post(client, place, document, wait)
            read += len(piece)
    return Exported(target=url, format=asked.format, resumed=False, counts=counts, details=details)


def _post(client: httpx.Client, place: httpx.URL, document: bytes, wait: Callable[[float], None]) -> None:
    for seconds in (*_WAITS, None):
        why, again = "", True
        try:
            answer = client.post(place, content=document)
            if answer.is_success:
                return
            why, again = f"answered with {answer.status_code}", answer.status_code in _LATER
        except httpx.TransportError as error:
            why = f"does not answer: {type(error).__name__}"
        if seconds is None or not again:
            raise CollectorUnavailable(
                f"the collector at {place.host} {why}",
                fix="look after it, and send again: the ids stay the same",
            )
        wait(seconds)
