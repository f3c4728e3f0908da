"""`approvals`, `approve` and `reject`: what waits for a person, and what the person says."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.approvals import Approval, read_answer
from guardrail.cli.answers import read_scope, show_figures, show_remembered, watching
from guardrail.cli.arguments import ShownArguments, shown_arguments
from guardrail.cli.options import (
    CONFIG,
    AsJson,
    Color,
    ConfigPath,
    Person,
    listing,
    only,
    opened,
    person_or_user,
)
from guardrail.cli.output import Output
from guardrail.errors import Conflict, GuardrailError
from guardrail.showing import wanted, why
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.ledger import Ledger

ApprovalId = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="The approval's id, or a beginning that no other has.")
]


def approvals(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Decided and expired ones too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: a line for every change, until ^C.")] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="How long people take, timeouts, what they do not open.")
    ] = False,
    remembered: Annotated[
        bool, typer.Option("--remembered", help="What people have said yes to beforehand.")
    ] = False,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """List what waits for a person."""
    with opened(config) as (settings, ledger):
        if watch or figures or remembered:
            output = listing(settings, color=color, as_json=as_json)
            show = watching if watch else show_figures if figures else show_remembered
            show(output, ledger, as_json=as_json)
            return
        ledger.expire_due()
        found = ledger.approvals(state=None if everything else "pending")
    output = listing(settings, color=color, as_json=as_json)
    if as_json:
        output.document({"mode": settings.mode, "approvals": [approval.as_json() for approval in found]})
    elif found:
        rows = [
            (
                item.id,
                item.state,
                item.expires_at,
                " > ".join(item.chain),
                item.tool,
                [why(ask) for ask in item.asks],
            )
            for item in found
        ]
        output.table(("APPROVAL", "STATE", "EXPIRES", "AGENT", "TOOL", "ASKED"), rows)
    else:
        output.line("No approvals." if everything else "Nothing waits for a person.")


def approve(
    approval: ApprovalId,
    *,
    person: Person = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the vote.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the word.")] = False,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show masked arguments here, in the clear.")
    ] = False,
    remember: Annotated[
        str | None,
        typer.Option("--remember", metavar="DURATION", help='Say yes to the same call for so long: "8h".'),
    ] = None,
    matching: Annotated[
        list[str] | None,
        typer.Option(
            "--matching",
            metavar="ARGUMENT=PATTERN",
            help='With --remember: an argument that may differ, as in to="*@example.com" or amount=..100.',
        ),
    ] = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Approve exactly one call, after showing it whole: who, through whom, which tool, all arguments."""
    who = person_or_user(person)
    if as_json and not yes:
        raise typer.BadParameter("with --json nobody is asked for the word: add --yes")
    output, scope = Output(color=color), read_scope(remember, matching or []) if remember else None
    with opened(config) as (settings, ledger), closing(settings.voting(ledger)) as voting:
        found = find(ledger, approval)
        if scope is not None and scope.seconds > settings.approvals.remember_at_most:
            raise Conflict(
                f"nothing is remembered for {remember}",
                fix="see approvals.remember_at_most in guardrail.toml",
            )
        voting.check(found.id, who.id)
        kept = ledger.approval_arguments(found.id)
        if scope is not None:
            scope.check(kept.arguments)
        arguments = shown_arguments(kept.arguments, kept.mask, settings, reveal=reveal)
        if not as_json:
            show_approval(output, found, arguments)
        if arguments.hidden:
            raise Conflict(
                f"{len(arguments.hidden)} arguments are masked: nobody approves what is not shown",
                fix=f"add --reveal to show them here, or `guardrail reject {found.id[:8]}`",
            )
        if not yes:
            _ask_for_the_word(output, who=str(who))
        voted = voting.vote(found.id, who.id, "approve", channel="cli", reason=reason)
        if scope is not None:
            voting.remember(found.id, who.id, scope, channel="cli")
    _said(output, voted, f"Approved by {who}.", as_json=as_json)


def reject(
    approval: ApprovalId,
    *,
    person: Person = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: the agent reads it.")] = "",
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Reject one call. One rejection is final."""
    who = person_or_user(person)
    with opened(config) as (settings, ledger):
        number = find(ledger, approval).id
        with closing(settings.voting(ledger)) as voting:
            voted = voting.vote(number, who.id, "reject", channel="cli", reason=reason)
    _said(Output(color=color), voted, f"Rejected by {who}.", as_json=as_json)


def find(ledger: Ledger, given: str) -> Approval:
    """The approval with an id that begins so.

    Raises:
        Conflict: none, or several.
    """
    found = ((item.id, item) for item in ledger.approvals())
    return only("approval", given, found, fix="list them with `guardrail approvals --all`")


def show_approval(output: Output, approval: Approval, arguments: ShownArguments) -> None:
    """Everything that a person needs to decide, and nothing that he cannot trust."""
    output.line(f"Approval {approval.id}", style="bold")
    output.fields(
        [
            ("state", approval.state),
            ("requested", approval.requested_at),
            ("expires", approval.expires_at),
            ("run", approval.run),
            ("call", f"call_{approval.key[:16]}"),
            ("agent", " > ".join(approval.chain)),
            ("acts for", approval.principal),
            ("tool", approval.tool),
            *(("asked", f"{why(ask)}; {wanted(ask)}") for ask in approval.asks),
            *(
                (
                    "vote",
                    f"{vote.person}: {vote.answer} at {vote.at} by {vote.channel} {vote.reason}".rstrip(),
                )
                for vote in approval.votes
            ),
            *(
                (("edited", f"by {approval.edited_by}, in place of {approval.edits}"),)
                if approval.edits
                else ()
            ),
            *(
                (("waiting", f"{approval.count} identical calls: one yes runs one"),)
                if approval.count > 1
                else ()
            ),
            ("digest", approval.digest),
        ]
    )
    arguments.print(output)


def _ask_for_the_word(output: Output, *, who: str) -> None:
    """Go on only where the person types the one word.

    Raises:
        Conflict: anything else was typed, or nothing; no vote was cast.
    """
    output.line()
    output.line(f"You are {who}. Type the word approve to approve exactly this call:")
    typed = sys.stdin.readline()
    try:
        answer = read_answer(typed)
    except GuardrailError as error:
        raise Conflict(
            f"{error.message}: no vote was cast", fix="type the word approve, and nothing else"
        ) from error
    if answer != "approve":
        raise Conflict("no vote was cast", fix="to reject it, use `guardrail reject`")


def _said(output: Output, approval: Approval, words: str, *, as_json: bool) -> None:
    """What the vote has come to."""
    if as_json:
        output.document(approval.as_json())
        return
    output.line(words, style="green" if approval.state != "rejected" else "red")
    output.line(f"Approval {approval.id} is {approval.state}{_what_next(approval)}.")


def _what_next(approval: Approval) -> str:
    if approval.state == "approved":
        return f": {visible(approval.tool)} runs once, when its agent goes on"
    yes = sum(vote.answer == "approve" for vote in approval.votes)
    return f": {yes} said yes, more people have to" if approval.state == "pending" else ""
