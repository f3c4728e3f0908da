"""What a proposal claims is what happens when the same scripts are really played again under it."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from guardrail.replay.suggesting.proposals import Proposal
from tests.replay.approving import Played, Step, World

SOAK = "GUARDRAIL_SOAK" in os.environ

answers = st.sampled_from([*["yes"] * 12, "unseen", "no", "nothing"])
people = st.sampled_from(["bob", "bob", "eve"])
runs = st.sampled_from(["one", "two", "three"])
principals = st.sampled_from([*["user:anna"] * 5, "user:ben"])
FETCHES = ("a.example/x/", "a.example/y/", "b.example/")


@st.composite
def bursts(draw: st.DrawFn) -> list[Step]:
    """The same again and again, or nearly; people answer now and then otherwise."""
    tool = draw(st.sampled_from(["send", "send", "send", "fetch", "open", "mail", "wipe"]))
    first, other = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    varies, run = draw(st.sampled_from([0, 1, 1, 10])), draw(runs)
    principal = draw(principals)
    steps: list[Step] = []
    for turn in range(draw(st.integers(1, 5))):
        number = first + turn * varies
        arguments: dict[str, object]
        match tool:
            case "send":
                arguments = {"amount": 50 + number, "to": ("ann", "mallory", "cyd")[other]}
            case "fetch":
                arguments = {"url": f"https://{FETCHES[other]}{number}{'?q' if number > 30 else ''}"}
            case "open":
                arguments = {"path": f"FOLDER/{('a', 'b', 'b/.env')[other]}/{number}"}
            case _:
                arguments = {}
        change = tool == "send" and draw(st.integers(0, 15)) == 15
        answer = "change" if change else draw(answers)
        steps.append(
            Step(
                tool=tool, arguments=arguments, answer=answer, person=draw(people), principal=principal,
                run="three" if tool == "mail" else run, late=draw(st.integers(0, 9)) == 9,
            )
        )  # fmt: skip
    return steps


scripts = st.lists(bursts(), min_size=4, max_size=10).map(
    lambda parts: [step for part in parts for step in part]
)
knobs = st.fixed_dictionaries(
    {"asked": st.sampled_from([1_000, 1_000, 1_000, 8]), "history": st.sampled_from([False, False, True])}
)


def placed(steps: list[Step], folder: Path) -> list[Step]:
    def at(value: object) -> object:
        return value.replace("FOLDER", str(folder)) if isinstance(value, str) else value

    return [
        replace(step, arguments={name: at(value) for name, value in step.arguments.items()}) for step in steps
    ]


def check(proposal: Proposal, before: Played, really: Played, steps: list[Step]) -> None:
    """Compare a proposal with what really happened under it."""
    spared = before.prompts - really.prompts
    unsaid = proposal.counts["cannot say"] + proposal.counts["unreachable"]
    event(f"{proposal.covers.split()[0]}, unsaid: {unsaid > 0}")
    assert abs(spared - len(proposal.prompts)) <= unsaid
    now_run = [
        (number, before.became[number])
        for number, became in enumerate(really.became)
        if became == "ran" and before.became[number] != "ran"
    ]
    assert "asked" not in {was for _, was in now_run}  # refused, changed to something else, or never answered
    if not unsaid:
        assert {was for _, was in now_run} == {"agreed"}
        assert len(now_run) == spared
        assert {steps[number].answer for number, _ in now_run} <= {"yes", "unseen"}
        assert "wipe" not in {steps[number].tool for number, _ in now_run}


@settings(max_examples=200 if SOAK else 8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=scripts,
    knobs=knobs,
    limit=st.sampled_from([1_000_000, 1_000_000, 700]),
    minimum=st.sampled_from([2, 3, 3]),
)
def test_a_proposal_spares_exactly_the_questions_that_it_claims(
    steps: list[Step], knobs: dict[str, object], limit: int, minimum: int
):
    with tempfile.TemporaryDirectory() as name:
        world = World(folder=Path(name).resolve(), knobs=knobs, limit=limit)
        script = placed(steps, world.folder)
        before = world.play(script)
        found = world.suggested(minimum=minimum)
        event(f"{len(found.proposals)} proposals, {len(found.dropped)} dropped")
        for number, proposal in enumerate(found.proposals):
            check(proposal, before, world.play(script, f"now{number}", proposal.written.files), script)
        assert world.suggested(minimum=minimum) == found
