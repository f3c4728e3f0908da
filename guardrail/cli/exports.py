"""`export`: what was recorded, for whoever verifies it, and in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from guardrail.cli.histories import history_of, moment
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.output import Output
from guardrail.cli.progress import Progress, bar
from guardrail.cli.proofs import Advance, export_for_verifiers
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.exports.exporting import Exported

Form = Literal["parquet", "opa", "ocsf", "otel"]
_ADDRESSES: Final = ("http://", "https://")
_WHY: Final = {
    "erased": "was erased",
    "closed": "was sealed by another key",
    "changed": "is not what was sealed: run `guardrail verify`",
}


def export(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A folder for parquet, else a file; for otel also the address of a collector.",
        ),
    ] = None,
    *,
    form: Annotated[Form | None, typer.Option("--format", help="For which tools.")] = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FOLDER", help="A new folder for logs and checkpoints.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Only from then on: 2026-01-31, 2026-01-31T12:00:00Z, 7d."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Only from before then.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run.")] = None,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="Arguments, messages and results too; what is masked stays so.")
    ] = False,
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Write what was recorded for other tools (--format), or for whoever verifies it without this database (--log).

    Nothing that is sealed is in it, unless you ask for that. What was cut off is gone on with by the same command.
    """
    others = target, form, since, until, run
    if log is not None and (unsealed or any(option is not None for option in others)):
        raise typer.BadParameter("--log writes all records as they are: it takes no other choice")
    if log is None and (target is None or form is None):
        raise typer.BadParameter("give a target and its --format, or --log FOLDER")
    with bar("Exporting", shown=progress) as advance:
        if log is not None:
            told = export_for_verifiers(log, config=config, as_json=as_json, color=color, progress=advance)
        else:
            done = _export(
                target or "", form or "parquet", since, until, run, unsealed=unsealed, config=config, progress=advance
            )  # fmt: skip

            def told() -> None:
                _tell(done, as_json=as_json, color=color)

    told()


def _export(
    target: str,
    form: Form,
    since: str | None,
    until: str | None,
    run: str | None,
    *,
    unsealed: bool,
    config: Path,
    progress: Advance,
) -> Exported:
    from guardrail.exports.cursor import Asked  # noqa: PLC0415  SQLAlchemy, pydantic: help does without

    settings = load(config)
    history = history_of(settings, run, since)
    asked = Asked(
        format=form,
        since=history.since,
        until="" if until is None else moment(until),
        run=history.run,
        unsealed=unsealed,
        words=(since or "", until or ""),
        hide=tuple(settings.masking.hide),
    )
    if target.startswith(_ADDRESSES):
        if form != "otel":
            raise typer.BadParameter("only --format otel is sent to an address")
        from guardrail.exports.collector import send  # noqa: PLC0415  httpx: files do without

        return send(history, target, asked, progress=progress)
    from guardrail.exports.exporting import export as export_to  # noqa: PLC0415

    return export_to(history, Path(target), asked, progress=progress)


def _tell(done: Exported, *, as_json: bool, color: bool | None) -> None:
    output = Output(color=color)
    if as_json:
        output.document(done.as_json())
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(done.counts.items())) or "nothing"
    output.line(f"{'went on and ' if done.resumed else ''}wrote {counts} to {visible(done.target)}")
    if done.details.get("sealed"):
        output.line(
            f"Arguments, messages and results of {done.details['sealed']:,} records stay sealed; --unsealed opens them."
        )
    if done.details.get("shown"):
        output.line(
            f"UNSEALED: what {done.details['shown']:,} records hold is in it, in the clear.", style="yellow"
        )
    for state, why in _WHY.items():
        if count := done.details.get(state):
            output.line(f"The detail of {count:,} records {why}.")
