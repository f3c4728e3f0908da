"""What a pipe, a terminal and a program get."""

import io
import json

import pytest

from guardrail.cli.output import Output, exit_code
from guardrail.decisions import Reason
from guardrail.errors import (
    ConfigError,
    Conflict,
    Denied,
    GuardrailError,
    InvalidArguments,
    LedgerUnavailable,
    PolicyError,
    Rejected,
    VerificationFailed,
)
from guardrail.outcomes import Outcome

LONG = "a reason that a person has to read whole, " * 20
ROWS = [("call_0123456789abcdef", "deny", LONG), ("call_fedcba9876543210", "allow", "ok")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def table_to(stream: io.StringIO, *, color: bool | None = None) -> list[str]:
    Output(color=color, stream=stream).table(("CALL", "EFFECT", "WHY"), ROWS)
    return stream.getvalue().splitlines()


def test_a_pipe_gets_one_plain_whole_line_a_row():
    assert table_to(io.StringIO()) == [
        "CALL                   EFFECT  WHY",
        f"call_0123456789abcdef  deny    {LONG.rstrip()}",
        "call_fedcba9876543210  allow   ok",
    ]


@pytest.mark.parametrize("how", ["option", "environment"])
def test_colours_survive_a_pipe_where_they_are_asked_for(how: str, monkeypatch: pytest.MonkeyPatch):
    if how == "environment":
        monkeypatch.setenv("FORCE_COLOR", "1")
    lines = table_to(io.StringIO(), color=True if how == "option" else None)
    assert lines[1].startswith("call_0123456789abcdef  \x1b[31mdeny  \x1b[0m  a reason")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("option", "environment"), [(False, {"FORCE_COLOR": "1"}), (None, {"NO_COLOR": "1", "FORCE_COLOR": "1"})]
)
def test_a_terminal_stays_plain_where_colours_are_refused(
    option: bool | None, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in "".join(table_to(Terminal(), color=option))


def test_a_narrow_terminal_folds_reasons_and_never_cuts_an_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = table_to(Terminal(), color=False)
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("call_0123456789abcdef  deny")
    assert "".join(line[31:].strip() for line in lines[1:-1]).replace(" ", "") == LONG.replace(" ", "")


def test_what_others_wrote_is_printed_and_not_obeyed():
    stream = io.StringIO()
    Output(color=True, stream=stream).table(("WHY",), [("[red]not markup[/red] :smile: \x1b[2J \u202egnp",)])
    assert stream.getvalue().splitlines()[1] == r"[red]not markup[/red] :smile: \u{1b}[2J \u{202e}gnp"


def test_a_document_is_ascii_and_reads_back():
    stream = io.StringIO()
    Output(stream=stream).document({"why": "\u202e\x9bé"})
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue()) == {"why": "\u202e\x9bé"}


BLOCKED = Outcome(status="blocked", reasons=(Reason(rule="r", message="m"),))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (InvalidArguments("x"), 2),
        (LedgerUnavailable("x"), 4),
        (Denied("x", outcome=BLOCKED), 3),
        (Rejected("x", outcome=BLOCKED), 3),
        (Conflict("x"), 1),
        (VerificationFailed("x"), 1),
        (PolicyError("x"), 1),
        (GuardrailError("x"), 1),
    ],
)
def test_every_known_error_has_its_exit_code(error: GuardrailError, code: int):
    assert exit_code(error) == code
