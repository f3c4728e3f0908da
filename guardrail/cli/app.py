"""The application: which commands there are, in which order, and how their errors end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from guardrail.cli import (
    answers,
    approvals,
    audit,
    controls,
    database,
    demo,
    doctor,
    editions,
    erasing,
    exporting,
    exports,
    outputs,
    packages,
    policies,
    proofs,
    pruning,
    replay,
    runs,
    service,
    slack,
    suggest,
)
from guardrail.cli.output import complain, exit_code
from guardrail.errors import GuardrailError
from guardrail.version import __version__


class Commands(TyperGroup):
    """The commands; a known error becomes a message on standard error and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was given."""
        try:
            return super().invoke(ctx)
        except GuardrailError as error:
            complain(error)
            raise typer.Exit(exit_code(error)) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 the answer is no, 2 used wrongly, 3 refused, 4 a dependency is down.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"guardrail {__version__}")
        raise typer.Exit


@app.callback()
def guardrail(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  typer reads it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Validate, bound, approve and record every tool call of your AI agents, before it happens."""
    context.call_on_close(exporting.begin())


_COMMANDS: Final[Mapping[str, Mapping[str, Callable[..., None]]]] = {
    "Set up": {
        "init": policies.init,
        "packs": policies.packs,
        "demo": demo.demo,
        "check": policies.check,
        "test": policies.run_tests,
        "bundle": policies.bundle,
    },
    "Look": {
        "runs": runs.runs,
        "show": runs.show,
        "approvals": approvals.approvals,
        "outputs": outputs.outputs,
        "suggest": suggest.suggest,
        "doctor": doctor.doctor,
    },
    "Decide": {
        "approve": approvals.approve,
        "reject": approvals.reject,
        "edit": answers.edit,
        "forget": answers.forget,
        "halt": controls.halt,
        "unhalt": controls.unhalt,
        "settle": controls.settle,
        "erase": erasing.erase,
        "prune": pruning.prune,
    },
    "Serve": {
        "serve": service.serve,
        "token": service.token,
        "keys": service.keys,
        "resume": service.resume,
    },
    "Prove": {
        "verify": audit.verify,
        "checkpoint": proofs.checkpoint,
        "prove": proofs.prove,
        "export": exports.export,
        "replay": replay.replay,
    },
}
for panel, commands in _COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(packages.app, name="packages", rich_help_panel="Look")
app.add_typer(editions.app, name="policies", rich_help_panel="Look")
app.add_typer(database.app, name="database", rich_help_panel="Set up")
app.add_typer(slack.app, name="slack", rich_help_panel="Set up")
