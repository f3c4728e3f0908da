"""`checkpoint`, `prove` and `export --log`: to have signed how the logs stand, and to show it to others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load, opened
from guardrail.cli.output import Output
from guardrail.errors import ConfigError, VerificationFailed
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.checkpoint_settings import CheckpointSettings
    from guardrail.config import Config
    from guardrail.ledger.signed import Kept

Advance = Callable[[int, int | None], None] | None
"""What moves a progress bar."""
_PLACE = re.compile(r"(0|[1-9][0-9]*)/(0|[1-9][0-9]*)", re.ASCII)


def checkpoint(*, config: ConfigPath = CONFIG, as_json: AsJson = False, color: Color = None) -> None:
    """Have signed how all logs stand, and have that kept where nobody here can take it back.

    Run it from a timer, as a user whose key no agent can read.
    """
    from guardrail.checkpointing import make_checkpoint  # noqa: PLC0415  cryptography: help does without

    with opened(config) as (settings, ledger):
        told, folder = declared(settings), settings.folder
        made = make_checkpoint(ledger, told.signer(folder), told.anchored(folder), keys=told.keys(folder))
    output = Output(color=color)
    if as_json:
        output.document({
            "origin": made.checkpoint.origin, "checkpoint": made.checkpoint.size, "records": made.records,
            "note": str(made.note), "anchored": made.anchored, "failed": [error.message for error in made.failed],
        })  # fmt: skip
    else:
        output.line(
            f"Checkpoint {made.checkpoint.size} of {made.checkpoint.origin}: {made.records:,} records.",
            style="green",
        )
        for place in made.anchored:
            output.line(f"kept by {visible(place)}")
        if not made.anchored:
            output.line("It is kept here alone: name a place in [checkpoints.anchors].", style="yellow")
        for error in made.failed[1:]:
            output.line(f"not kept: {visible(error.message)}", style="red")
    if made.failed:
        raise made.failed[0]


def prove(
    record: Annotated[
        str,
        typer.Argument(metavar="RECORD", help="LOG/SEQUENCE, or call_…: the last record about that call."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Left out: LOG-SEQUENCE.tlog-proof.")
    ] = None,
    config: ConfigPath = CONFIG,
    color: Color = None,
) -> None:
    """Write the proof that a record was written before the last checkpoint and not changed since."""
    from guardrail.ledger.exporting import prove as prove_record  # noqa: PLC0415  SQLAlchemy: help does without
    from guardrail.verifier.proofs import SUFFIX  # noqa: PLC0415

    settings = load(config)
    log, sequence = _place(config, record)
    keys = declared(settings).keys(settings.folder)
    proof = prove_record(settings.ledger_path, log, sequence, keys)
    file = out or Path(f"{log}-{sequence}{SUFFIX}")
    try:
        file.write_text(str(proof), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", fix="name another file") from error
    output = Output(color=color)
    output.line(
        f"wrote {file}: log {log}, record {sequence}, under checkpoint {proof.verify(keys).checkpoint.size}"
    )
    output.line(f"Check it anywhere: python -m guardrail.verifier {file} --key '{keys.logs[0]}'")


def export_for_verifiers(
    folder: Path, *, config: Path, as_json: bool, color: bool | None, progress: Advance
) -> Callable[[], None]:
    """Write all logs and the checkpoints over them into a new folder; what it answers says so."""
    from guardrail.ledger.exporting import export_logs  # noqa: PLC0415  SQLAlchemy: help does without

    settings = load(config)
    done = export_logs(settings.ledger_path, folder, progress=progress)

    def tell() -> None:
        output = Output(color=color)
        counts = {"logs": done.logs, "records": done.records, "checkpoints": done.checkpoints}
        if as_json:
            output.document({"folder": str(folder), **counts})
            return
        output.line(
            f"wrote {done.records:,} records of {done.logs} logs and {done.checkpoints} checkpoints to {folder}"
        )
        if settings.checkpoints is None or not done.checkpoints:
            output.line(
                "No checkpoint is signed: nobody can verify this. See `guardrail checkpoint`.", style="yellow"
            )
        else:
            (key, *_) = settings.checkpoints.keys(settings.folder).logs
            output.line(f"Check it anywhere: python -m guardrail.verifier {folder} --key '{key}'")

    return tell


def kept_elsewhere(settings: Config, files: Sequence[Path], *, anchors: bool) -> list[Kept]:
    """Checkpoints that a ledger has to agree with: from files, and from wherever they are kept.

    Args:
        settings: say whom to believe, and where they are kept.
        files: signed notes, one after the other in each.
        anchors: whether the anchors are asked.

    Raises:
        AnchorUnavailable: one of them could not be asked.
        ConfigError: a key or a file cannot be read.
        VerificationFailed: something is not signed by a key of this log, a witness knows a later checkpoint, or no
            anchor that was asked keeps any.
    """
    from guardrail.checkpointing import believe, collect  # noqa: PLC0415  cryptography: help does without
    from guardrail.ledger.signed import Kept  # noqa: PLC0415
    from guardrail.proofs.anchors import FileAnchor  # noqa: PLC0415

    told = declared(settings)
    keys = told.keys(settings.folder)
    kept: list[Kept] = []
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{file}: there is no such file", fix="name a file with signed checkpoints")
        anchor = FileAnchor(file)
        notes = anchor.held(None)
        if not notes:
            raise ConfigError(f"{file} holds no checkpoint", fix="name a file with signed checkpoints")
        kept += [Kept(where=anchor.title, checkpoint=believe(note, keys, anchor.title)) for note in notes]
    if anchors:
        places = told.anchored(settings.folder)
        if not places:
            raise ConfigError("[checkpoints.anchors] names no place", fix="add file, git or witnesses to it")
        held, failed = collect(settings.ledger_path, keys, places)
        if failed:
            raise failed[0][1]
        if (
            not held
        ):  # a witness can only be asked about a checkpoint, so one that is lost must not pass for none
            raise VerificationFailed(
                f"no checkpoint of this ledger is kept by {' or '.join(place.title for place in places)}",
                fix="`guardrail checkpoint` makes one; where one was made before, compare the ledger with a backup",
            )
        kept += held
    return kept


def declared(settings: Config) -> CheckpointSettings:
    """What the configuration says of checkpoints.

    Raises:
        ConfigError: nothing.
    """
    if settings.checkpoints is None:
        raise ConfigError(
            "guardrail.toml says nothing of checkpoints",
            fix="add a table [checkpoints]; docs/proofs.md shows one",
        )
    return settings.checkpoints


def _place(config: Path, record: str) -> tuple[int, int]:
    """Log and sequence of a record."""
    found = _PLACE.fullmatch(record)
    if found is not None:
        return int(found[1]), int(found[2])
    if not record.startswith("call_"):
        raise typer.BadParameter("name a record: LOG/SEQUENCE, or a call")
    with opened(config) as (_, ledger):
        call = ledger.call(record)
    return call.log, call.sequence
