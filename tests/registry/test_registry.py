"""What the registry says of packages, from a stand-in over HTTP, from what was seen before and from a snapshot."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.errors import LedgerUnavailable
from guardrail.facts import Facts
from guardrail.facts.packages.specifiers import NOT_LOOKED_UP, package
from guardrail.ledger import Ledger
from guardrail.registry import Freshness, Index, Limits, Registry, Snapshot, build
from guardrail.registry.bodies import SIMPLE
from guardrail.registry.observations import Remembered
from guardrail.registry.testing import Answer, RegistryStandIn

NOW = datetime.now(UTC)


@pytest.fixture
def stand_in() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        yield server


def indexes(stand_in: RegistryStandIn) -> tuple[Index, ...]:
    return (
        Index(title="pypi", ecosystem="pypi", url=f"{stand_in.url}simple/", json=f"{stand_in.url}pypi/"),
        Index(title="npm", ecosystem="npm", url=stand_in.npm_url),
    )


@pytest.fixture
def registry(stand_in: RegistryStandIn) -> Iterator[Registry]:
    found = Registry(indexes=indexes(stand_in))
    yield found
    found.close()


def told(fact: Any, *names: str) -> list[Any]:
    return [fact[name] for name in names]


def closing(registry: Registry, ecosystem: Any, name: str) -> Any:
    try:
        return registry.look(ecosystem, name)
    finally:
        registry.close()


# -- what registries say ---------------------------------------------------------------------------------


def test_a_package_that_is_there_is_told_with_its_age_and_releases(stand_in, registry):
    stand_in.publish("requests", days_ago=4000.5, versions=3)
    fact = registry.look("pypi", "requests")
    assert {**fact, "checked": "…"} == {
        "ecosystem": "pypi", "name": "requests", "source": "install", "known": True, "registry": "pypi",
        "checked": "…", "why": "", "age_days": 4000, "releases": 3, "rank": 6, "appeared": False, "nearest": "",
        "distance": None, "conflation": False, "elsewhere": [], "snapshot": "",
    }  # fmt: skip
    assert stand_in.asked == ["/simple/requests/"]


def test_a_package_of_npm_is_told_too_and_its_scope_stays_one_segment(stand_in, registry):
    stand_in.publish("@types/node", ecosystem="npm", days_ago=90.5, versions=2)
    fact = registry.look("npm", "@types/node")
    assert told(fact, "known", "registry", "age_days", "releases") == [True, "npm", 90, 2]
    assert stand_in.asked == ["/npm/@types%2Fnode"]


def test_times_come_from_the_project_json_where_the_simple_page_has_none(stand_in, registry):
    stand_in.api = "1.0"
    stand_in.publish("requests", days_ago=10.5, versions=2)
    assert told(registry.look("pypi", "requests"), "age_days", "releases") == [10, 2]
    assert stand_in.asked == ["/simple/requests/", "/pypi/requests/json"]


def test_a_missing_package_is_missing_and_where_else_its_name_exists_is_told(stand_in, registry):
    stand_in.publish("left-pad", ecosystem="npm")
    fact = registry.look("pypi", "left-pad")
    assert told(fact, "known", "registry", "why", "age_days", "elsewhere") == [
        False,
        "pypi",
        "",
        None,
        ["npm"],
    ]


def test_a_name_that_npm_holds_after_a_removal_is_missing(stand_in, registry):
    body = b'{"name": "bad", "versions": {"0.0.1-security": {}}, "time": {"created": "2020-01-01T00:00:00Z"}}'
    stand_in.answer = lambda path: Answer(body=body) if path == "/npm/bad" else None
    assert registry.look("npm", "bad")["known"] is False


def test_a_name_that_no_package_can_have_is_missing_and_never_asked_for(stand_in, registry):
    for name in ("../../etc", "a/b", "..", "x" * 300, "a b", "a\r\nHost: b", "ä"):
        assert told(registry.look("npm", name), "known", "why") == [False, "no package can have this name"]
        assert registry.look("pypi", name)["known"] is False
    assert stand_in.asked == []


def test_a_project_without_files_is_there_and_has_no_age(stand_in, registry):
    body = b'{"meta": {"api-version": "1.1"}, "name": "Empty", "files": [], "versions": []}'
    stand_in.answer = lambda path: Answer(body=body, media_type=SIMPLE) if "simple" in path else None
    assert told(registry.look("pypi", "empty"), "known", "age_days", "releases") == [True, None, 0]


def test_an_answer_that_is_too_large_says_only_that_the_package_is_there(stand_in):
    stand_in.publish("huge", versions=200)
    found = Registry(indexes=indexes(stand_in), limits=Limits(answer_bytes=1000))
    assert told(closing(found, "pypi", "huge"), "known", "age_days", "releases") == [True, None, None]


def test_private_indexes_come_first_and_what_they_claim_is_asked_nowhere_else(stand_in):
    stand_in.publish("corp-tools")
    own = Index(
        title="private:corp",
        ecosystem="pypi",
        url=f"{stand_in.url}own/",
        names=("corp-*",),
        authorization="Basic x",
    )
    with RegistryStandIn() as private:
        first = Index(title="private:first", ecosystem="pypi", url=f"{private.url}simple/")
        private.publish("six", days_ago=3.5)
        stand_in.publish("six")
        found = Registry(indexes=(own, first, *indexes(stand_in)))
        assert told(found.look("pypi", "six"), "registry", "age_days") == ["private:first", 3]
        assert private.asked == ["/simple/six/"]
        assert told(closing(found, "pypi", "corp-tools"), "known", "registry") == [False, "private:corp"]
        asked = [
            (path, "Authorization" in headers)
            for path, headers in zip(stand_in.asked, stand_in.headers, strict=True)
        ]
        assert asked == [("/simple/six/", False), ("/own/corp-tools/", True)]


@pytest.mark.parametrize("pattern", ["corp-*", "corp_*", "Corp.*", "CORP--*"])
def test_a_claim_is_read_as_names_are_compared(stand_in, pattern):
    stand_in.publish("corp-tools", days_ago=400)
    own = Index(title="private:corp", ecosystem="pypi", url=f"{stand_in.url}own/", names=(pattern,))
    assert told(closing(Registry(indexes=(own, *indexes(stand_in))), "pypi", "corp-tools"), "known", "registry") == [
        False, "private:corp",
    ]  # fmt: skip


@pytest.mark.parametrize("names", [("corp-*",), ()])
def test_a_public_snapshot_does_not_speak_for_a_private_index(stand_in, tmp_path, names):
    build(tmp_path / "snapshot", "pypi", ["corp-tools", "six"], day=date(2026, 1, 1), source="test")
    silent = Index(title="private:corp", ecosystem="pypi", url="http://127.0.0.1:1/", names=names)
    found = Registry(indexes=(silent,), snapshot=Snapshot.open(tmp_path / "snapshot"))
    assert told(closing(found, "pypi", "corp-tools"), "known", "registry", "why") == [
        None, "", "private:corp: it could not be asked (ConnectError)",
    ]  # fmt: skip


def test_a_silent_index_hides_what_comes_after_it(stand_in):
    stand_in.publish("six")
    silent = Index(title="private:first", ecosystem="pypi", url="http://127.0.0.1:1/")
    fact = closing(Registry(indexes=(silent, *indexes(stand_in))), "pypi", "six")
    assert told(fact, "known", "registry", "why") == [
        None, "", "private:first: it could not be asked (ConnectError)",
    ]  # fmt: skip


# -- what cannot be found out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=500), "pypi: it answered with 500"),
        (Answer(status=403), "pypi: it answered with 403"),
        (Answer(status=429), "pypi: it answered with 429"),
        (Answer(status=302, headers={"Location": "http://127.0.0.2:1/x"}), "pypi: it redirects to another server"),
        (Answer(status=302, headers={"Location": "/simple/six/"}), "pypi: it redirects again and again"),
        (Answer(body=b"<html>", media_type="text/html"), f"pypi: its answer cannot be read: it is not {SIMPLE}"),
        (Answer(body=b"", media_type=SIMPLE), "pypi: its answer cannot be read: it is empty"),
        (Answer(body=b"{", media_type=SIMPLE), "pypi: its answer cannot be read: it is no JSON"),
        (Answer(body=b"[]", media_type=SIMPLE), "pypi: its answer cannot be read: it is no object"),
        (
            Answer(body=b'{"meta": {"api-version": "1.1"}, "name": "seven", "files": []}', media_type=SIMPLE),
            "pypi: its answer cannot be read: it is about another package",
        ),
    ],
)  # fmt: skip
def test_whatever_is_no_answer_is_unknown_and_says_why(stand_in, registry, answer, why):
    stand_in.answer = lambda path: answer
    assert told(registry.look("pypi", "six"), "known", "registry", "why", "checked") == [None, "", why, None]


def test_a_redirect_on_the_same_server_is_followed(stand_in, registry):
    stand_in.publish("six")
    stand_in.answer = lambda path: (
        Answer(status=301, headers={"Location": "/simple/six/?again"}) if path == "/simple/six/" else None
    )
    stand_in.respond, respond = (
        lambda path: respond(path.partition("?")[0] if "again" not in path else "/simple/six"),
        stand_in.respond,
    )
    assert registry.look("pypi", "six")["known"] is True


def test_a_server_that_is_too_slow_is_unknown_within_the_timeout(stand_in):
    stand_in.answer = lambda path: Answer(pause=3)
    found = Registry(indexes=indexes(stand_in), limits=Limits(timeout=0.2))
    started = time.monotonic()
    fact = closing(found, "pypi", "six")
    assert (fact["known"], fact["why"].startswith("pypi: it ")) == (None, True)
    assert time.monotonic() - started < 2.5


def test_a_server_that_fails_again_and_again_is_left_alone_for_a_while(stand_in):
    stand_in.answer = lambda path: Answer(status=503)
    found = Registry(indexes=indexes(stand_in), limits=Limits(failures=2, pause=0.3))
    whys = [found.look("pypi", "six")["why"] for _ in range(4)]
    assert (
        whys
        == ["pypi: it answered with 503"] * 2
        + ["pypi: it failed 2 times in a row and is left alone for 0.3 s"] * 2
    )
    assert len(stand_in.asked) == 2
    time.sleep(0.35)
    stand_in.publish("six")
    stand_in.answer = lambda path: None
    assert closing(found, "pypi", "six")["known"] is True


def test_no_proxy_of_the_environment_is_used(stand_in, registry, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    stand_in.publish("six")
    assert registry.look("pypi", "six")["known"] is True


def test_an_ecosystem_that_nobody_is_asked_about_is_unknown(registry):
    (fact,) = registry.look_up(
        Facts(packages=(package("conda", "numpy", "", source="install", raw="numpy"),))
    ).packages
    assert told(fact, "known", "why", "nearest") == [None, "no registry of conda is asked", ""]


def test_without_indexes_nothing_is_asked_and_names_are_judged_all_the_same():
    fact = Registry().look("pypi", "reqeusts")
    assert told(fact, "known", "why", "nearest", "distance") == [
        None, "no registry of pypi is asked", "requests", 1,
    ]  # fmt: skip


def test_more_packages_than_are_looked_up_at_once_are_unknown(stand_in):
    for name in ("a1", "a2", "a3"):
        stand_in.publish(name)
    found = Registry(indexes=indexes(stand_in), limits=Limits(packages=2))
    facts = tuple(package("pypi", name, "", source="install", raw=name) for name in ("a1", "a2", "a3"))
    whys = [fact["why"] for fact in found.look_up(Facts(packages=facts)).packages]
    found.close()
    assert whys == ["", "", "pypi: more than 2 packages are asked for at once"]


def test_packages_of_one_call_are_asked_for_at_once_and_each_only_once(stand_in):
    stand_in.answer = lambda path: Answer(status=404, pause=0.1)
    facts = tuple(package("pypi", f"a{number % 8}", "", source="install", raw="") for number in range(16))
    found = Registry(indexes=indexes(stand_in)[:1], limits=Limits(at_once=8))
    assert {fact["known"] for fact in found.look_up(Facts(packages=facts)).packages} == {False}
    found.close()
    assert sorted(stand_in.asked) == [f"/simple/a{number}/" for number in range(8)]


def test_imports_are_never_asked_for(stand_in, registry):
    facts = Facts(packages=(package("pypi", "six", "", source="import", raw="six"),))
    assert told(registry.look_up(facts).packages[0], "known", "why") == [
        None, "pypi: it is not looked up anew",
    ]  # fmt: skip
    assert stand_in.asked == []
    stand_in.publish("six")
    registry.look("pypi", "six")
    assert registry.look_up(facts).packages[0]["known"] is True


def test_without_the_network_nothing_but_what_was_seen_counts(stand_in, registry):
    stand_in.publish("six")
    facts = Facts(packages=(package("pypi", "six", "", source="install", raw="six"),))
    assert registry.look_up(facts, network=False).packages[0]["known"] is None
    assert stand_in.asked == []
    assert registry.look_up(facts).packages == registry.look_up(facts, network=False).packages


def test_a_forked_child_asks_by_itself(stand_in, registry):
    stand_in.publish("six")
    registry.look("pypi", "six")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if registry.look("npm", "six")["known"] is False else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert registry.look("npm", "five")["known"] is False


# -- what was seen before --------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "ledger"])
def observations(request, tmp_path) -> Iterator[Any]:
    if request.param == "memory":
        yield Remembered()
        return
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        yield ledger


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_what_was_seen_is_asked_for_again_only_when_it_is_no_longer_fresh(stand_in, observations):
    stand_in.publish("six", days_ago=10.01)
    clock = Clock()
    found = Registry(indexes=indexes(stand_in)[:1], observations=observations, clock=clock)
    first = found.look("pypi", "six")
    clock.now += timedelta(hours=23)
    assert (found.look("pypi", "six"), len(stand_in.asked)) == (first, 1)
    clock.now += timedelta(hours=2)
    found.look("pypi", "six")
    found.look("pypi", "invented")
    found.look("pypi", "invented")
    assert len(stand_in.asked) == 3
    clock.now += timedelta(minutes=11)
    found.look("pypi", "invented")
    found.close()
    assert stand_in.asked == ["/simple/six/"] * 2 + ["/simple/invented/"] * 2


def test_a_package_that_was_missing_and_is_there_now_has_appeared(stand_in, observations):
    clock = Clock()
    found = Registry(indexes=indexes(stand_in)[:1], observations=observations, clock=clock)
    assert told(found.look("pypi", "flask-gpt-helper"), "known", "appeared") == [False, False]
    stand_in.publish("flask-gpt-helper", days_ago=0)
    clock.now += timedelta(days=1)
    assert told(found.look("pypi", "flask-gpt-helper"), "known", "appeared") == [True, True]
    clock.now += timedelta(days=400)
    assert told(found.look("pypi", "flask-gpt-helper"), "known", "appeared") == [True, True]
    found.close()
    states = [
        (seen.known, seen.checked > seen.since) for seen in observations.observations(["flask-gpt-helper"])
    ]
    assert states == [(False, False), (True, True)]


def test_what_is_no_longer_fresh_is_unknown_while_the_registry_is_down(stand_in, observations):
    stand_in.publish("six")
    clock = Clock()
    found = Registry(indexes=indexes(stand_in), observations=observations, clock=clock)
    found.look("pypi", "six")
    clock.now += timedelta(days=2)
    stand_in.answer = lambda path: Answer(status=503)
    assert closing(found, "pypi", "six")["known"] is None


def test_a_later_look_is_not_undone_by_an_earlier_one_that_arrives_late(observations):
    from guardrail.registry import Observation

    def seen(second: int, *, known: bool) -> Observation:
        at = f"2026-01-01T00:00:{second:02}.000Z"
        return Observation(name="a", ecosystem="pypi", source="s", since=at, checked=at, known=known)

    for look in (seen(1, known=False), seen(5, known=True), seen(3, known=False), seen(4, known=True)):
        observations.observe([look])
    observations.observe([seen(9, known=True)])
    states = [
        (state.since[17:19], state.checked[17:19], state.known) for state in observations.observations(["a"])
    ]
    assert states == [("01", "01", False), ("05", "09", True)]


def test_processes_that_look_at_the_same_time_keep_one_history(tmp_path):
    with (
        Ledger.open(tmp_path / "l.db") as one,
        Ledger.open(tmp_path / "l.db") as two,
        RegistryStandIn() as stand_in,
    ):
        found = [Registry(indexes=indexes(stand_in)[:1], observations=ledger) for ledger in (one, two)]

        def look(registry: Registry) -> None:
            for number in range(10):
                registry.look("pypi", f"invented-{number}")

        threads = [threading.Thread(target=look, args=(registry,)) for registry in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for registry in found:
            registry.close()
        seen = one.observations([f"invented-{number}" for number in range(10)])
        assert ([state.known for state in seen], len({state.name for state in seen})) == ([False] * 10, 10)
        assert one.verify().ok


class Unwritable(Remembered):
    def observe(self, looks):
        raise LedgerUnavailable("the disk is full")


class Unreadable(Remembered):
    def observations(self, names):
        raise LedgerUnavailable("it is damaged")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (Unwritable(), "pypi: what was seen of it cannot be kept: the disk is full"),
        (Unreadable(), "pypi: what was seen of it before cannot be read: it is damaged"),
    ],
)
def test_where_what_is_seen_cannot_be_kept_nothing_exists(stand_in, broken, why):
    stand_in.publish("six")
    found = Registry(indexes=indexes(stand_in), observations=broken)
    assert told(found.look("pypi", "six"), "known", "why") == [None, why]
    assert closing(found, "pypi", "invented")["known"] is False


# -- the snapshot ----------------------------------------------------------------------------------------


def test_a_snapshot_answers_what_no_index_can(tmp_path):
    today = NOW.date()
    build(tmp_path, "pypi", ["six", "old"], day=today - timedelta(days=60), source="test")
    part = build(tmp_path, "pypi", ["six", "new", "../x"], day=today, source="test")
    found = Registry(snapshot=Snapshot.open(tmp_path))
    label = f"snapshot:{today}"
    rows = [
        told(found.look("pypi", name), "known", "registry", "age_days", "snapshot")
        for name in ("six", "new", "old", "invented")
    ]
    assert rows == [
        [True, label, 60, part.digest],
        [True, label, 0, part.digest],
        [False, label, None, part.digest],
        [False, label, None, part.digest],
    ]
    assert (part.names, Registry(snapshot=Snapshot.open(tmp_path)).look("npm", "six")["known"]) == (2, None)


def test_what_an_old_snapshot_lacks_is_unknown_and_not_missing(tmp_path):
    build(tmp_path, "pypi", ["six"], day=NOW.date() - timedelta(days=31), source="test")
    found = Registry(snapshot=Snapshot.open(tmp_path))
    assert told(found.look("pypi", "six"), "known", "age_days") == [True, 31]
    assert told(found.look("pypi", "invented"), "known", "registry") == [None, ""]
    assert "is too old to say" in found.look("pypi", "invented")["why"]
    longer = Registry(snapshot=Snapshot.open(tmp_path), freshness=Freshness(snapshot=31))
    assert longer.look("pypi", "invented")["known"] is False


def test_a_snapshot_stands_in_for_a_registry_that_is_down_and_never_contradicts_one(tmp_path, stand_in):
    build(tmp_path, "pypi", ["six", "gone"], day=NOW.date(), source="test")
    found = Registry(indexes=indexes(stand_in), snapshot=Snapshot.open(tmp_path))
    assert told(found.look("pypi", "gone"), "known", "registry") == [False, "pypi"]
    stand_in.answer = lambda path: Answer(status=503)
    assert told(closing(found, "pypi", "six"), "known", "registry") == [True, f"snapshot:{NOW.date()}"]


@pytest.mark.parametrize(
    "harm", ["{}", "[]", "null", '{"schema": 2}', "{", '{"schema": 1, "ecosystems": {"pypi": {}}}']
)
def test_a_snapshot_that_cannot_be_read_is_refused(tmp_path, harm):
    from guardrail.errors import ConfigError

    with pytest.raises(ConfigError, match="there is no snapshot"):
        Snapshot.open(tmp_path)
    (tmp_path / "snapshot.json").write_text(harm)
    with pytest.raises(ConfigError):
        Snapshot.open(tmp_path)


def test_a_trie_that_was_changed_is_refused(tmp_path):
    from guardrail.errors import ConfigError

    build(tmp_path, "pypi", ["six"], day=date(2026, 1, 1), source="test")
    (file,) = tmp_path.glob("*.trie")
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ConfigError, match="is not what its digest says"):
        Snapshot.open(tmp_path)


# -- properties ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["pypi", "npm"]),
    st.sampled_from([200, 404, 204, 301, 500]),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "meta", "api-version", "files", "versions", "time", "created", "upload-time"]),
            inner, max_size=4,
        ),
        max_leaves=8,
    ).map(lambda value: __import__("orjson").dumps(value, option=0) if _fits(value) else b"{}"),
    st.sampled_from([SIMPLE, "application/json", "", "text/html"]),
)  # fmt: skip
def test_no_answer_of_a_server_escapes_and_none_but_a_whole_one_makes_a_package_known(
    stand_in, ecosystem, status, body, media_type
):
    stand_in.answer = lambda path: Answer(status=status, body=body, media_type=media_type)
    found = Registry(indexes=indexes(stand_in), limits=Limits(failures=1000))
    fact = closing(found, ecosystem, "six")
    assert fact["known"] in {None, False} or (status == 200 and b'"six"' in body)


def _fits(value: Any) -> bool:
    try:
        __import__("orjson").dumps(value)
    except TypeError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["pypi", "npm", "conda", ""]), st.text(max_size=40))
def test_any_name_has_facts_and_the_same_ones_each_time(ecosystem, name):
    fact = {**NOT_LOOKED_UP, "ecosystem": ecosystem, "name": name, "source": "install"}
    found = Registry(clock=lambda: NOW)
    first, again = (found.look_up(Facts(packages=(fact,))) for _ in range(2))
    assert first == again
    assert first.packages[0].keys() == fact.keys()


def test_a_call_without_packages_is_handed_back_as_it_is():
    facts = Facts()
    assert Registry().look_up(facts) is facts


def test_guessed_packages_are_looked_up_too(stand_in, registry):
    guessed = {**Facts().guessed, "packages": (package("pypi", "invented", "", source="install", raw="x"),)}
    assert registry.look_up(replace(Facts(), guessed=guessed)).guessed["packages"][0]["known"] is False
