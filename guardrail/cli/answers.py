"""`edit` and `forget`, and the further lists of `approvals`: live, in figures, and what is remembered."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.canonical import canonical
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, Person, only, opened, person_or_user
from guardrail.cli.output import Output
from guardrail.durations import seconds
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.approvals import Approval
    from guardrail.ledger import Ledger
    from guardrail.scopes import Remembered

_EVERY: Final = 0.5
"""Seconds between two looks of `--watch`."""


def edit(
    approval: Annotated[
        str, typer.Argument(metavar="APPROVAL", help="The approval's id, or a beginning that no other has.")
    ],
    *,
    change: Annotated[
        list[str],
        typer.Option("--set", metavar="ARGUMENT=JSON", help="An argument, and its new value: amount=100."),
    ],
    person: Person = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: the agent reads it.")] = "",
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Change the arguments of a call that waits; with the new ones it goes down the whole line."""
    who = person_or_user(person)
    output = Output(color=color)
    with opened(config) as (settings, ledger):
        found = only(
            "approval", approval, ((item.id, item) for item in ledger.approvals()),
            fix="list them with `guardrail approvals --all`",
        )  # fmt: skip
        before = dict(ledger.approval_arguments(found.id).arguments)
        after = {**before, **dict(map(_assigned, change))}
        with closing(settings.voting(ledger)) as voting:
            changed = voting.edit(found.id, who.id, after, channel="cli", reason=reason)
    if as_json:
        output.document(changed.as_json())
        return
    output.line(f"Changed by {who}.", style="green")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            output.line(f"- {_line(name, before)}", style="red", indent=2)
            output.line(f"+ {_line(name, after)}", style="green", indent=2)
    output.line(f"Approval {changed.id} is superseded: the call with these arguments is judged anew.")


def forget(
    scope: Annotated[
        str, typer.Argument(metavar="SCOPE", help="The scope's id, or a beginning that no other has.")
    ],
    *,
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Take back a yes that was given beforehand: people are asked again."""
    who = person_or_user(person)
    with opened(config) as (settings, ledger):
        kept = ((item.id, item) for item in ledger.all_scopes())
        found = only("scope", scope, kept, fix="list them with `guardrail approvals --remembered`")
        with closing(settings.voting(ledger)) as voting:
            voting.forget(found.id, who.id)
    output = Output(color=color)
    if as_json:
        output.document({"forgotten": found.id})
    else:
        output.line(f"Forgotten by {who}: {visible(found.tool)} is asked about again.")


def read_scope(duration: str, matching: list[str]) -> Remembered:
    """The scope that the options of `approve` describe.

    Raises:
        BadParameter: it is no duration, or a pattern is none.
    """
    from guardrail.scopes import Remembered  # noqa: PLC0415  `guardrail --help` does without

    try:
        return Remembered(seconds=seconds(duration), varying=dict(map(_pattern, matching)))
    except ValueError as error:
        raise typer.BadParameter(f"--remember {duration}: {error}") from error


def watching(output: Output, ledger: Ledger, *, as_json: bool) -> None:
    """A line for every request that comes, and for every one that is decided, until ^C."""
    seen: dict[str, tuple[str, int]] = {}
    first = True
    while True:
        ledger.expire_due()
        for item in ledger.approvals():
            now = item.state, len(item.votes)
            if seen.get(item.id) != now and (not first or item.state == "pending"):
                _tell(output, item, as_json=as_json)
            seen[item.id] = now
        first = False
        output.console.file.flush()
        time.sleep(_EVERY)


def show_figures(output: Output, ledger: Ledger, *, as_json: bool) -> None:
    """How people answer."""
    found = ledger.figures()
    if as_json:
        output.document(found.as_json())
        return
    output.fields(
        [
            ("requests", ", ".join(f"{count} {state}" for state, count in found.states.items()) or "none"),
            ("decided", f"{found.decided}, half of them within {_seconds(found.median_seconds)}"),
            ("slowest tenth", f"took longer than {_seconds(found.slowest_tenth_seconds)}"),
            ("timeouts", found.timeouts),
            ("unopened", f"{found.unopened} of {found.approvals} approvals"),
        ]
    )
    rows = [(item.person, item.approved, item.rejected, item.unopened) for item in found.people]
    if rows:
        output.table(("PERSON", "APPROVED", "REJECTED", "UNOPENED"), rows)


def show_remembered(output: Output, ledger: Ledger, *, as_json: bool) -> None:
    """What people have said yes to beforehand."""
    found = ledger.all_scopes()
    if as_json:
        output.document({"remembered": [item.as_json() for item in found]})
    elif found:
        rows = [
            (
                item.id,
                item.person,
                item.tool,
                item.until,
                canonical(item.varying).decode() if item.varying else "this exact call",
                item.forgotten_by,
            )
            for item in found
        ]
        output.table(("SCOPE", "PERSON", "TOOL", "UNTIL", "MAY DIFFER", "FORGOTTEN BY"), rows)
    else:
        output.line("Nothing is remembered.")


def _tell(output: Output, item: Approval, *, as_json: bool) -> None:
    if as_json:
        output.console.file.write(json.dumps(item.as_json()) + "\n")
        return
    by = ", ".join(f"{vote.person}: {vote.answer}" for vote in item.votes)
    many = f" ({item.count} identical calls)" if item.count > 1 else ""
    chain = " > ".join(item.chain)
    output.line(visible(f"{item.id}  {item.state}  {chain}  {item.tool}{many}  {by}".rstrip()))


def _assigned(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"--set {text}: expected a JSON value; texts stand in quotes") from error


def _pattern(text: str) -> tuple[str, Any]:
    """`amount=..100`, `amount=5..` and `amount=5..100` for numbers, anything else for texts."""
    name, _, pattern = text.partition("=")
    low, dots, high = pattern.partition("..")
    try:
        bounds = {key: float(number) for key, number in (("at_least", low), ("at_most", high)) if number}
    except ValueError:
        return name, pattern
    return (name, bounds) if dots and bounds else (name, pattern)


def _line(name: str, arguments: dict[str, Any]) -> str:
    if name not in arguments:
        return visible(f"{canonical(name).decode()} is not given")
    return visible(f"{canonical(name).decode()}: {canonical(arguments[name]).decode()}")


def _seconds(number: float | None) -> str:
    return "-" if number is None else f"{number:,.1f} s"
