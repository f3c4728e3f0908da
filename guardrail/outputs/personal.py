"""Personal data in outputs, by forms that carry a checksum or are unmistakable."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from guardrail.facts.secrets import may_hold_personal, personal_in
from guardrail.outputs.check import Answer, Finding
from guardrail.outputs.output import Output, Text

KINDS: Final = ("card_number", "iban", "mail_address", "phone_number", "us_social_security")
"""What it can find."""

# As ITU-T E.123 writes an international number: without the plus, digits may be anything.
_PHONE: Final = re.compile(r"(?<![0-9A-Za-z+])\+[1-9](?:[ ./()-]{0,2}[0-9]){7,14}(?![0-9])")


class PersonalData:
    """Fails an output that holds personal data: numbers of cards, accounts and phones, addresses of mail.

    Args:
        kinds: which of `KINDS` it looks for.
    """

    version = "1"

    def __init__(self, kinds: Collection[str] = KINDS) -> None:
        self._kinds = frozenset(kinds)

    def look(self, output: Output) -> Answer:
        """All personal data, wherever it stands."""
        kinds = [kind for kind in may_hold_personal(output.body) if kind in self._kinds]
        phones = b"+" in output.body and "phone_number" in self._kinds
        if not (kinds or phones):
            return Answer()
        findings = tuple(
            finding for text in output.texts for finding in _personal(text, kinds, phones=phones)
        )
        return (
            Answer(verdict="fail", message="it holds personal data", findings=findings)
            if findings
            else Answer()
        )


def _personal(text: Text, kinds: Collection[str], *, phones: bool) -> Iterator[Finding]:
    for fact in personal_in(text.text, kinds):
        yield Finding.within(fact["kind"], text, fact["start"], fact["end"])
    if phones and "+" in text.text:
        for found in _PHONE.finditer(text.text):
            yield Finding.within("phone_number", text, found.start(), found.end())
