"""`policies`: which policies took whose place, which were refused, and who may let them go back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, Person, listing, opened, person_or_user
from guardrail.cli.output import Output
from guardrail.errors import ConfigError
from guardrail.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.ledger.activations import Activation

app = typer.Typer(help="Policies as a team hands them out.", invoke_without_command=True)


@app.callback()
def policies(
    context: typer.Context,
    *,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """List every activation and every refused one, the oldest first; see docs/bundles.md."""
    if context.invoked_subcommand is not None:
        return
    with opened(config) as (settings, ledger):
        output = listing(settings, color=color, as_json=as_json)
        found = ledger.activations.all()
    if as_json:
        shown = [activation.as_json() for activation in found]
        output.document({"mode": settings.mode, "source": settings.policies.title, "activations": shown})
    else:
        _show(output, found)


@app.command()
def activate(
    *,
    allow_rollback: Annotated[
        bool, typer.Option("--allow-rollback", help="Also where the edition is older than the last one.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why it may go back: it is recorded.")] = "",
    person: Person = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Check what the source holds now and write down that it is to decide. Guards take it at their next look."""
    from guardrail.activating import activate_now  # noqa: PLC0415  the Rego interpreter: help does without
    from guardrail.policy import AllOf  # noqa: PLC0415

    if allow_rollback and not reason.strip():
        raise typer.BadParameter("say why it may go back: --reason TEXT", param_hint="--allow-rollback")
    who = person_or_user(person)
    with opened(config) as (settings, ledger):
        supply = settings.supply()
        if supply is None:
            raise ConfigError(
                f"{config}: policies.source: policies are read from folders, once",
                fix='name where they are handed out: source = "…" under [policies]',
            )
        activation = activate_now(
            supply,
            ledger,
            around=lambda rego: AllOf([settings.boundaries(), rego], hide=settings.masking.hide),
            by=who.id,
            back=reason if allow_rollback else None,
        )
    output = Output(color=color)
    if as_json:
        output.document(activation.as_json())
        return
    output.line(f"Activated: {visible(activation.title)} of {visible(activation.source)}", style="green")
    output.line(f"By {who}. Guards that run take it at their next look.")


def _show(output: Output, found: Sequence[Activation]) -> None:
    if not found:
        output.line("Nothing was activated from a source yet.")
        return
    rows = [
        (
            one.at,
            one.result if not one.code else f"{one.result} ({one.code})",
            one.label or one.edition[:16],
            one.counter,
            one.previous[:16],
            one.policy[:16],
            one.by,
            one.source,
            one.why,
        )
        for one in found
    ]
    output.table(("AT", "RESULT", "EDITION", "COUNTER", "FROM", "TO", "BY", "SOURCE", "WHY"), rows)
