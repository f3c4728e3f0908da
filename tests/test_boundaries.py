"""An agent acts within its boundary and within those of everyone it acts for, or not at all."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.boundaries import Boundaries, Boundary, Money
from guardrail.budgets import Reservation
from guardrail.calls import Agent, Call, Tool
from guardrail.decisions import Decision, Reason
from guardrail.errors import ConfigError, PolicyError
from guardrail.facts import extract
from guardrail.policy import PolicyInput, RunState

NOW = "2026-01-30T12:00:00Z"  # a Friday
PAY = Tool(name="pay", server="bank")
WITHIN = Reason(rule="boundary.within", message="within the boundaries of every agent of the chain")


def call(
    arguments: dict[str, Any] | None = None, *, chain: tuple[str, ...] = ("payer",), tool: Tool = PAY
) -> Call:
    return Call.of(arguments or {}, run="run-1", id="1", tool=tool, agent=Agent(id=chain[-1], chain=chain))


def judged(
    boundaries: Boundaries, attempted: Call, *, now: str = NOW, folder: Path | None = None
) -> Decision:
    facts = extract(attempted, roots=boundaries.roots(attempted.agent.chain), folder=folder)
    return boundaries.decide(
        PolicyInput(call=attempted, facts=facts, run=RunState(id="run-1", started=NOW), now=now)
    )


def verdict(boundaries: Boundaries, attempted: Call, **given: Any) -> list[tuple[str, str, str | None]]:
    """Limit, message and fix of every violation; empty = allowed."""
    decision = judged(boundaries, attempted, **given)
    assert decision.revision == boundaries.revision
    if decision.effect == "allow":
        assert decision == Decision(effect="allow", reasons=(WITHIN,), revision=boundaries.revision)
        return []
    assert {reason.code for reason in decision.reasons} == {"boundary"}
    return [
        (reason.rule.removeprefix("boundary."), reason.message, reason.fix) for reason in decision.reasons
    ]


def limits(boundaries: Boundaries, attempted: Call, **given: Any) -> list[str]:
    return [limit for limit, _, _ in verdict(boundaries, attempted, **given)]


# --- agents and tools ---------------------------------------------------------------------------------


def test_an_agent_without_a_boundary_may_do_nothing():
    assert verdict(Boundaries({}), call()) == [
        (
            "agent",
            "agent 'payer' has no boundary, so it may do nothing",
            "ask an operator to declare what agent 'payer' may do",
        )
    ]


def test_a_declared_tool_may_be_used_and_no_other():
    boundaries = Boundaries({"payer": Boundary(tools=("bank/pay", "read"))})
    assert verdict(boundaries, call()) == []
    assert verdict(boundaries, call(tool=Tool(name="read"))) == []
    assert verdict(boundaries, call(tool=Tool(name="pay"))) == [
        ("tools", "agent 'payer' may not use local/pay", "use one of: bank/pay, read")
    ]


def test_an_empty_boundary_allows_nothing():
    assert verdict(Boundaries({"payer": Boundary()}), call()) == [
        ("tools", "agent 'payer' may not use bank/pay", "use one of: none")
    ]


# --- delegation ---------------------------------------------------------------------------------------


def chained(**supervisor: Any) -> Boundaries:
    return Boundaries(
        {
            "supervisor": Boundary(**({"delegates": ("payer",), "delegate_tools": ("bank/*",)} | supervisor)),
            "payer": Boundary(tools=("bank/pay",)),
        }
    )


DELEGATED = ("supervisor", "payer")


def test_a_right_may_be_held_for_delegation_only():
    assert verdict(chained(), call(chain=DELEGATED)) == []
    assert verdict(chained(), call(chain=("supervisor",))) == [
        ("tools", "agent 'supervisor' may delegate bank/pay, and not use it", "delegate it to one of: payer")
    ]


def test_a_right_to_use_may_be_delegated():
    assert verdict(chained(tools=("bank/pay",), delegate_tools=()), call(chain=DELEGATED)) == []


def test_nobody_passes_on_what_he_does_not_hold():
    assert verdict(chained(delegate_tools=("bank/read",)), call(chain=DELEGATED)) == [
        (
            "tools",
            "agent 'supervisor', for whom this is done, may neither use nor delegate bank/pay",
            "use one of: bank/read",
        )
    ]


def test_who_may_be_delegated_to_is_declared():
    assert verdict(chained(delegates=("reader",)), call(chain=DELEGATED)) == [
        ("delegates", "agent 'supervisor' may not delegate to agent 'payer'", "delegate to one of: reader")
    ]


def test_an_agent_above_without_a_boundary_stops_the_call():
    boundaries = Boundaries({"payer": Boundary(tools=("bank/pay",))})
    assert limits(boundaries, call(chain=DELEGATED)) == ["agent"]


@pytest.mark.parametrize(("depth", "expected"), [(0, ["depth"]), (1, ["depth"]), (2, []), (3, [])])
def test_delegation_goes_as_deep_as_declared(depth: int, expected: list[str]):
    boundaries = Boundaries(
        {
            "a": Boundary(delegates=("b",), delegate_tools=("bank/pay",), depth=depth),
            "b": Boundary(delegates=("c",), delegate_tools=("bank/pay",)),
            "c": Boundary(tools=("bank/pay",)),
        }
    )
    assert limits(boundaries, call(chain=("a", "b", "c"))) == expected


def test_an_agent_that_comes_back_to_itself_is_held_to_use():
    boundaries = Boundaries(
        {
            "a": Boundary(delegates=("b",), delegate_tools=("bank/pay",), depth=2),
            "b": Boundary(delegates=("a",), tools=("bank/pay",)),
        }
    )
    assert limits(boundaries, call(chain=("a", "b"))) == []
    assert limits(boundaries, call(chain=("a", "b", "a"))) == ["tools"]


# --- paths --------------------------------------------------------------------------------------------

READ = Tool(name="read", kinds={"path": "path"})


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Path:
    folder = tmp_path.resolve()
    (folder / "app").mkdir()
    (folder / "app2").mkdir()
    (folder / "app/out").symlink_to("../app2")
    return folder


def reader(**boundary: Any) -> Boundaries:
    return Boundaries({"reader": Boundary(tools=("read",), **boundary)})


def reading(path: Any, *, chain: tuple[str, ...] = ("reader",)) -> Call:
    return call({"path": path}, chain=chain, tool=READ)


def test_a_path_has_to_lead_into_a_root(here: Path):
    boundaries = reader(paths={"app": here / "app"})
    for text in ("app", "app/new.txt", f"{here}/app/a/b", None, []):
        assert verdict(boundaries, reading(text), folder=here) == []
    outside = (
        "paths",
        "the path in /path is outside the paths of agent 'reader'",
        "use a plain path inside one of: app",
    )
    for text in ("app2/x", "app/../x", "app/out/x", "/etc/passwd", "."):
        assert verdict(boundaries, reading(text), folder=here) == [outside]


def test_every_path_of_a_list_has_to(here: Path):
    boundaries = reader(paths={"app": here / "app"})
    assert [
        message for _, message, _ in verdict(boundaries, reading(["app/a", "x", "app/b", "y"]), folder=here)
    ] == [
        "the path in /path/1 is outside the paths of agent 'reader'",
        "the path in /path/3 is outside the paths of agent 'reader'",
    ]


def test_a_path_that_is_not_understood_is_outside(here: Path):
    why = "it holds a variable, which some programs expand and others do not"
    assert verdict(reader(paths={"app": here / "app"}), reading("app/$HOME"), folder=here) == [
        (
            "paths",
            f"the path in /path is not accepted: {why}",
            "use a plain path inside one of: app",
        )
    ]


def test_an_agent_without_declared_paths_may_use_none(here: Path):
    assert limits(reader(), reading("app/x"), folder=here) == ["paths"]
    assert limits(reader(), reading("~"), folder=here) == ["paths"]
    assert limits(reader(paths={}), reading("app/x"), folder=here) == ["paths"]


def test_paths_of_an_agent_above_hold_where_it_declares_them(here: Path):
    def with_above(**above: Any) -> Boundaries:
        shared = {"delegates": ("reader",), "delegate_tools": ("read",)}
        return Boundaries(
            {"boss": Boundary(**shared, **above), "reader": Boundary(tools=("read",), paths={"all": here})}
        )

    below = reading("app2/x", chain=("boss", "reader"))
    assert limits(with_above(), below, folder=here) == []
    assert limits(with_above(paths={"app2": here / "app2"}), below, folder=here) == []
    assert verdict(with_above(paths={"app": here / "app"}), below, folder=here) == [
        (
            "paths",
            "the path in /path is outside the paths of agent 'boss'",
            "use a plain path inside one of: app",
        )
    ]
    assert limits(with_above(paths={}), below, folder=here) == ["paths"]


def test_a_root_is_the_folder_that_it_led_to_when_it_was_declared(here: Path):
    (here / "root").symlink_to("app")
    boundaries = reader(paths={"root": here / "root"})
    assert boundaries.roots(("reader",)) == {"root": here / "app"}
    assert limits(boundaries, reading("root/x"), folder=here) == []
    (here / "root").unlink()
    (here / "root").symlink_to("app2")
    assert limits(boundaries, reading("root/x"), folder=here) == ["paths"]


def test_a_root_that_appears_later_as_a_link_is_no_way_out(here: Path):
    boundaries = reader(paths={"new": here / "app/new"})
    (here / "app/new").symlink_to("/etc")
    assert limits(boundaries, reading("app/new/passwd"), folder=here) == ["paths"]


def test_roots_are_those_of_the_acting_agent(here: Path):
    boundaries = Boundaries({"a": Boundary(paths={"x": here}), "b": Boundary()})
    assert [boundaries.roots(chain) for chain in (("b", "a"), ("a", "b"), ("nobody",))] == [
        {"x": here},
        {},
        {},
    ]


# --- hosts --------------------------------------------------------------------------------------------

FETCH = Tool(name="fetch", kinds={"url": "url"})


def fetching(url: Any) -> Call:
    return call({"url": url}, chain=("fetcher",), tool=FETCH)


def fetcher(*hosts: str) -> Boundaries:
    return Boundaries({"fetcher": Boundary(tools=("fetch",), hosts=hosts)})


def test_a_url_has_to_lead_to_a_declared_host():
    boundaries = fetcher("api.example.com", "*.example.org", "localhost:8000")
    for text in ("https://api.example.com/x", "https://a.example.org/", "http://localhost:8000/", None):
        assert verdict(boundaries, fetching(text)) == []
    fix = "use a plain URL of one of: api.example.com, *.example.org, localhost:8000"
    assert verdict(boundaries, fetching("https://evil.test/")) == [
        ("hosts", "the host in /url is not among the hosts of agent 'fetcher'", fix)
    ]
    assert verdict(boundaries, fetching("https://api.example.com\\@evil.test/")) == [
        (
            "hosts",
            "the url in /url is not accepted: it holds a space, a control character or a backslash",
            fix,
        )
    ]
    assert verdict(boundaries, fetching("https://anna@api.example.com/")) == [
        ("hosts", "the url in /url is not accepted: it carries a name or password", fix)
    ]


@pytest.mark.parametrize(
    ("host", "nature"),
    [
        ("127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("169.254.169.254", "metadata"),
        ("169.254.1.1", "link-local"),
        ("database", "private"),
    ],
)
def test_a_near_address_needs_its_own_name(host: str, nature: str):
    message = f"the {nature} host in /url is not among the hosts of agent 'fetcher'"
    assert verdict(fetcher("*"), fetching(f"http://{host}/")) == [
        ("hosts", message, "use a plain URL of one of: *")
    ]
    assert verdict(fetcher("*", host), fetching(f"http://{host}/")) == []


def test_an_agent_without_declared_hosts_may_reach_none():
    boundaries = Boundaries({"fetcher": Boundary(tools=("fetch",))})
    assert limits(boundaries, fetching("https://api.example.com/")) == ["hosts"]
    assert limits(boundaries, fetching("ftps://x")) == ["hosts"]


# --- hours, size, money -------------------------------------------------------------------------------


def payer(**boundary: Any) -> Boundaries:
    return Boundaries({"payer": Boundary(tools=("bank/*",), **boundary)})


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-30T12:00:00Z", []),
        ("2026-01-30T20:30:00Z", []),
        ("2026-01-30T19:00:00Z", ["hours"]),
        ("2026-01-31T12:00:00Z", ["hours"]),
        ("2026-01-30T12:00:00", ["hours"]),
        ("", ["hours"]),
        ("soon", ["hours"]),
    ],
)
def test_an_agent_acts_within_one_of_its_working_hours(now: str, expected: list[str]):
    boundaries = payer(hours=("Mon-Fri 08:00-18:00 UTC", "Fri 20:00-21:00 UTC"))
    assert limits(boundaries, call(), now=now) == expected


def test_hours_of_an_agent_above_hold_too():
    assert limits(chained(hours=("Sat 00:00-24:00 UTC",)), call(chain=DELEGATED)) == ["hours"]


def test_arguments_may_be_as_large_as_declared():
    exact = call({"text": "é" * 10})
    assert limits(payer(argument_bytes=len(exact.body)), exact) == []
    assert verdict(payer(argument_bytes=len(exact.body) - 1), exact) == [
        (
            "argument_bytes",
            "the arguments are 31 bytes; agent 'payer' may pass at most 30",
            "pass a reference (a path, an id) instead of the content",
        )
    ]


MONEY = Money(name="payments", tool="bank/pay", argument="amount", limit="100.00", unit="EUR")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "/amount is missing"),
        ({"amount": None}, "/amount is not a number"),
        ({"amount": True}, "/amount is not a number"),
        ({"amount": -1}, "/amount is below zero"),
        ({"amount": 0.0000001}, "/amount is finer than a millionth"),
        ({"amount": [1]}, "/amount is not a number"),
        ({"amount": 2**53 - 1}, "/amount is larger than any budget can hold"),
    ],
)
def test_an_amount_that_cannot_be_counted_is_denied(arguments: dict[str, Any], why: str):
    assert verdict(payer(money=(MONEY,)), call(arguments)) == [
        (
            "money",
            f"the budget 'payments' of agent 'payer' cannot be counted: {why}",
            "round it to at most six decimals"
            if "finer" in why
            else "pass the amount in /amount as a plain positive number",
        )
    ]
    assert payer(money=(MONEY,)).reservations(call(arguments), now=NOW) == ()


def test_a_budget_counts_only_for_its_tool():
    assert limits(payer(money=(MONEY,)), call({}, tool=Tool(name="read", server="bank"))) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"payments": [{"amount": 1}, {"amount": "0.5"}]}, 1_500_000),
        ({"payments": [{"amount": 2**52}, {"amount": 2**52}]}, None),
        ({"payments": [{"amount": 1}, {}]}, None),
        ({"payments": [{"amount": 1}, None]}, None),
        ({"payments": [{"amount": 1}, 5]}, None),
        ({"payments": []}, None),
        ({"payments": 7}, None),
        ({}, None),
    ],
)
def test_amounts_of_a_list_add_up_or_are_not_counted_at_all(arguments: dict[str, Any], expected: int | None):
    money = Money(name="payments", tool="bank/pay", argument="/payments/*/amount", limit=100)
    boundaries = payer(money=(money,))
    taken = [reservation.amount for reservation in boundaries.reservations(call(arguments), now=NOW)]
    assert (taken, limits(boundaries, call(arguments))) == (
        ([expected], []) if expected is not None else ([], ["money"])
    )


def test_every_violated_limit_is_named():
    boundaries = Boundaries(
        {
            "boss": Boundary(hours=("Sat 00:00-24:00 UTC",), depth=0),
            "payer": Boundary(argument_bytes=1, money=(MONEY,)),
        }
    )
    assert limits(boundaries, call(chain=("boss", "payer"))) == [
        "delegates", "depth", "tools", "hours", "tools", "argument_bytes", "money",
    ]  # fmt: skip


def test_no_reason_repeats_what_an_argument_holds(here: Path):
    boundaries = reader(
        paths={"app": here / "app"},
        hosts=("a.example",),
        argument_bytes=1,
        money=(Money(name="m", tool="read", argument="amount", limit=1),),
    )
    tool = Tool(name="read", kinds={"path": "path", "url": "url", "other": "path"})
    arguments = {"path": "/S3CRET", "url": "https://S3CRET.example/", "other": "~S3CRET", "amount": "S3CRET"}
    decision = judged(boundaries, call(arguments, chain=("reader",), tool=tool), folder=here)
    assert len(decision.reasons) == 5
    assert "s3cret" not in str(decision.as_json()).lower()


# --- budgets ------------------------------------------------------------------------------------------


def test_a_call_takes_from_every_budget_of_every_agent_of_its_chain():
    boundaries = Boundaries(
        {
            "supervisor": Boundary(
                calls_per_run=10,
                money=(Money(name="all", tool="bank/*", argument="amount", limit=500, per="always"),),
            ),
            "payer": Boundary(
                calls_per_minute=3,
                money=(
                    MONEY,
                    Money(
                        name="daily", tool="bank/pay", argument="/amount", limit=0.5, per="day", unit="EUR"
                    ),
                    Money(name="other", tool="bank/refund", argument="amount", limit=1),
                ),
            ),
        }
    )
    attempted = call({"amount": 12.5}, chain=DELEGATED)
    assert boundaries.reservations(attempted, now=NOW) == (
        Reservation(
            scope="payer/calls/minute/2026-01-30T12:00", amount=1, limit=3, name="payer: calls per minute"
        ),
        Reservation(
            scope="payer/money/daily/day/2026-01-30",
            amount=12_500_000,
            limit=500_000,
            name="payer: daily per day",
            unit="EUR",
        ),
        Reservation(
            scope="payer/money/payments/run/run-1",
            amount=12_500_000,
            limit=100_000_000,
            name="payer: payments per run",
            unit="EUR",
        ),
        Reservation(scope="supervisor/calls/run/run-1", amount=1, limit=10, name="supervisor: calls per run"),
        Reservation(
            scope="supervisor/money/all/always",
            amount=12_500_000,
            limit=500_000_000,
            name="supervisor: all in all",
            unit="",
        ),
    )


def test_an_agent_twice_in_a_chain_pays_once():
    boundaries = Boundaries({"a": Boundary(calls_per_run=5), "b": Boundary()})
    assert len(boundaries.reservations(call(chain=("a", "b", "a")), now=NOW)) == 1


def test_without_a_boundary_or_a_budget_nothing_is_taken():
    assert Boundaries({"payer": Boundary()}).reservations(call(), now=NOW) == ()
    assert Boundaries({}).reservations(call(), now=NOW) == ()


NAMES = st.lists(st.sampled_from(["a", "b", "calls", "money", "run", "always", "%2F", ""]), max_size=4).map(
    "/".join
)


@settings(deadline=None)
@example([("a/money/b", "x", "run", "r"), ("a", "b/calls", "run", "r")])
@example([("a", "b/run/r", "always", "r"), ("a", "b", "run", "r/always")])
@example([("a/calls/run/x", "b", "run", "y"), ("a", "b", "run", "x/calls/run/y")])
@example([("a", "b%2Fc", "run", "r"), ("a", "b/c", "run", "r")])
@given(
    st.lists(
        st.tuples(NAMES.filter(bool), NAMES, st.sampled_from(["run", "day", "always"]), NAMES),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_no_two_budgets_share_a_scope(budgets: list[tuple[str, str, Any, str]]):
    scopes, expected = set[str](), set[tuple[str, ...]]()
    for agent, name, per, run in budgets:
        money = Money(name=name, tool="bank/pay", argument="amount", limit=1, per=per)
        boundaries = Boundaries({agent: Boundary(money=(money,), calls_per_run=1)})
        attempted = replace(call({"amount": 0}, chain=(agent,)), run=run)
        scopes |= {reservation.scope for reservation in boundaries.reservations(attempted, now=NOW)}
        expected |= {(agent, run), (agent, name, per, run if per == "run" else "")}
    assert len(scopes) == len(expected)


# --- what is declared ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"tools": ("a b",)}, "a boundary cannot be read: a tool is written as"),
        ({"delegate_tools": ("a/b/c",)}, "a boundary cannot be read: a tool is written as"),
        ({"hosts": ("https://x",)}, "a boundary cannot be read: a host is written in"),
        ({"hours": ("9-5",)}, "a boundary cannot be read: working hours are written as"),
        ({"money": (MONEY, MONEY)}, "two budgets of money of one agent have the same name"),
    ],
)
def test_a_boundary_that_cannot_be_read_is_refused(declared: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        Boundary(**declared)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tool": "a b"}, "the budget 'payments' cannot be read: a tool is written as"),
        ({"argument": "/~"}, "the budget 'payments' cannot be read: '/~' is no JSON pointer"),
        ({"limit": -1}, "the limit of the budget 'payments' is below zero"),
        ({"limit": "1e3"}, "the limit of the budget 'payments' is not a plain decimal number"),
    ],
)
def test_a_budget_that_cannot_be_read_is_refused(changed: dict[str, Any], message: str):
    fields = {"name": "payments", "tool": "bank/pay", "argument": "amount", "limit": 1}
    with pytest.raises(ConfigError) as caught:
        Money(**(fields | changed))
    assert caught.value.message.startswith(message)


def test_the_revision_moves_with_everything_that_can_change_an_answer(tmp_path: Path):
    declared: list[dict[str, Any]] = [
        {},
        {"tools": ("a",)},
        {"delegate_tools": ("a",)},
        {"paths": {}},
        {"paths": {"x": tmp_path}},
        {"paths": {"x": tmp_path / "y"}},
        {"hosts": ()},
        {"hosts": ("a.example",)},
        {"delegates": ("b",)},
        {"depth": 2},
        {"hours": ("08:00-18:00 UTC",)},
        {"argument_bytes": 1},
        {"calls_per_run": 1},
        {"calls_per_minute": 1},
        {"money": (MONEY,)},
    ]
    revisions = {Boundaries({"a": Boundary(**fields)}).revision for fields in declared}
    assert len(revisions) == len(declared)
    assert Boundaries({"a": Boundary(tools=("a",))}).revision in revisions
    assert Boundaries({"b": Boundary()}).revision not in revisions


def test_the_bundle_holds_what_was_declared(tmp_path: Path):
    folder = Path(os.path.realpath(tmp_path))
    assert Boundaries({"payer": Boundary(tools=("bank/pay",), paths={"x": folder}, money=(MONEY,))}).bundle[
        "boundaries"
    ] == {
        "payer": {
            "tools": ["bank/pay"],
            "delegate_tools": [],
            "paths": {"x": str(folder)},
            "hosts": None,
            "delegates": [],
            "depth": 1,
            "hours": [],
            "argument_bytes": None,
            "calls_per_run": None,
            "calls_per_minute": None,
            "money": [
                {
                    "name": "payments",
                    "tool": "bank/pay",
                    "argument": "amount",
                    "millionths": 100_000_000,
                    "per": "run",
                    "unit": "EUR",
                }
            ],
        }
    }


AGENTS = ("a", "b", "c")
RIGHTS = st.fixed_dictionaries(
    {
        "tools": st.sampled_from([(), ("bank/pay",), ("bank/*",)]),
        "delegate_tools": st.sampled_from([(), ("bank/pay",)]),
        "delegates": st.sets(st.sampled_from(AGENTS)).map(tuple),
        "depth": st.integers(0, 3),
        "argument_bytes": st.sampled_from([None, 1, 100]),
    }
)


@settings(deadline=None)
@given(
    declared=st.dictionaries(st.sampled_from(AGENTS), RIGHTS),
    chain=st.lists(st.sampled_from(AGENTS), min_size=1, max_size=4).map(tuple),
)
def test_another_agent_on_top_never_widens_what_may_be_done(declared: dict[str, Any], chain: tuple[str, ...]):
    """The effective boundary is an intersection: a longer chain may do at most what its end may do alone."""
    boundaries = Boundaries({agent: Boundary(**rights) for agent, rights in declared.items()})
    effects = [judged(boundaries, call(chain=chain[start:])).effect for start in range(len(chain))]
    allowed = [effect == "allow" for effect in effects]
    assert allowed == sorted(allowed)


# --- stored and made again ----------------------------------------------------------------------------


_NAMES = st.lists(st.sampled_from(["a", "b/c", "d/*", "send_money"]), max_size=3, unique=True).map(tuple)
_BOUNDARY = st.builds(
    Boundary,
    tools=_NAMES,
    delegate_tools=_NAMES,
    paths=st.none() | st.dictionaries(st.sampled_from("xyz"), st.sampled_from([Path("/srv"), Path("/a/b")])),
    hosts=st.none() | st.sampled_from([(), ("example.com",), ("*.example.com:8443",)]),
    delegates=_NAMES,
    depth=st.integers(0, 5),
    hours=st.sampled_from([(), ("Mon-Fri 08:00-18:00 UTC",)]),
    argument_bytes=st.none() | st.integers(0, 10_000),
    calls_per_run=st.none() | st.integers(0, 10_000),
    calls_per_minute=st.none() | st.integers(0, 10_000),
    money=st.lists(
        st.builds(
            Money,
            name=st.sampled_from("pqr"),
            tool=st.sampled_from(["pay", "bank/*"]),
            argument=st.sampled_from(["amount", "/items/*/amount"]),
            limit=st.integers(0, 10**9) | st.sampled_from(["0.000001", "120.5", "99999999.999999"]),
            per=st.sampled_from(["run", "day", "always"]),
            unit=st.sampled_from(["", "EUR"]),
        ),
        unique_by=lambda money: money.name,
        max_size=3,
    ).map(tuple),
)


@given(agents=st.dictionaries(st.sampled_from(["a", "b", "c"]), _BOUNDARY))
def test_boundaries_that_were_stored_are_made_again_as_they_were(agents: dict[str, Boundary]):
    boundaries = Boundaries(agents)
    stored = orjson.loads(orjson.dumps(boundaries.bundle))
    again = Boundaries.stored(stored)
    assert (again.bundle, again.revision) == (boundaries.bundle, boundaries.revision)
    assert Boundaries.revision_of(stored) == boundaries.revision


def test_a_root_that_was_stored_leads_where_it_led_then(tmp_path: Path):
    (tmp_path / "then").mkdir()
    stored = Boundaries({"a": Boundary(paths={"root": tmp_path / "then"})}).bundle
    (tmp_path / "then").rmdir()
    (tmp_path / "then").symlink_to(tmp_path)
    assert Boundaries.stored(stored).bundle == stored


@pytest.mark.parametrize(
    "stored", [{}, {"boundaries": 1}, {"boundaries": {"a": {}}}, {"boundaries": {"a": {"x": 1}}}]
)
def test_what_are_no_boundaries_are_not_taken_for_some(stored: dict[str, Any]):
    with pytest.raises(PolicyError, match="what is stored are no boundaries"):
        Boundaries.stored(stored)
