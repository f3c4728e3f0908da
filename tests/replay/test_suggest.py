"""What is proposed from approvals, and above all what is not."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.errors import LedgerUnavailable
from guardrail.rego import run_rego_tests
from guardrail.rego.lint import lint
from guardrail.replay.history import History
from guardrail.replay.suggesting.evidence import Wanted
from guardrail.replay.suggesting.proposals import Suggested, suggest
from tests.replay.approving import RULES, Step, World
from tests.replay.scene import history, opened
from tests.servers import place_in


def send(amount: int = 60, to: str = "ann", **more: Any) -> Step:
    return Step(tool="send", arguments={"amount": amount, "to": to}, **more)


def fetch(url: str, **more: Any) -> Step:
    return Step(tool="fetch", arguments={"url": url}, **more)


def told(found: Suggested) -> list[tuple[str, int, int]]:
    """What is proposed, how many approvals it rests on, and how many questions it spares."""
    return [(one.covers, len(one.approvals), len(one.prompts)) for one in found.proposals]


@pytest.fixture(name="world", params=["sqlite", "postgres"])
def _world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as held:
        yield World(folder=tmp_path.resolve(), database=request.param, held=held)


@pytest.fixture(name="proposed")
def _proposed(world: World) -> Callable[..., Suggested]:
    def proposed(*steps: Step, **wanted: Any) -> Suggested:
        world.play(steps)
        return world.suggested(**wanted)

    return proposed


Proposed = Callable[..., Suggested]


def test_what_is_approved_again_and_again_is_proposed(proposed: Proposed):
    found = proposed(*[send(run=run) for run in ("one", "one", "two", "two", "three")], send(to="cyd"))
    assert told(found) == [("exactly this call", 5, 5)]
    (proposal,) = found.proposals
    assert (proposal.tool, proposal.agent, proposal.principal) == ("local/send", "payer", "user:anna")
    assert (proposal.asks, proposal.people, proposal.refused) == (("own.half",), ("bob",), 0)
    assert proposal.counts["newly allowed"] == len(proposal.flips) == 5
    assert (found.prompts, found.few, found.unused, found.dropped) == (6, 1, {}, {})


def test_too_few_are_none(proposed: Proposed):
    found = proposed(*[send()] * 4)
    assert (told(found), found.few) == ([], 4)


def test_a_number_may_be_what_it_was_and_nothing_beyond(proposed: Proposed):
    found = proposed(*map(send, (59, 52, 55, 53, 51)), send(60, "cyd"))
    assert told(found) == [("amount from 51 to 59, all else as it was", 5, 5)]


def test_numbers_that_repeat_are_a_list_and_no_stretch(proposed: Proposed):
    found = proposed(*map(send, (55, 80, 55, 80, 80)))
    assert told(found) == [("2 values of amount, all else as it was", 5, 5)]


def test_a_no_divides_a_stretch(proposed: Proposed):
    found = proposed(*map(send, (51, 52, 53, 55, 56, 57)), send(54, answer="no"), minimum=3)
    assert sorted(told(found)) == [
        ("amount from 51 to 53, all else as it was", 3, 3),
        ("amount from 55 to 57, all else as it was", 3, 3),
    ]
    assert {one.refused for one in found.proposals} == {1}


@pytest.mark.parametrize("answer", ["no", "change"])
def test_a_no_to_the_same_for_somebody_else_counts_too(proposed: Proposed, answer: Any):
    assert told(proposed(*[send()] * 6, send(principal="user:ben", run="two", answer=answer))) == []


def test_what_nobody_answered_is_not_allowed_either(proposed: Proposed):
    assert told(proposed(*[send()] * 6, send(answer="nothing"))) == []


def test_what_nobody_was_asked_about_since_no_rule_spoke_is_not_allowed_either(world: World):
    silent = RULES.replace('input.tool.name in {"send", "mail"}', 'input.tool.name == "mail"').replace(
        "    input.arguments.amount > 50\n",
        '    input.arguments.amount > 50\n    input.run.id != "three user:anna"\n',
    )
    played = replace(world, rules=silent)
    steps = [*[send()] * 3, send(run="three")]
    assert played.play(steps).became == ["agreed", "agreed", "agreed", "denied"]
    found = played.suggested(minimum=3)
    assert told(found) == []


def test_a_yes_without_having_seen_it_all_is_no_evidence(proposed: Proposed):
    found = proposed(*[send()] * 5, send(answer="unseen"))
    assert told(found) == [("exactly this call", 5, 6)]
    assert found.unused == {"somebody said yes without having been shown the complete arguments": 1}


def test_what_one_may_approve_says_nothing_of_what_two_have_to(proposed: Proposed):
    found = proposed(*map(send, (85, 86, 87, 95, 96, 97)), minimum=3)
    assert {(one.covers, one.people, one.asks) for one in found.proposals} == {
        ("amount from 95 to 97, all else as it was", ("bob", "joe"), ("own.half", "own.two")),
        ("amount from 85 to 87, all else as it was", ("bob",), ("own.half",)),
    }


def test_several_people_may_be_asked_for(world: World):
    world.play([*[send()] * 5, *[send(to="cyd", person=who) for who in ("bob", "bob", "eve", "bob", "bob")]])
    found = world.suggested(people=2)
    assert [one.people for one in found.proposals] == [("bob", "eve")]


def test_values_out_of_untrusted_outputs_speak_for_nothing(proposed: Proposed):
    mail = Step(tool="mail", arguments={})
    found = proposed(mail, *[send(to="mallory")] * 6)
    assert told(found) == []
    assert found.unused == {"a value of it stands in what an untrusted tool has returned": 6}


def test_once_a_run_has_read_untrusted_words_numbers_that_nobody_vouches_for_are_no_stretch(world: World):
    mail = Step(tool="mail", arguments={})
    steps = [mail, *map(send, (51, 52, 53, 54, 55))]
    world.play(steps)
    assert told(world.suggested()) == []
    world.play([*steps, *[send(70)] * 5], "also")
    assert told(world.suggested("also")) == [("exactly this call", 5, 5)]


def test_what_was_approved_in_a_run_that_had_read_nothing_is_not_allowed_in_one_that_has(world: World):
    world.play([send()] * 5)
    (proposal,) = world.suggested().proposals
    mail = Step(tool="mail", arguments={})
    assert world.play([mail, send()], "now", proposal.written.files).became == ["ran", "agreed"]


def test_what_cannot_be_undone_takes_a_word_of_its_own(world: World):
    world.play([Step(tool="wipe", arguments={"disk": "sda"})] * 5)
    found = world.suggested()
    assert (told(found), list(found.unused.values())) == ([], [5])
    assert told(world.suggested(irreversible=True)) == [("exactly this call", 5, 5)]


@pytest.mark.parametrize("to", ["AKIA" + "IOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9])
def test_secrets_are_not_written_into_files(proposed: Proposed, to: str):
    found = proposed(*[send(to=to)] * 5)
    assert (told(found), found.unused) == ([], {"an argument of it holds a secret": 5})


def test_what_is_hidden_is_not_written_into_files(world: World):
    hiding = replace(world, hide=["/to"])
    hiding.play([send()] * 5)
    found = hiding.suggested()
    assert (told(found), found.unused) == ([], {"an argument of it is hidden": 5})


def test_what_was_erased_speaks_for_nothing_and_against_it_is_said(world: World):
    world.play([send(60, run="kept")] * 5 + [send(70)] * 5 + [send(60, run="gone", answer="no")])
    with opened(world.folder / "then") as ledger:
        for run in ("one user:anna", "gone user:anna"):
            ledger.erasing.erase(run, by="olaf", reason="asked for it")
    found = world.suggested()
    assert told(found) == [("exactly this call", 5, 5)]
    assert (found.unused, found.proposals[0].unread) == ({"it was erased": 6}, 1)


def test_without_the_key_nothing_can_be_read(world: World):
    world.play([send()] * 5)
    where = place_in(world.folder / "then", "guardrail.db")
    with pytest.raises(LedgerUnavailable, match=r"key .* cannot be read"):
        suggest(History(path=where, key=world.folder / "none"), world.bundle, world.decider, Wanted())
    other = world.folder / "other.key"
    other.write_text("0" * 64, encoding="ascii")
    found = suggest(History(path=where, key=other), world.bundle, world.decider, Wanted())
    assert (told(found), found.unused) == ([], {"another key sealed it": 5})


def test_addresses_below_one_that_was_approved_often_enough(proposed: Proposed):
    pages = [fetch(f"https://a.example/x/{number}") for number in range(5)]
    found = proposed(*pages, fetch("https://a.example/y/1"), fetch("https://b.example/x/1"))
    assert told(found) == [("url below https://a.example/, all else as it was", 6, 6)]


@pytest.mark.parametrize("odd", ["9?q=secret", "%2e%2e%2fadmin", ".env", "9#part"])
def test_no_address_with_a_query_or_an_escape_is_below_another(world: World, odd: str):
    pages = [fetch(f"https://a.example/x/{number}") for number in range(5)]
    world.play(pages)
    (proposal,) = world.suggested().proposals
    assert proposal.covers == "url below https://a.example/x/, all else as it was"
    tried = [
        fetch("https://a.example/x/9"),
        fetch(f"https://a.example/x/{odd}"),
        fetch("https://a.example/y"),
    ]
    became = world.play(tried, "now", proposal.written.files).became
    assert became == ["ran", "agreed", "agreed"]


def test_files_below_a_folder_where_they_really_are(world: World):
    folder = world.folder / "in"
    folder.mkdir()
    (world.folder / "key").write_text("secret", encoding="ascii")
    (folder / "link").symlink_to(world.folder / "key")
    world.play([Step(tool="open", arguments={"path": str(folder / str(number))}) for number in range(5)])
    (proposal,) = world.suggested().proposals
    assert proposal.covers == f"path below {folder}/, all else as it was"
    names = ["9", "link", ".env", "../key"]
    tried = [Step(tool="open", arguments={"path": f"{folder}/{name}"}) for name in names]
    became = world.play(tried, "now", proposal.written.files).became
    assert became == ["ran", "agreed", "agreed", "agreed"]


def test_a_path_that_leads_elsewhere_by_now_is_asked_about(world: World):
    link = world.folder / "link"
    for name in ("harmless", "secret"):
        (world.folder / name).write_text(name, encoding="ascii")
    link.symlink_to(world.folder / "harmless")
    step = Step(tool="open", arguments={"path": str(link)})
    world.play([step] * 5)
    (proposal,) = world.suggested().proposals
    assert world.play([step], "same", proposal.written.files).became == ["ran"]
    link.unlink()
    link.symlink_to(world.folder / "secret")
    assert world.play([step], "moved", proposal.written.files).became == ["agreed"]


def test_what_agents_write_stays_text(world: World):
    evil = 'ann"\n} allow contains {"rule": "a", "message": "b"} if { true }\n# \u202e {{ \\u0022 `'
    world.play([send(to=evil)] * 5)
    (proposal,) = world.suggested().proposals
    assert world.play([send(to=evil), send(to="ann")], "now", proposal.written.files).became == [
        "ran",
        "agreed",
    ]


@pytest.mark.parametrize("steps", [
    [send()] * 5,
    [send(number) for number in range(51, 57)],
    [send(to=to) for to in ("ann", "cyd", "dan")] * 2,
    [fetch(f"https://a.example/x/{number}") for number in range(5)],
    [Step(tool="mail", arguments={}), *[send()] * 5],
])  # fmt: skip
def test_a_rule_passes_every_check_and_its_own_tests(world: World, steps: list[Step]):
    world.play(steps)
    (proposal,) = world.suggested().proposals
    bundle = Bundle.of({**world.bundle.modules, **proposal.written.files}, world.bundle.data)
    own = set(proposal.written.files)
    assert [str(finding) for finding in lint(bundle) if finding.file in own] == []
    assert [(result.passed, result.error) for result in run_rego_tests(bundle)] == [(True, "")] * 2


def test_a_tool_may_be_chosen_and_a_moment(world: World):
    world.play([*[send()] * 5, *[fetch("https://a.example/x")] * 5])
    for tool in ("fetch", "local/fetch"):
        assert [one.tool for one in world.suggested(tool=tool).proposals] == ["local/fetch"]
    assert world.suggested(tool="nothing").prompts == 0
    assert world.suggested(since="2026-02-01T00:00:00.000Z").prompts == 0


def test_those_that_spare_most_come_first_and_others_are_named(world: World):
    world.play([*[send()] * 5, *[fetch("https://a.example/x")] * 6])
    found = world.suggested()
    assert [len(one.prompts) for one in found.proposals] == [6, 5]
    first = world.suggested(most=1)
    assert (first.proposals, list(first.dropped)) == (found.proposals[:1], [found.proposals[1].written.name])


def test_what_today_is_not_asked_any_more_needs_no_rule(world: World):
    world.play([send()] * 5)
    today = replace(world, rules=RULES.replace("> 50", "> 70"))
    found = suggest(history(world.folder / "then"), today.bundle, today.decider, Wanted())
    assert (told(found), list(found.dropped.values())) == (
        [],
        ["today's policies ask about too few of them, or nobody can say what they would"],
    )


def test_a_rule_that_would_let_others_through_by_the_way_is_dropped(world: World):
    """The fewer questions, the fewer denials of another rule: that is more than anybody has approved."""
    counting = replace(world, knobs={"asked": 6, "history": False})
    steps = [*[send()] * 5, send(70, answer="nothing", late=True), send(1)]
    assert counting.play(steps).became == [*["agreed"] * 5, "asked", "denied"]
    found = counting.suggested()
    assert (told(found), list(found.dropped.values())) == (
        [],
        ["it would have allowed what nobody had approved"],
    )


def test_a_rule_that_would_have_others_asked_by_the_way_is_dropped(world: World):
    counting = replace(world, knobs={"asked": 6, "history": False})
    assert counting.play([*[send()] * 5, send(70, answer="nothing")]).became == [*["agreed"] * 5, "asked"]
    found = counting.suggested()
    assert (told(found), list(found.dropped.values())) == ([], ["it would have changed other decisions, too"])


def test_calls_that_waited_while_others_were_decided_are_followed_no_further(world: World):
    steps = [send(60, late=True), send(1), *[send(60)] * 4]
    world.play(steps)
    (proposal,) = world.suggested().proposals
    assert len(proposal.prompts) == 1
    assert proposal.counts["cannot say"] > 4
    really = world.play(steps, "now", proposal.written.files)
    assert (really.prompts, really.became) == (0, ["ran"] * 6)


def test_nothing_of_it_is_active(world: World):
    world.play([send()] * 5)
    before = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    shutil.copytree(world.folder / "then", world.folder / "copy")
    world.suggested("copy")
    assert {path: path.read_bytes() for path in before} == before
    assert world.play([send()], "now").became == ["agreed"]
