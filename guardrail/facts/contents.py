"""Contents: what others get to see of a call, such as the text of a message."""

from __future__ import annotations

import re
from typing import Any, Final

from guardrail.facts.extractor import Findings, Surroundings
from guardrail.facts.secrets import read_text

MAX_LINKS: Final = 64
"""How many links of one text are told apart; with more, somebody has to look at it."""

_LINK: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}://|(?<![a-z0-9@._-])www\.)[^\s<>\"'`)\]}]{1,2000}"
    r"|(?<![a-z0-9@._/-])(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}/[^\s<>\"'`)\]}]{0,2000}",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#\s]*@)?(\[[0-9a-f:.]+\]|[^/?#:\s]+)", re.IGNORECASE
)


def read_content(text: str, given: Surroundings) -> Findings:
    """How long it is and where it leads: `characters`, and `links` as `{"url", "host"}`, as written.

    Personal data in it are facts of `secrets`, as for a text.

    Raises:
        NotUnderstoodError: it is too long.
    """
    private = read_text(text, given)
    links: list[dict[str, Any]] = []
    for link in _LINK.finditer(text):
        if len(links) == MAX_LINKS:
            break
        url = link[0].rstrip(".,;:!?")
        host = _HOST.match(url)
        links.append({"url": url, "host": host[1].lower() if host else ""})
    caution = f"it holds {MAX_LINKS} links or more" if len(links) == MAX_LINKS else private.caution
    return Findings(
        facts=({"characters": len(text), "links": links},), secrets=private.facts, caution=caution
    )
