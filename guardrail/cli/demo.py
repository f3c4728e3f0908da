"""`demo`: three agents under guard, played by an adapter that is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.options import Color
from guardrail.cli.output import Output
from guardrail.errors import ConfigError

_ADAPTER = "langgraph"


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
    found = entry_points(group="guardrail.adapters", name=_ADAPTER)
    fix = f"pip install 'guardrail-runtime[{_ADAPTER}]'"
    if not found:
        raise ConfigError("the demo needs the adapter for LangGraph, which is not installed", fix=fix)
    output = Output()
    if output.is_terminal:
        output.line("Loading LangGraph …", style="dim")
    try:
        play = import_module(f"{next(iter(found)).module}.demo")
    except ImportError as error:
        raise ConfigError(f"the demo needs LangGraph: {error}", fix=fix) from error
    raise typer.Exit(play.run(directory, yes=yes, model=model, console=Output(color=color).console))
