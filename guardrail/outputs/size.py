"""The size of outputs: what is too long to be worth an agent's attention, or a place to hide things in."""

from __future__ import annotations

from typing import Final

from guardrail.outputs.check import Answer
from guardrail.outputs.output import Output

BYTES: Final = 200_000
"""The largest output, in bytes of its JSON form, where nothing else is said."""


class Size:
    """Fails an output that is larger than it may be. Its score is the size.

    Args:
        bytes: the largest, in bytes of its JSON form.
    """

    version = "1"

    def __init__(self, bytes: int = BYTES) -> None:  # noqa: A002  (the word of the file)
        self._bytes = bytes

    def look(self, output: Output) -> Answer:
        """Whether it fits."""
        size = len(output.body)
        if size <= self._bytes:
            return Answer(score=size)
        return Answer(
            verdict="fail", message=f"it is {size:,} bytes; at most {self._bytes:,} are wanted", score=size
        )
