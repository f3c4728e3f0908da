"""Whether a post comes from Slack: its signature over the raw bytes, its age, and that it is not here twice.

`v0=` and hex HMAC-SHA256 over `v0:{timestamp}:{raw body}`, five minutes long (docs.slack.dev, "Verifying requests from
Slack"). Headers are read here and not by `slack_sdk`, whose verifier raises where they are malformed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Sequence
from typing import Final

AGE: Final = 300
"""Seconds that a post may be old, or ahead of this clock."""

_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE: Final = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature that Slack gives a body."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Signatures:
    """Tells Slack's posts from others, and new ones from replayed ones.

    Replays are remembered in this process. Another one that takes the same post finds the vote cast already.

    Args:
        secrets: signing secrets that are valid now: two while one takes the other's place.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)
        self._seen: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def check(
        self, timestamps: Sequence[str], signatures: Sequence[str], body: bytes, *, now: float
    ) -> str | None:
        """None where the post is Slack's and new; otherwise what is wrong, for the log.

        Args:
            timestamps: every `X-Slack-Request-Timestamp` of the post.
            signatures: every `X-Slack-Signature`.
            body: the bytes as they came.
            now: seconds since the epoch.
        """
        if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
            return "the timestamp is missing or malformed"
        if len(signatures) != 1 or not _SIGNATURE.fullmatch(signatures[0]):
            return "the signature is missing or malformed"
        (timestamp,), (signature,) = timestamps, signatures
        if abs(now - int(timestamp)) > AGE:
            return "the timestamp is too old, or in the future"
        # every secret is tried, so that the time taken does not tell which one it was
        matches = [hmac.compare_digest(sign(secret, timestamp, body), signature) for secret in self._secrets]
        if not any(matches):
            return "the signature is wrong"
        return None if self._is_new(timestamp, signature, now) else "this post was here already"

    def _is_new(self, timestamp: str, signature: str, now: float) -> bool:
        with self._lock:
            self._seen = {known: until for known, until in self._seen.items() if until >= now}
            if (timestamp, signature) in self._seen:
                return False
            self._seen[timestamp, signature] = int(timestamp) + AGE
            return True
