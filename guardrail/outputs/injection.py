"""Marks of injection: text in an output that speaks to the model instead of telling it something.

A list of known forms, so whoever words an instruction plainly is not seen: these findings are for warnings, for
asking people and for figures. What bounds an injection is where a value came from (labels), not how it reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output, Text

# What one of must stand in the lower-case content for any of `_MARKS` to be in it.
_WORDS: Final[tuple[bytes, ...]] = (
    b"ignore", b"disregard", b"forget", b"override", b"are now", b"new instruction", b"system", b"<|", b"inst]", b"<<",
    b"![",
)  # fmt: skip
_TELLS: Final[tuple[bytes, ...]] = (b" tell", b" mention", b" inform")
_BEFORE: Final = (
    r"(?:(?:all|any|every|the|your|my|these|those|of|previous|prior|above|earlier|preceding|foregoing|former)\s{1,4})"
    r"{1,5}"
)
_MARKS: Final[Mapping[str, re.Pattern[str]]] = {
    kind: re.compile(pattern, re.IGNORECASE | re.ASCII)
    for kind, pattern in {
        "override": rf"\b(?:ignore|disregard|forget|override)\s{{1,4}}{_BEFORE}"
        r"(?:instructions?|prompts?|rules|guidelines|messages?|directions?|context|commands?|orders|policies)\b",
        "new_role": r"\byou\s{1,4}are\s{1,4}now\s{1,4}(?:a|an|the|in)\b|\bnew\s{1,4}instructions?\s{0,4}:",
        "system_prompt": r"\bsystem\s{1,4}(?:prompt|message)\s{0,4}:|"
        r"\b(?:reveal|print|show|repeat|output)\s{1,4}(?:me\s{1,4})?(?:your|the)\s{1,4}system\s{1,4}prompt\b",
        "role_tag": r"<\|[a-z_]{1,32}\|>|\[/?INST\]|<</?SYS>>|</?system(?:[-_ ]?(?:prompt|message|reminder))?>",
        "secrecy": r"\b(?:do\s{1,4}not|don't|without)\s{1,4}(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?)\b"
        r"[^.!?\n]{0,40}\buser\b",
        # No part goes on past the next image, so that no letter is read again for each image before it.
        "image_with_data": r"!\[(?:(?!!\[)[^\]\n]){0,200}+\]\(\s{0,4}https?://"
        r"(?:(?!!\[)[^\s)?])++\?(?:(?!!\[)[^\s)])++\)",
    }.items()
}
# Tags (U+E0000…), overrides of direction, and runs of what has no width: text that people do not see and models do.
_HIDDEN: Final = re.compile(
    "[\U000e0000-\U000e007f]{4,}|[\u202a-\u202e\u2066-\u2069]|[\u200b\u2060\ufeff\u180e]{2,}"
)
_HIDING: Final[tuple[bytes, ...]] = (
    b"\xf3\xa0", b"\xe2\x81", b"\xef\xbb\xbf", b"\xe1\xa0\x8e", b"\xe2\x80\x8b",
    *(f"{letter}".encode() for letter in "\u202a\u202b\u202c\u202d\u202e"),
)  # fmt: skip


class InjectionMarks:
    """Fails an output with marks of injection; its score is how many different ones there are.

    Kinds are `override`, `new_role`, `system_prompt`, `role_tag`, `secrecy`, `image_with_data` and `hidden_text`.
    """

    version = "1"

    def look(self, output: Output) -> Answer:
        """Every mark, wherever it stands."""
        body = output.body
        lower = body.lower()
        spoken = any(word in lower for word in _WORDS) or (
            b"user" in lower and any(word in lower for word in _TELLS)
        )
        hidden = not body.isascii() and any(letter in body for letter in _HIDING)
        if not (spoken or hidden):
            return Answer(score=0)
        findings = tuple(
            finding for text in output.texts for finding in _marks(text, spoken=spoken, hidden=hidden)
        )
        if not findings:
            return Answer(score=0)
        score = len({finding.kind for finding in findings})
        return Answer(verdict="fail", message="it speaks to the model", score=score, findings=findings)


def _marks(text: Text, *, spoken: bool, hidden: bool) -> Iterator[Finding]:
    for kind, pattern in _MARKS.items() if spoken else ():
        for found in pattern.finditer(text.text):
            yield Finding.within(kind, text, found.start(), found.end())
    if hidden and not text.text.isascii():
        for found in _HIDDEN.finditer(text.text):
            yield Finding.within("hidden_text", text, found.start(), found.end())
