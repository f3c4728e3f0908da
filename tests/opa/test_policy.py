"""What an OPA server answers, and whatever else it does: read, or refused with its own reason code."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import orjson
import pytest

from guardrail.bundles import Bundle
from guardrail.decisions import Answered, Decision, Reason
from guardrail.errors import ConfigError
from guardrail.opa import OpaPolicy, Server
from guardrail.opa.pause import Pause
from guardrail.opa.process import Process
from guardrail.opa.testing import HOLD, Asked, StandIn, decided, packed, reply
from guardrail.policy import PolicyInput
from tests.opa.conftest import BUNDLE, given

Ask = Callable[[OpaPolicy, PolicyInput], Decision]
ALLOW = {"allow": [{"rule": "r", "message": "m"}]}


def blocking(policy: OpaPolicy, asked: PolicyInput) -> Decision:
    return policy.decide(asked)


def awaited(policy: OpaPolicy, asked: PolicyInput) -> Decision:
    return asyncio.run(policy.decide_async(asked))


@pytest.fixture(name="ask", params=[blocking, awaited], ids=lambda way: way.__name__)
def _ask(request: pytest.FixtureRequest) -> Ask:
    way: Ask = request.param
    return way


@pytest.fixture(name="stand_in")
def _stand_in() -> Iterator[StandIn]:
    with StandIn(lambda _: decided(ALLOW)) as stand_in:
        yield stand_in


def code(decision: Decision) -> str:
    (reason,) = decision.reasons
    return reason.code


def test_it_decides_by_what_the_server_answers(policy: OpaPolicy, ask: Ask):
    decision = ask(policy, given(5))
    (answered,) = decision.answered
    assert decision == Decision(
        effect="allow",
        reasons=(Reason(rule="pay.small", message="a small payment"),),
        revision=policy.revision,
        answered=(Answered(by="opa", bundles=answered.bundles, bundle="same"),),
    )
    assert list(answered.bundles.values()) == [BUNDLE.revision]
    assert ask(policy, given(500)).reasons == (Reason(rule="pay.large", message="500 is too much"),)
    assert code(ask(policy, given("5"))) == "policy.silent"


def test_what_a_policy_raises_is_a_deny_in_the_words_of_the_server(policy: OpaPolicy, ask: Ask):
    decision = ask(policy, given(13))
    (reason,) = decision.reasons
    assert (decision.effect, reason.code) == ("deny", "policy.error")
    assert 'pay.rego:18: to_number: strconv.ParseFloat: parsing "thirteen": invalid syntax' in reason.message


def test_a_server_without_policies_is_a_deny(opa: None, ask: Ask):
    with Process() as process, closing(OpaPolicy(Server(url=process.url, timeout=20))) as policy:
        assert code(ask(policy, given())) == "policy.undefined"


def test_the_decision_id_of_the_server_is_kept(opa: None, ask: Ask):
    with (
        Process(BUNDLE, options=["--set", "decision_logs.console=true"]) as process,
        closing(OpaPolicy(Server(url=process.url, timeout=20))) as policy,
    ):
        first, second = (ask(policy, given()).answered[0].decision_id for _ in range(2))
    assert len(first) == len(second) == 36
    assert first != second


ANSWERS: dict[str, tuple[bytes | None, str]] = {
    "nothing": (None, "policy.timeout"),
    "no result": (reply(b"{}"), "policy.undefined"),
    "a result of another type": (decided(True), "policy.malformed"),
    "an unknown field": (decided({**ALLOW, "allowed": True}), "policy.malformed"),
    "null": (decided(None), "policy.malformed"),
    "an empty result": (decided({}), "policy.silent"),
    "a list": (reply(b"[]"), "policy.malformed"),
    "nested without end": (reply(b'{"result": ' + b"[" * 400 + b"]" * 400 + b"}"), "policy.malformed"),
    "a text": (reply(b'"allow"'), "policy.malformed"),
    "half of an object": (reply(b'{"result": {"allow": ['), "policy.malformed"),
    "NaN": (reply(b'{"result": NaN}'), "policy.malformed"),
    "a page": (reply(b"<html>", headers={"Content-Type": "text/html"}), "policy.malformed"),
    "no bytes": (reply(b""), "policy.malformed"),
    "no HTTP": (b"\x00\xffallow\r\n\r\n", "policy.malformed"),
    "no content": (reply(b"", status="204 No Content"), "policy.refused"),
    "less than it says": (
        reply(b'{"result"', headers={"Connection": "close"}, length=5000),
        "policy.unreachable",
    ),
    "a large answer": (decided({"allow": [{"rule": "r", "message": "m" * 5000}]}), "policy.oversized"),
    "a large answer in a small parcel": (
        packed(b'{"result": "' + b"0" * 5_000_000 + b'"}'),
        "policy.oversized",
    ),
    "a parcel that does not open": (reply(b"xx", headers={"Content-Encoding": "gzip"}), "policy.unreachable"),
    "unauthorized": (
        reply(b'{"code":"unauthorized","message":"who are you"}', status="401 No"),
        "policy.refused",
    ),
    "not found": (reply(b"", status="404 Not Found"), "policy.refused"),
    "unavailable": (reply(b"busy", status="503 Busy"), "policy.refused"),
    "an error": (
        reply(b'{"code":"internal_error","message":"disk on fire"}', status="500 No"),
        "policy.refused",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_is_a_deny_with_its_own_reason(name: str, ask: Ask, stand_in: StandIn):
    answer, expected = ANSWERS[name]
    stand_in.answer = lambda _: answer
    server = Server(url=stand_in.url, timeout=0.5 if answer is None else 20, max_answer=4_000)
    with closing(OpaPolicy(server)) as policy:
        decision = ask(policy, given())
    assert (decision.effect, code(decision), decision.revision) == ("deny", expected, policy.revision)


def test_the_words_of_the_server_are_told(stand_in: StandIn, ask: Ask):
    stand_in.answer = lambda _: ANSWERS["an error"][0]
    with closing(OpaPolicy(Server(url=stand_in.url))) as policy:
        (reason,) = ask(policy, given()).reasons
    assert reason.message == f"the OPA server at {stand_in.url} refuses to answer (status 500): disk on fire"


def test_a_server_that_dribbles_is_cut_off_at_the_deadline(stand_in: StandIn, ask: Ask):
    endless = reply(b'{"result": {', length=1_000_000)
    stand_in.answer = lambda _: endless
    with closing(OpaPolicy(Server(url=stand_in.url, timeout=0.5))) as policy:
        assert code(ask(policy, given())) == "policy.timeout"


def test_a_redirect_is_not_followed(stand_in: StandIn, ask: Ask):
    with StandIn(lambda _: reply(b"", status="307 There", headers={"Location": stand_in.url})) as elsewhere:
        with closing(OpaPolicy(Server(url=elsewhere.url))) as policy:
            assert code(ask(policy, given())) == "policy.redirected"
    assert (len(elsewhere.asked), stand_in.asked) == (1, [])


def test_every_question_is_strict_and_has_the_whole_input(stand_in: StandIn, ask: Ask):
    asked = given("ü\u2028", note="x")
    with closing(OpaPolicy(Server(url=stand_in.url))) as policy:
        assert ask(policy, asked).effect == "allow"
    (request,) = stand_in.asked
    assert request.target == "/v1/data/guardrail/decision?strict-builtin-errors=true&provenance=true"
    assert orjson.loads(request.body) == {"input": orjson.loads(asked.json)}
    assert "authorization" not in request.headers


def test_the_token_is_sent_and_never_shown(stand_in: StandIn, ask: Ask):
    stand_in.answer = lambda _: ANSWERS["unauthorized"][0]
    server = Server(url=stand_in.url, token="s3cret-token")
    with closing(OpaPolicy(server)) as policy:
        decision = ask(policy, given())
    assert stand_in.asked[0].headers["authorization"] == "Bearer s3cret-token"
    assert "s3cret" not in f"{server!r} {decision!r} {policy.bundle!r}"


def test_a_token_is_read_anew_once_it_is_taken_no_longer(stand_in: StandIn, ask: Ask):
    valid = "first"

    def answer(asked: Asked) -> bytes:
        fits = asked.headers["authorization"] == f"Bearer {valid}"
        return decided(ALLOW) if fits else ANSWERS["unauthorized"][0]

    stand_in.answer = answer
    server = Server(url=stand_in.url, token="first", renewal=lambda: valid)
    with closing(OpaPolicy(server)) as policy:
        assert ask(policy, given()).effect == "allow"
        valid = "second"
        assert [ask(policy, given()).effect for _ in range(2)] == ["allow"] * 2
        sent = [asked.headers["authorization"] for asked in stand_in.asked[:3]]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


def test_where_no_other_token_is_to_be_had_the_server_is_asked_once(stand_in: StandIn, ask: Ask):
    stand_in.answer = lambda _: ANSWERS["unauthorized"][0]
    with closing(OpaPolicy(Server(url=stand_in.url, token="first", renewal=lambda: "first"))) as policy:
        assert code(ask(policy, given())) == "policy.refused"
    assert len(stand_in.asked) == 1


@pytest.mark.parametrize("gone", ["", "two\nlines"])
def test_a_token_that_cannot_be_read_anew_is_a_deny_that_says_so(stand_in: StandIn, ask: Ask, gone: str):
    def renewal() -> str:
        if not gone:
            raise ConfigError("the file token is empty")
        return gone

    stand_in.answer = lambda _: ANSWERS["unauthorized"][0]
    with closing(OpaPolicy(Server(url=stand_in.url, token="first", renewal=renewal))) as policy:
        (reason,) = ask(policy, given()).reasons
    assert reason.code == "policy.refused"
    assert "refuses the token (status 401), and no new one can be read: the " in reason.message


def test_no_proxy_of_the_environment_sees_anything(
    stand_in: StandIn, ask: Ask, monkeypatch: pytest.MonkeyPatch
):
    with StandIn(lambda _: decided(ALLOW)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with closing(OpaPolicy(Server(url=stand_in.url))) as policy:
            assert ask(policy, given()).effect == "allow"
    assert (len(stand_in.asked), proxy.asked) == (1, [])


def test_an_input_that_is_too_large_is_not_sent(stand_in: StandIn, ask: Ask):
    with closing(OpaPolicy(Server(url=stand_in.url), max_input=2_000)) as policy:
        assert code(ask(policy, given("x" * 2_000))) == "policy.error"
    assert stand_in.asked == []


@pytest.mark.parametrize(("dropped", "expected"), [(1, ["allow"] * 3), (2, ["allow", "deny", "allow"])])
def test_a_question_whose_connection_drops_is_asked_once_more(
    stand_in: StandIn, ask: Ask, dropped: int, expected: list[str]
):
    answers = [decided(ALLOW), *[b""] * dropped, decided(ALLOW), decided(ALLOW)]
    stand_in.answer = lambda _: answers[len(stand_in.asked) - 1]
    with closing(OpaPolicy(Server(url=stand_in.url, timeout=20))) as policy:
        assert [ask(policy, given()).effect for _ in range(3)] == expected


def test_after_failures_in_a_row_the_server_is_left_alone_and_then_probed(ask: Ask):
    with (
        StandIn(HOLD) as stand_in,
        closing(OpaPolicy(Server(url=stand_in.url, timeout=0.2), failures=2, pause=3600)) as policy,
    ):
        codes = [code(ask(policy, given())) for _ in range(5)]
    assert codes == ["policy.timeout"] * 2 + ["policy.unreachable"] * 3
    assert len(stand_in.asked) == 2


def test_whoever_still_asks_when_it_is_closed_gets_a_deny():
    with StandIn(HOLD) as stand_in, ThreadPoolExecutor(4) as threads:
        policy = OpaPolicy(Server(url=stand_in.url, timeout=60))
        asking = [threads.submit(policy.decide, given()) for _ in range(4)]
        while len(stand_in.asked) < 4:
            threading.Event().wait(0.01)
        policy.close()
        decisions = [asked.result() for asked in asking]
        decisions += [blocking(policy, given()), awaited(policy, given())]
    assert [(decision.effect, code(decision)) for decision in decisions] == [
        ("deny", "policy.unreachable")
    ] * 6
    assert {decision.reasons[0].message for decision in decisions} == {"the policy is closed"}
    assert "guardrail-opa" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_while_somebody_counts_a_failure_is_not_held_up():
    pause = Pause(failures=1, seconds=3600)
    with pause._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # it would wait for ever
            os._exit(pause.holds())
    assert os.waitpid(child, 0)[1] == 0


def test_the_pause_ends_with_one_probe():
    now = 0.0
    pause = Pause(failures=2, seconds=10, clock=lambda: now)
    pause.failed()
    assert not pause.holds()
    pause.failed()
    assert pause.holds()
    now = 10.0
    assert [pause.holds() for _ in range(3)] == [False, True, True]  # one caller tries
    pause.failed()
    now = 19.9
    assert pause.holds()
    now = 20.0
    assert not pause.holds()
    pause.succeeded()
    assert [pause.holds() for _ in range(3)] == [False] * 3


def test_without_failures_to_count_there_is_no_pause():
    pause = Pause(failures=0, seconds=10)
    for _ in range(10):
        pause.failed()
    assert not pause.holds()


@pytest.mark.parametrize(
    "url",
    [
        "opa:8181", "ftp://opa:8181", "http://", "http://opa/v1", "http://opa:8181/?x=1", "http://opa#x", "http://o pa",
        "http://u:p@opa:8181", "http://opa:99999", "http://öpa:8181", "http://[::1", "",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(ConfigError) as caught:
        Server(url=url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    ["", "decision", "guardrail..x", "../x.y", "a/b.c", "a.b?c=1", "a.b c", "guardrail.é", "a.b\n", "1a.b"],
)
def test_what_is_no_path_of_a_rule_is_refused(entry: str):
    with pytest.raises(ConfigError):
        Server(url="http://opa:8181", entry=entry)


@pytest.mark.parametrize(
    ("url", "token", "fine"),
    [
        ("http://opa:8181", "s3cret", False), ("https://opa:8181", "t", True), ("http://127.0.0.1:8181", "t", True),
        ("http://localhost:8181", "t", True), ("https://opa", "t\r\nX: y", False), ("https://opa", "tökén", False),
    ],
)  # fmt: skip
def test_a_token_goes_nowhere_in_the_clear(url: str, token: str, fine: bool):
    if fine:
        assert Server(url=url, token=token).token == token
        return
    with pytest.raises(ConfigError) as caught:
        Server(url=url, token=token)
    assert token not in str(caught.value)


def test_a_closed_policy_denies(stand_in: StandIn, ask: Ask):
    policy = OpaPolicy(Server(url=stand_in.url))
    policy.close()
    assert code(ask(policy, given())) == "policy.unreachable"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_asks_over_connections_of_its_own(stand_in: StandIn):
    with closing(OpaPolicy(Server(url=stand_in.url, timeout=20))) as policy:
        assert policy.decide(given()).effect == "allow"
        child = os.fork()
        if not child:
            os._exit(0 if policy.decide(given()).effect == "allow" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert policy.decide(given()).effect == "allow"
    assert len(stand_in.asked) == 3


def test_many_callers_of_one_loop_share_a_pool(stand_in: StandIn):
    async def all_at_once(policy: OpaPolicy) -> list[str]:
        decisions = await asyncio.gather(*(policy.decide_async(given()) for _ in range(50)))
        return [decision.effect for decision in decisions]

    with closing(OpaPolicy(Server(url=stand_in.url, timeout=60, connections=4))) as policy:
        assert asyncio.run(all_at_once(policy)) == ["allow"] * 50


# --- the fallback ---------------------------------------------------------------------------------------


NOBODY = (Answered(by="nobody", why="policy.refused"),)
OTHER = Bundle.of(
    {"other.rego": 'package guardrail.rules.o\n\nallow contains {"rule": "o", "message": "o"}\n'}
)


def stated(bundle: Bundle | None) -> Any:
    return {} if bundle is None else {"provenance": {"bundles": {"b": {"revision": bundle.revision}}}}


@pytest.mark.parametrize(
    ("server_has", "bundle", "effect"),
    [(BUNDLE, "same", "allow"), (None, "unknown", "allow"), (OTHER, "other", "deny")],
)
def test_the_embedded_fallback_decides_with_the_same_bundle_only(
    stand_in: StandIn, ask: Ask, server_has: Bundle | None, bundle: str, effect: str
):
    stand_in.answer = lambda _: decided(ALLOW, **stated(server_has))
    with closing(OpaPolicy(Server(url=stand_in.url), bundle=BUNDLE, fallback="embedded")) as policy:
        assert ask(policy, given(500)).answered[0].bundle == bundle
        stand_in.answer = lambda _: ANSWERS["unavailable"][0]
        decision = ask(policy, given(5))
        assert (decision.effect, decision.revision) == (effect, policy.revision)
        if effect == "deny":
            assert (code(decision), decision.answered) == ("policy.refused", NOBODY)
            assert "another one" in decision.reasons[0].message
            return
        (answered,) = decision.answered
        assert (answered.by, answered.bundle) == ("embedded", bundle)
        assert answered.why.startswith("policy.refused: the OPA server at ")
        assert ask(policy, given(500)).effect == "deny"


def test_what_a_policy_raises_is_no_reason_to_ask_another_back_end(opa: None, server: Process, ask: Ask):
    with closing(OpaPolicy(Server(url=server.url, timeout=20), bundle=BUNDLE, fallback="embedded")) as policy:
        decision = ask(policy, given(13))
    assert (code(decision), decision.answered) == (
        "policy.error",
        (Answered(by="nobody", why="policy.error"),),
    )


def test_a_fallback_without_a_bundle_is_refused():
    with pytest.raises(ConfigError, match="needs a bundle"):
        OpaPolicy(Server(url="http://127.0.0.1:1"), fallback="embedded")


def test_the_revision_names_what_is_known_of_what_decides():
    def revision(url: str = "http://127.0.0.1:1", bundle: Bundle | None = None, **more: Any) -> str:
        with closing(OpaPolicy(Server(url=url), bundle=bundle, **more)) as policy:
            return policy.revision

    known = [
        revision(), revision("http://127.0.0.1:2"), revision(bundle=BUNDLE), revision(bundle=OTHER),
        revision(bundle=BUNDLE, fallback="embedded"), revision(observe=["r"]),
    ]  # fmt: skip
    assert len(set(known)) == len(known)
    assert revision() == known[0]
