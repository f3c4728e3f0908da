"""Names are looked up last, what they lead to is judged and recorded, and what cannot be looked up is said."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail import Denied, Guardrail
from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.connecting import JudgedTransport
from guardrail.facts import Facts, extract
from guardrail.names import MOST, Names
from guardrail.policy import PolicyInput
from guardrail.rego import RegoPolicy
from guardrail.testing import ScriptedApprover, ScriptedPolicy

WEB = {"api.example.com": ["93.184.216.34", "2606:2800:220:1::1"], "inside.example.com": ["10.0.0.7"]}
PUBLIC = [
    {"address": "93.184.216.34", "class": "global"},
    {"address": "2606:2800:220:1::1", "class": "global"},
]


class NameService:
    """A name service at the edge of the world; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in WEB:
            raise OSError("no such name")
        return WEB[host]


@pytest.fixture(name="service")
def _service() -> NameService:
    return NameService()


def url(host: str, nature: str = "name") -> dict[str, Any]:
    return {"host": host, "address_class": nature, "addresses": (), "resolution": "unasked", "why": ""}


def found(*addresses: dict[str, str]) -> dict[str, Any]:
    return {"addresses": list(addresses), "resolution": "found", "why": ""}


def failed(why: str) -> dict[str, Any]:
    return {"addresses": [], "resolution": "failed", "why": why}


def call(arguments: dict[str, Any], *, kinds: dict[str, Any] | None = None) -> Call:
    tool = Tool(name="get", server="web", effect="read", kinds={"url": "url"} if kinds is None else kinds)
    return Call.of(arguments, run="r", id="1", tool=tool, agent=Agent(id="a", chain=("a",)))


# --- the look-up --------------------------------------------------------------------------------------


def test_every_name_is_looked_up_once_and_addresses_never(service: NameService):
    api, near = url("api.example.com"), url("inside.example.com")
    address, gone = url("10.0.0.1", "private"), url("gone.example.com")
    facts = Facts(
        urls=(api, address, api), guessed={**Facts().guessed, "urls": (near, gone, url("::1", "loopback"))}
    )
    told = Names(timeout=5, resolve=service).look_up(facts)
    assert sorted(service.asked) == ["api.example.com", "gone.example.com", "inside.example.com"]
    assert told.urls == (api | found(*PUBLIC), address, api | found(*PUBLIC))
    assert told.guessed["urls"] == (
        near | found({"address": "10.0.0.7", "class": "private"}),
        gone | failed("no such name"),
        url("::1", "loopback"),
    )


def test_without_a_timeout_nothing_is_looked_up(service: NameService):
    names, facts = Names(resolve=service), Facts(urls=(url("api.example.com"),))
    assert (names.are_due(facts), names.look_up(facts), service.asked) == (False, facts, [])


def test_the_system_is_asked_where_nothing_else_is_said():
    (told,) = Names(timeout=10).look_up(Facts(urls=(url("localhost", "loopback"),))).urls
    assert told["resolution"] == "found"
    assert {one["class"] for one in told["addresses"]} == {"loopback"}


def test_a_name_that_leads_nowhere_is_failed():
    (told,) = Names(timeout=5, resolve=lambda host, port: []).look_up(Facts(urls=(url("a.example"),))).urls
    assert told == url("a.example") | failed("it leads nowhere")


def test_a_name_service_that_does_not_answer_is_not_waited_for(service: NameService):
    let_go = threading.Event()

    def slow(host: str, port: int) -> Sequence[str]:
        if host == "slow.example.com":
            let_go.wait()
        return service(host, port)

    facts = Facts(urls=(url("slow.example.com"), url("api.example.com")))
    begun = time.monotonic()
    told = Names(timeout=0.3, resolve=slow).look_up(facts).urls
    took = time.monotonic() - begun
    let_go.set()
    assert [fact["why"] for fact in told] == ["no answer in time", ""]
    assert took < 10


def test_more_names_than_one_call_may_need_are_failed(service: NameService):
    facts = Facts(urls=tuple(url(f"n{number}.example.com") for number in range(MOST + 1)))
    told = Names(timeout=5, resolve=service).look_up(facts).urls
    assert {fact["why"] for fact in told[:MOST]} == {"no such name"}
    assert told[MOST] == url(f"n{MOST}.example.com") | failed(
        f"one call may need {MOST} names, and this one needs more"
    )
    assert len(service.asked) == MOST


# --- the line -----------------------------------------------------------------------------------------

GuardThat = Callable[[Any], Guardrail]


@pytest.fixture(name="guard_that")
def _guard_that(tmp_path: Path, service: NameService) -> Iterator[GuardThat]:
    made: list[Guardrail] = []

    def make(policy: Any) -> Guardrail:
        script = ScriptedPolicy(policy) if isinstance(policy, str) or callable(policy) else policy
        names = Names(timeout=5, resolve=service)
        made.append(Guardrail(policy=script, ledger=tmp_path / f"{len(made)}.db", names=names))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


def egress() -> RegoPolicy:
    allow = (
        'package guardrail.rules.all\n\nallow contains {"rule": "all", "message": "fine"} if '
        'input.point == "action"\n'
    )
    return RegoPolicy(Bundle.join(Bundle.shipped(["egress"]), Bundle.of({"all.rego": allow})))


def fetch(url: str) -> str:
    return f"fetched {url}"


def given_of(guard: Guardrail, kind: str) -> list[Any]:
    return [record.as_json()["detail"]["given"]["facts"]["urls"] for record in guard.ledger.records()
            if record.kind == kind]  # fmt: skip


def test_what_a_name_leads_to_is_judged_and_recorded(guard_that: GuardThat, service: NameService):
    guard = guard_that(egress())
    get = guard.tool(fetch, agent="a", effect="read", kinds={"url": "url"})
    assert get("https://api.example.com/") == "fetched https://api.example.com/"
    with pytest.raises(
        Denied, match=r"inside\.example\.com leads to 10\.0\.0\.7, which is not on the public"
    ):
        get("https://inside.example.com/")
    with pytest.raises(Denied, match=r"where gone\.example\.com leads could not be found out: no such name"):
        get("https://gone.example.com/")
    [[admitted]] = given_of(guard, "admitted")
    assert (admitted["resolution"], admitted["addresses"]) == ("found", PUBLIC)
    assert [[fact["resolution"] for fact in facts] for facts in given_of(guard, "denied")] == [
        ["found"],
        ["failed"],
    ]


def test_nobody_is_told_of_a_name_in_a_call_that_is_refused_anyhow(
    guard_that: GuardThat, service: NameService
):
    get = guard_that("deny").tool(fetch, agent="a", kinds={"url": "url"})
    with pytest.raises(Denied):
        get("https://what-was-read.example.com/")
    assert service.asked == []


def test_a_name_that_people_are_asked_about_is_looked_up_once_they_said_yes(
    guard_that: GuardThat, service: NameService
):
    def policy(given: PolicyInput) -> Any:
        (fact,) = given.facts.urls
        near = [one for one in fact["addresses"] if one["class"] != "global"]
        return "deny" if near else "ask"

    guard, asked_before = guard_that(policy), list[list[str]]()

    def approve(_: Any) -> Any:
        asked_before.append(list(service.asked))
        return "approve"

    get = guard.tool(fetch, agent="a", kinds={"url": "url"})
    with ScriptedApprover(guard.ledger, approve):
        assert get("https://api.example.com/") == "fetched https://api.example.com/"
        with pytest.raises(Denied):
            get("https://inside.example.com/")
    assert asked_before == [[], ["api.example.com"]]
    assert service.asked == ["api.example.com", "inside.example.com"]


def test_a_decision_that_nothing_follows_looks_names_up_as_well(guard_that: GuardThat, service: NameService):
    guard = guard_that(egress())
    assert guard.decide(call({"url": "https://inside.example.com/"})).effect == "deny"
    assert service.asked == ["inside.example.com"]


def test_an_event_loop_goes_on_while_a_name_is_looked_up(tmp_path: Path):
    turns, let_go = list[float](), threading.Event()

    def slow(host: str, port: int) -> Sequence[str]:
        let_go.wait(10)
        return ["93.184.216.34"]

    async def get(url: str) -> str:
        return fetch(url)

    async def turning() -> None:
        for turn in range(5):
            await asyncio.sleep(0)
            turns.append(turn)
        let_go.set()

    async def both(guard: Guardrail) -> str:
        said, _ = await asyncio.gather(
            guard.tool(get, agent="a", kinds={"url": "url"})("https://api.example.com/"), turning()
        )
        return said

    names = Names(timeout=10, resolve=slow)
    with Guardrail(policy=ScriptedPolicy("allow"), ledger=tmp_path / "l.db", names=names) as guard:
        assert asyncio.run(both(guard)) == "fetched https://api.example.com/"
    assert len(turns) == 5


def test_the_transport_connects_to_what_was_judged_and_looks_nothing_up_again(
    guard_that: GuardThat, service: NameService
):
    reached: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        reached.append(request.url.host)
        return httpx.Response(200)

    def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(f"{host} was looked up again")

    def get(url: str) -> int:
        transport = JudgedTransport(resolve=never, inner=httpx.MockTransport(answer))
        with httpx.Client(transport=transport) as client:
            return client.get(url).status_code

    guarded = guard_that("allow").tool(get, agent="a", kinds={"url": "url"})
    assert (guarded("https://api.example.com/"), reached, service.asked) == (
        200, ["93.184.216.34"], ["api.example.com"],
    )  # fmt: skip


def test_a_call_without_a_url_asks_nobody(service: NameService):
    names = Names(timeout=5, resolve=service)
    plain = call({"to": "bob"}, kinds={})
    assert (names.may_ask(plain), names.are_due(Facts())) == (False, False)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://api.example.com/", None),
        ("http:/api.example.com/", None),
        ("http:\\\\api.example.com", None),
        ("https://api.example.com/", "recipient"),
        ("www.example.com", "url"),
    ],
)
def test_whoever_may_have_to_wait_is_known_beforehand(text: str, kind: Any):
    """Else an event loop would stand still while a name is looked up."""
    asked = call({"to": text}, kinds={} if kind is None else {"to": kind})
    names = Names(timeout=5)
    assert names.are_due(extract(asked, roots={}))
    assert names.may_ask(asked)
