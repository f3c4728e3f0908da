"""`verify`: whether everything that was recorded is as it was written."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load
from guardrail.cli.output import Output
from guardrail.cli.progress import Progress, bar
from guardrail.cli.proofs import kept_elsewhere
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.ledger.findings import Verification


def verify(
    *,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="Checkpoints kept elsewhere, to agree with; repeat it."
        ),
    ] = None,
    anchors: Annotated[
        bool, typer.Option("--anchors", help="Ask wherever \\[checkpoints.anchors] keeps them.")
    ] = False,
    progress: Progress = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Recompute every hash and compare what the tables say with the records; name the first bad record."""
    from guardrail.ledger.verify import verify as verify_ledger  # noqa: PLC0415  SQLAlchemy: help does without
    from guardrail.sealing import SealingKey  # noqa: PLC0415  cryptography: likewise

    settings = load(config)
    # Opened by nothing but the verifier: checking a ledger may neither make one nor change it.
    key = SealingKey.read(settings.key_path) if settings.key_path.exists() else None
    told = settings.checkpoints
    keys = told.keys(settings.folder) if told is not None else None
    kept = kept_elsewhere(settings, checkpoint or (), anchors=anchors) if checkpoint or anchors else ()
    with bar("Verifying", shown=progress) as advance:
        found = verify_ledger(settings.ledger_path, key=key, keys=keys, kept=kept, progress=advance)
    if as_json:
        Output().document(found.as_json())
    else:
        _tell(Output(color=color), found, settings.key_path)
    found.require()  # names the first bad record


def _tell(output: Output, found: Verification, key: Path) -> None:
    from guardrail.ledger.pruning import spelled  # noqa: PLC0415  SQLAlchemy: help does without

    output.table(
        ("LOG", "MONTH", "RECORDS", "ROOT"),
        [(h.log, h.month or None, h.size, h.root) for h in found.heads],
    )
    output.line()
    for fault in found.faults[1:]:
        output.line(f"also bad: {visible(str(fault))}", style="red")
    if found.closed:
        output.line(f"{found.closed:,} sealed details were not opened: their key is not {key}")
    if found.erased:
        output.line(f"{found.erased:,} sealed details were erased; their records still verify.")
    for month, logs in groupby(found.pruned, key=lambda one: one.month):
        gone = list(logs)
        output.line(
            f"{sum(one.size for one in gone):,} records of {spelled(month)} were pruned, {gone[-1].at}."
            + (
                " Their removal is not finished: run `guardrail prune`."
                if any(one.left for one in gone)
                else ""
            )
        )
    if found.ok:
        output.line(f"Verified: {found.claim}.", style="green")
        if found.reached is None or not found.reached.kept:
            output.line(
                "Whoever could rewrite the whole file could rewrite these heads too: keep a copy elsewhere."
            )
