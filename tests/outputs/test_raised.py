"""What a tool raises is read as what it returns is: it passes the same point, and is handed on as it was released."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.bundles import Bundle
from guardrail.calls import Agent, Call, Tool
from guardrail.errors import Raised, Withheld, spoken, words
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from guardrail.rego import RegoPolicy

TOKEN = "ghp_" + "a1B2" * 9

RULES = """package guardrail.rules.outputs

allow contains {"rule": "actions", "message": "fine"} if input.point == "action"

allow contains {"rule": "outputs.secrets", "message": "without", "obligations": {"redact": ["secrets"]}} if {
    input.point == "output"
}

deny contains {"rule": "outputs.bad", "message": "it is bad", "fix": "ask for less"} if {
    input.output.raised
    contains(input.output.content, "bad")
}

ask contains {"rule": "outputs.odd", "message": "it is odd"} if {
    input.output.raised
    contains(input.output.content, "odd")
}
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guardrail]:
    with Guardrail(
        policy=RegoPolicy(Bundle.of({"outputs/outputs.rego": RULES})), ledger=tmp_path / "g.db"
    ) as guard:
        yield guard


def raising(guard: Guardrail, error: Exception, **settings: Any) -> Exception:
    """What the caller of a tool that raises this gets."""

    def look() -> str:
        raise error

    with guard.run("r"), pytest.raises(Exception) as raised:
        guard.tool(look, agent="a", **settings)()
    return raised.value


def kept(guard: Guardrail) -> str:
    return "".join((record.detail or b"").decode() for record in guard.ledger.records("r"))


def test_an_error_that_nothing_speaks_against_is_raised_as_it_was(guard: Guardrail):
    error = ValueError("no such user")
    assert raising(guard, error) is error
    assert guard.ledger.read_run("r").labels == ("untrusted",)
    assert [source.content for _, source in guard.ledger.sources("r", {})] == ["ValueError: no such user"]


class Quiet(Exception):
    """Says less than it holds."""

    def __str__(self) -> str:
        return "no"


def noted() -> Exception:
    error = ValueError("no")
    error.add_note(f"the key was {TOKEN}")
    return error


def caused() -> Exception:
    error = ValueError("no")
    error.__cause__ = KeyError(TOKEN)
    return error


def while_handling() -> Exception:
    error = ValueError("no")
    error.__context__ = ExceptionGroup("two", [KeyError(TOKEN), ValueError("x")])
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(f"wrong key {TOKEN}"), "ValueError: wrong key [redacted]"),
        (KeyError(TOKEN), "KeyError: '[redacted]'"),
        (Quiet(TOKEN), "Quiet: no\n[redacted]"),
        (ValueError("x" * 3000 + f" {TOKEN}"), "ValueError: " + "x" * 3000 + " [redacted]"),
        (noted(), "ValueError: no\nthe key was [redacted]"),
        (caused(), "ValueError: no\nKeyError: '[redacted]'"),
        (
            while_handling(),
            "ValueError: no\nExceptionGroup: two (2 sub-exceptions)\n[KeyError('[redacted]'), ValueError('x')]",
        ),
    ],
    ids=[
        "its words",
        "its key",
        "its arguments",
        "far behind",
        "a note",
        "its cause",
        "what it was raised in",
    ],
)
def test_an_error_is_told_without_what_is_redacted(error: Exception, said: str, guard: Guardrail):
    told = raising(guard, error)
    assert (type(told), str(told), told.__cause__, told.__context__) == (Raised, said, None, None)
    assert TOKEN not in kept(guard)
    assert guard.ledger.read_run("r").labels == ("untrusted",)  # the secret never reached the run


def test_an_error_that_is_withheld_says_why_and_is_not_kept(guard: Guardrail):
    told = raising(guard, ValueError("bad: everything"))
    assert isinstance(told, Withheld)
    assert str(told).splitlines()[:3] == [
        "WITHHELD (it failed; what it raised is not shown): look",
        "Reason: it is bad [outputs.bad]",
        "You may: ask for less",
    ]
    assert told.__cause__ is told.__context__ is None
    assert "bad: everything" not in kept(guard)
    assert guard.ledger.read_run("r").labels == ()
    (settled,) = [record for record in guard.ledger.records("r") if record.kind == "settled"]
    assert (settled.fields["released"], settled.fields["state"]) == ("withheld", "raised")


def attempt(text: str) -> Attempt:
    def invoke(_: Call) -> None:
        raise ValueError(text)

    call = Call.of({}, run="r", id="1", tool=Tool(name="look"), agent=Agent(id="a"))
    return Attempt(call=call, invoke=invoke)


@pytest.mark.parametrize("text", ["bad", f"odd {TOKEN}"])
def test_what_was_not_handed_on_is_not_handed_on_by_a_repeat(text: str, guard: Guardrail):
    first = guard.perform(attempt(text), waiting="answer")
    again = guard.perform(attempt(text), waiting="answer")
    assert (first.status, first.error, again.error) == ("raised", None, None)
    assert (again.heading, again.reasons) == (first.heading, first.reasons)
    assert TOKEN not in repr((first, again)) + kept(guard)


def test_a_held_error_is_raised_once_people_have_let_it_through(guard: Guardrail):
    said: list[Exception] = []
    thread = threading.Thread(target=lambda: said.append(raising(guard, ValueError(f"odd {TOKEN}"))))
    thread.start()
    while not (pending := guard.ledger.approvals("pending")):
        thread.join(0.02)
    shown = guard.ledger.approval_arguments(pending[0].id).arguments
    assert (shown["tool"], shown["output"]) == ("local/look", "ValueError: odd [redacted]")
    guard.ledger.vote(pending[0].id, "zoe", "approve", channel="test")
    thread.join(20)
    assert [(type(error), str(error)) for error in said] == [(Raised, "ValueError: odd [redacted]")]
    assert guard.ledger.read_run("r").labels == ("untrusted",)
    assert guard.ledger.verify().ok


def test_a_held_error_is_told_from_its_record_once_people_have_let_it_through(guard: Guardrail):
    assert guard.perform(attempt("odd"), waiting="answer").heading == "HELD"
    (pending,) = guard.ledger.approvals("pending")
    guard.ledger.vote(pending.id, "zoe", "approve", channel="test")
    assert guard.perform(attempt("odd"), waiting="answer") == Outcome(
        status="raised", message="ValueError: odd", repeated=True, approval=pending.id
    )


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Two:
    def __str__(self) -> str:
        return "one"

    def __repr__(self) -> str:
        return "two"


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Mute(), "<Mute>"),
        (object(), "<object>"),
        (Two(), "one\ntwo"),
        ("a\n'b\ud800", "a\n'b\\ud800"),
        (Path("x"), f"{Path('x')!r}"),
    ],
)
def test_an_object_says_its_words_or_its_type(thing: Any, said: str):
    assert words(thing) == said


def test_errors_that_cause_each_other_are_told_once_each():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert spoken(one) == "ValueError: one\nValueError: two"
