"""`halt`, `unhalt` and `settle`: when agents must stop, and when nobody knows how a call ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, Person, listing, opened, person_or_user
from guardrail.cli.output import Output
from guardrail.mistakes import close_to
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger import Ledger
    from guardrail.ledger.listings import ListedHalt

AgentName = Annotated[
    str | None, typer.Option("--agent", metavar="NAME", help="One agent, also where it delegates.")
]
ToolTitle = Annotated[str | None, typer.Option("--tool", metavar="SERVER/NAME", help="One tool.")]
RunId = Annotated[str | None, typer.Option("--run", metavar="RUN", help="One run, by its whole id.")]
Everything = Annotated[bool, typer.Option("--all", help="Every call of every agent.")]


def halt(
    *,
    agent: AgentName = None,
    tool: ToolTitle = None,
    run: RunId = None,
    everything: Everything = False,
    reason: Annotated[str, typer.Option("--reason", help="Why: agents and people read it.")] = "",
    shown: Annotated[bool, typer.Option("--list", help="Show what is halted, halt nothing.")] = False,
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Refuse calls from now on, in every process and in observe mode too. What runs already goes on."""
    if shown:
        with opened(config) as (settings, ledger):
            output = listing(settings, color=color, as_json=as_json)
            halts = ledger.halts()
        if as_json:
            output.document({"mode": settings.mode, "halts": [item.as_json() for item in halts]})
        else:
            _show_halts(output, halts)
        return
    scope = _scope(agent=agent, tool=tool, run=run, everything=everything)
    who = person_or_user(person)
    with opened(config) as (settings, ledger):
        ledger.halt(scope, who.id, reason)
        doubt = _doubt(scope, settings, ledger)
    if as_json:
        Output().document({"halted": scope, "by": who.id, "reason": reason, "doubt": doubt})
        return
    output = Output(color=color)
    output.line(f"Halted: {visible(scope)} ({visible(reason) or 'no reason given'})", style="bold red")
    if doubt is not None:
        output.line(f"But {visible(doubt)}", style="bold red")
    output.line(f"By {who}. Lift it with `guardrail unhalt`.")


def unhalt(
    *,
    agent: AgentName = None,
    tool: ToolTitle = None,
    run: RunId = None,
    everything: Everything = False,
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Lift one halt; whatever else is halted stays so."""
    scope = _scope(agent=agent, tool=tool, run=run, everything=everything)
    who = person_or_user(person)
    with opened(config) as (_, ledger):
        ledger.unhalt(scope, who.id)
        left = [halt.scope for halt in ledger.halts()]
    if as_json:
        Output().document({"unhalted": scope, "by": who.id, "still_halted": left})
        return
    output = Output(color=color)
    output.line(f"No longer halted: {visible(scope)}", style="green")
    output.line(f"By {who}.")
    if left:
        output.line(f"Still halted: {visible(', '.join(left))}", style="red")


def settle(
    call: Annotated[str, typer.Argument(metavar="CALL", help="The call: call_…, as listings show it.")],
    *,
    ran: Annotated[bool, typer.Option("--ran", help="You found out that it ran.")] = False,
    did_not_run: Annotated[
        bool, typer.Option("--did-not-run", help="You found out that it did not.")
    ] = False,
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Say how a call ended whose outcome is unknown. One that did not run may be tried again."""
    if ran == did_not_run:
        raise typer.BadParameter("find out whether it ran, then add one of --ran and --did-not-run")
    who = person_or_user(person)
    with opened(config) as (_, ledger):
        state = ledger.resolve(call, ran=ran, by=who.id)
    if as_json:
        Output().document({"call": call, "ran": ran, "state": state, "by": who.id})
        return
    output = Output(color=color)
    meaning = "it ran, without a result" if ran else "it did not run; the same call may be tried again"
    output.line(f"Settled: {visible(call)} is now {state}: {meaning}.")
    output.line(f"By {who}.")


def _doubt(scope: str, settings: Config, ledger: Ledger) -> str | None:
    """Why a halt may stop nobody: a misspelt name looks like a success, and that in an emergency."""
    kind, _, name = scope.partition(":")
    known: list[str]
    match kind:
        case "agent":
            known = list(settings.agents)
        case "tool":
            known = list(
                {*settings.tools, *(tool for item in settings.agents.values() for tool in item.tools)}
            )
            known = [tool if "/" in tool else f"local/{tool}" for tool in known]
        case "run":
            known = [run.id for run in ledger.runs()]
        case _:
            return None
    if name in known:
        return None
    near = close_to(name, known)
    return f"no {kind} {name!r} is known here" + (f"; did you mean {near!r}?" if near else ".")


def _show_halts(output: Output, halts: Sequence[ListedHalt]) -> None:
    """What is halted, by whom, and why."""
    if halts:
        rows = [(halt.scope, halt.by, halt.at, halt.reason) for halt in halts]
        output.table(("HALTED", "BY", "SINCE", "REASON"), rows)
    else:
        output.line("Nothing is halted.")


def _scope(*, agent: str | None, tool: str | None, run: str | None, everything: bool) -> str:
    """The scope that the options name: exactly one."""
    named = [f"{kind}:{name}" for kind, name in (("agent", agent), ("run", run)) if name is not None]
    if tool is not None:
        named.append(f"tool:{tool if '/' in tool else f'local/{tool}'}")
    if everything:
        named.append("all")
    if len(named) != 1:
        raise typer.BadParameter("name exactly one of --agent NAME, --tool SERVER/NAME, --run RUN and --all")
    return named[0]
