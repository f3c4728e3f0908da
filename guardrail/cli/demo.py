"""`demo`: three agents under guard, played by an adapter that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.adapters import adapter
from guardrail.cli.options import Color
from guardrail.cli.output import Output


def demo(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="A scripted approver answers instead of you.")] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="PROVIDER:NAME", help="A real model. Left out: a scripted one."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--directory", metavar="DIR", help="Where the demo leaves its folder.")
    ] = Path("guardrail-demo"),
    color: Color = None,
) -> None:
    """Watch three agents: a call allowed, one denied, one approved, one halted, one crashed and unknown."""
    output = Output()
    if output.is_terminal:
        output.line("Loading LangGraph …", style="dim")
    play = adapter("langgraph", "demo", needed_by="the demo")
    raise typer.Exit(play.run(directory, yes=yes, model=model, console=Output(color=color).console))
