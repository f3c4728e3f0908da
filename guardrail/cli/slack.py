"""`slack`: what Slack has to be told to let guardrail in."""

from __future__ import annotations

from typing import Annotated

import typer

from guardrail.cli.adapters import adapter
from guardrail.cli.output import Output

app = typer.Typer(help="Connect Slack.", no_args_is_help=True)


@app.callback()
def slack() -> None:
    """Set Slack up: see docs/slack.md."""


@app.command()
def manifest(
    *,
    url: Annotated[
        str,
        typer.Option("--url", metavar="URL", help="Where `guardrail serve` is reached from the internet."),
    ],
    name: Annotated[str, typer.Option("--name", help="What people call the app.")] = "Guardrail",
) -> None:
    """Print the app manifest: paste it at api.slack.com/apps, "Create New App", "From a manifest"."""
    if not url.startswith("https://"):
        raise typer.BadParameter("Slack posts to an address that begins with https:// only")
    made = adapter("slack", "manifest", needed_by="`guardrail slack`").manifest(url, name=name)
    Output().document(made)
