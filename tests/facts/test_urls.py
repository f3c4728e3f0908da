"""A URL is understood where every client sees the same host in it, and not otherwise."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.urls import MAX_LENGTH, read_url

HERE = Surroundings(roots={}, folder=Path())


def read(text: str) -> Findings:
    return read_url(text, HERE)


def fact(raw: str, **changed: Any) -> dict[str, Any]:
    plain = {
        "raw": raw,
        "url": raw,
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "address_class": "name",
        "credentials": False,
        "addresses": (),
        "resolution": "unasked",
        "why": "",
    }
    return plain | changed


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("https://api.example.com/v1?q=1#top", {}),
        ("https://api.example.com", {"url": "https://api.example.com/"}),
        ("HTTPS://API.Example.COM:443/", {"url": "https://api.example.com/"}),
        ("https://api.example.com:/", {"url": "https://api.example.com/"}),
        ("https://api.example.com:8443/", {"port": 8443}),
        ("https://api.example.com/Käse", {"url": "https://api.example.com/K%C3%A4se"}),
        ("https://api.example.com/a@evil.test", {}),
        ("https://api.example.com/?next=../x", {}),
        ("http://api.example.com/", {"scheme": "http", "port": 80}),
        ("wss://api.example.com/", {"scheme": "wss"}),
        ("ftp://api.example.com/x", {"scheme": "ftp", "port": 21}),
        ("https://my_host.example.com/", {"host": "my_host.example.com"}),
        ("https://xn--bcher-kva.example/", {"host": "xn--bcher-kva.example"}),
        (
            "http://localhost:8000/",
            {"scheme": "http", "host": "localhost", "port": 8000, "address_class": "loopback"},
        ),
        ("https://10.0.0.1/", {"host": "10.0.0.1", "address_class": "private"}),
        ("https://8.8.8.8/", {"host": "8.8.8.8", "address_class": "global"}),
        ("https://[::1]:8443/", {"host": "::1", "port": 8443, "address_class": "loopback"}),
        (
            "https://[::ffff:169.254.169.254]/",
            {"url": "https://[::ffff:a9fe:a9fe]/", "host": "::ffff:a9fe:a9fe", "address_class": "metadata"},
        ),
        ("api.example.com/x", {"url": "//api.example.com/x", "scheme": "", "port": None}),
        ("api.example.com", {"url": "//api.example.com/", "scheme": "", "port": None}),
        (
            "169.254.169.254/latest",
            {
                "url": "//169.254.169.254/latest",
                "scheme": "",
                "port": None,
                "host": "169.254.169.254",
                "address_class": "metadata",
            },
        ),
    ],
)
def test_a_plain_url_is_understood(text: str, changed: dict[str, Any]):
    assert read(text) == Findings(facts=(fact(text, **changed),))


@pytest.mark.parametrize("text", ["https://anna:secret@api.example.com/", "https://anna@api.example.com/"])
def test_a_url_with_credentials_is_understood_and_asks_for_a_person(text: str):
    assert read(text) == Findings(
        facts=(fact(text, credentials=True),), caution="it carries a name or password"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://api.example.com\\@evil.test/", "it holds a space, a control character or a backslash"),
        ("https://api.exam\tple.com/", "it holds a space, a control character or a backslash"),
        (" https://api.example.com/", "it holds a space, a control character or a backslash"),
        ("https://api.example.com/a b", "it holds a space, a control character or a backslash"),
        (
            "https://api.example.com/\r\nHost: evil.test",
            "it holds a space, a control character or a backslash",
        ),
        ("https://api.example.com/\x00", "it holds a space, a control character or a backslash"),
        (
            "https://api.example.com/a/../b",
            "its path holds '.' or '..', which some clients resolve and others send",
        ),
        (
            "https://api.example.com/%2e%2E/b",
            "its path holds '.' or '..', which some clients resolve and others send",
        ),
        (
            "https://api.example.com/.",
            "its path holds '.' or '..', which some clients resolve and others send",
        ),
        ("https://api.example.com./", "its host ends in a dot"),
        ("https://a..example.com/", "its host is not a name that can exist"),
        ("https://*.example.com/", "its host is not a name that can exist"),
        (f"https://{'a' * 64}.example.com/", "its host is not a name that can exist"),
        ("https://@api.example.com/", "it has an '@' without a user before its host"),
        ("https://a@b@api.example.com/", "parsers disagree on its scheme or its user"),
        ("https://api.example.com:0/", "its port is zero, or parsers disagree on it"),
        ("https://api.example.com:65536/", "it is not a valid URL"),
        ("https://api.example.com:\uff14\uff14\uff13/", "it is not a valid URL"),
        ("https://[fe80::1%25eth0]/", "it is not a valid URL"),
        ("https://[::1/", "it is not a valid URL"),
        ("https:///api.example.com", "its scheme is not followed by '//' and a host"),
        ("https:api.example.com", "its scheme is not followed by '//' and a host"),
        ("https://", "its scheme is not followed by '//' and a host"),
        ("//api.example.com/", "it has no scheme, so what it is relative to is not known"),
        ("/v1/users", "it has no scheme, so what it is relative to is not known"),
        ("localhost", "it has no scheme, so what it is relative to is not known"),
        ("", "it has no scheme, so what it is relative to is not known"),
        ("localhost:8000/x", "its scheme is none of http, https, ws, wss, ftp"),
        ("file:///etc/passwd", "its scheme is none of http, https, ws, wss, ftp"),
        ("javascript:alert(1)", "its scheme is none of http, https, ws, wss, ftp"),
        ("data:text/plain,x", "its scheme is none of http, https, ws, wss, ftp"),
        ("blob:https://api.example.com/x", "its scheme is none of http, https, ws, wss, ftp"),
        ("https://api.example.com/" + "a" * MAX_LENGTH, "it is longer than 8,192 characters"),
    ],
)
def test_what_clients_may_read_differently_is_not_understood(text: str, why: str):
    with pytest.raises(NotUnderstoodError) as caught:
        read(text)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "bücher.example",
        "exam\u00adple.com",
        "ex%61mple.com",
    ],
)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_host_in_another_spelling_is_not_understood(scheme: str, host: str):
    with pytest.raises(NotUnderstoodError):
        read(f"{scheme}{host}/")


CHARACTERS = ":/\\@.%[]#?1é。;&①-_ \t\u00ad\ud800"
WORDS = ("https://", "example.com", "evil.test", "127.0.0.1", "0x7f", "%2e", "%40", "[::1]", ":80", "xn--")
PIECES = st.lists(st.sampled_from([*WORDS, *CHARACTERS]), max_size=12)


@settings(deadline=None)
@given(
    st.one_of(
        PIECES.map("".join), PIECES.map(lambda pieces: "https://a.example" + "".join(pieces)), st.text()
    )
)
def test_whatever_is_understood_has_a_host_that_the_standard_library_sees_too(text: str):
    try:
        (found,) = read(text).facts
    except NotUnderstoodError:
        return
    seen = urlsplit(text if found["scheme"] else "https://" + text)
    assert re.fullmatch(r"[a-z0-9_:.-]+", found["host"])
    assert found["port"] is None or 0 < found["port"] < 65536
    if ":" not in found["host"]:
        assert seen.hostname == found["host"]
    assert read(text).facts == (found,)
