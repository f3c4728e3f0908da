"""Contents: what others get to see of a call, such as the text of a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.secrets import read_text
from guardrail.facts.urls import read_url

MAX_LINKS: Final = 64
"""How many links of one text are told apart; with more, somebody has to look at it."""

_NAME: Final = r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}"
_NUMBERS: Final = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_REST: Final = r"[^\s<>\"`)\]}]{0,2000}"
# What mail programs and chats make a link of: a scheme, slashes without one, a host with something behind.
_LINK: Final = re.compile(
    rf"(?:[a-z][a-z0-9+.-]{{1,20}}:[/\\]{{2}}|(?:https?|ftp|wss?):[/\\]){_REST}"
    rf"|(?<!\w)(?:javascript:|mailto:|data:[a-z]+/)(?=\S){_REST}"
    rf"|(?<![\w:/\\])[/\\]{{2}}(?={_NAME}|{_NUMBERS}){_REST}"
    rf"|(?<![\w@.-])www\.{_REST}"
    rf"|(?<![\w@./\\-])(?:{_NAME}|{_NUMBERS})(?:[/?#\\]|:[0-9]{{1,5}}(?![0-9])){_REST}",
    re.IGNORECASE,
)
_ENDS: Final = ".,;:!?'*_"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HOST_ALONE: Final = re.compile(rf"(?!www\.){_NAME}", re.IGNORECASE)


def read_content(text: str, given: Surroundings) -> Findings:
    """How long it is and where it leads: `characters`, and `links` as `{"url", "host"}`, the url as written.

    Where two parsers do not agree on the host of a link, it has none, and somebody has to look. Personal data in the
    text are facts of `secrets`, as for a text.

    Raises:
        NotUnderstoodError: it is too long.
    """
    private = read_text(text, given)
    links: list[Mapping[str, Any]] = []
    caution = private.caution
    for found in _LINK.finditer(text):
        url = found[0].rstrip(_ENDS)
        if _HOST_ALONE.fullmatch(url):
            continue
        if len(links) == MAX_LINKS:
            caution = f"it holds more than {MAX_LINKS} links"
            break
        host, why = _host(url, given)
        links.append({"url": url, "host": host})
        caution = caution or why
    return Findings(
        facts=({"characters": len(text), "links": links},), secrets=private.facts, caution=caution
    )


def _host(url: str, given: Surroundings) -> tuple[str, str]:
    """The host of a link in lower case, and why somebody has to look at it; "" where there is none or nothing."""
    if url[:7].lower() == "mailto:":
        return url[7:].partition("?")[0].rpartition("@")[2].lower(), ""
    if not _SCHEME.match(url) or re.match(r"[^/]*:[0-9]", url):
        url = "http://" + url.lstrip("/")
    try:
        (fact,) = read_url(url, given).facts
    except NotUnderstoodError as error:
        return "", f"a link is not understood: {error}"
    return fact["host"], ""
