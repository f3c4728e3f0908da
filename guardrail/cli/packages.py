"""`packages`: what registries say of packages, what was seen of them before, and the snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, listing, load, opened
from guardrail.cli.output import NO, Output
from guardrail.errors import ConfigError
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.registry.names import Ecosystem

app = typer.Typer(help="Packages and their registries.", no_args_is_help=True)

_FOLDER: Final = "packages-snapshot"
_STATES: Final = {True: "there", False: "missing", None: "unknown"}

Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of packages.")]
OfEcosystem = Annotated[str, typer.Option("--ecosystem", metavar="pypi|npm", help="Whose packages.")]


@app.callback()
def packages() -> None:
    """Look packages up as rules see them: see docs/packages.md."""


@app.command()
def look(
    names: Names,
    *,
    ecosystem: OfEcosystem = "pypi",
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Say what rules see of packages. Exit code 1 where one is missing, or cannot be found out about."""
    kind = _ecosystem(ecosystem)
    with opened(config) as (settings, ledger):
        output = listing(settings, color=color, as_json=as_json)
        registry = settings.packages(ledger)
        try:
            found = [dict(registry.look(*_package(kind, name))) for name in names]
        finally:
            registry.close()
    for fact in found:
        del fact["source"]
    if as_json:
        output.document({"mode": settings.mode, "packages": found})
    else:
        columns = ("PACKAGE", "STATE", "SAID BY", "DAYS", "RELEASES", "RANK", "REMARKS")
        output.table(columns, map(_row, found))
    if any(fact["known"] is not True for fact in found):
        raise typer.Exit(NO)


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a package.")],
    *,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Show what was seen of a name, and when: whether it was missing before it was there."""
    with opened(config) as (settings, ledger):
        output = listing(settings, color=color, as_json=as_json)
        seen = ledger.observations({_normal(kind, name) for kind in ("pypi", "npm")})
    rows = [(one.ecosystem, one.source, _STATES[one.known], one.since, one.checked) for one in seen]
    if as_json:
        keys = ("ecosystem", "source", "state", "since", "checked")
        document = [dict(zip(keys, row, strict=True)) for row in rows]
        output.document({"mode": settings.mode, "observations": document})
    elif rows:
        output.table(("ECOSYSTEM", "INDEX", "STATE", "FIRST SEEN SO", "LAST SEEN SO"), rows)
    else:
        output.line(f"Nobody has looked {visible(name)} up.")


@app.command()
def snapshot(
    *,
    ecosystem: OfEcosystem = "pypi",
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="A file with all names, one a line.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where. Left out: as \\[registry] snapshot says."),
    ] = None,
    config: ConfigPath = CONFIG,
    color: Color = None,
) -> None:
    """Build the offline snapshot, or the next one: names that were in the last one keep their day."""
    from guardrail.registry import build  # noqa: PLC0415  `guardrail --help` does without

    kind = _ecosystem(ecosystem)
    settings = load(config)
    found, source = _all_names(settings, kind, names)
    place = folder or settings.folder / (settings.registry.snapshot or _FOLDER)
    part = build(place, kind, found, day=datetime.now(UTC).date(), source=source)
    output = Output(color=color)
    output.line(f"{part.names:,} names of {kind} in {visible(str(place))}, as of {part.date}")
    output.line(f"sha256 {part.digest}")
    if settings.registry.snapshot is None and folder is None:
        output.line(f'To use it: snapshot = "{_FOLDER}" under [registry]')


def _all_names(settings: Config, ecosystem: Ecosystem, file: Path | None) -> tuple[tuple[str, ...], str]:
    """The names, and where they come from."""
    from guardrail.registry.listing import all_names  # noqa: PLC0415

    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the names in {file} cannot be read: {error}") from error
        return tuple(_normal(ecosystem, line.strip()) for line in lines if line.strip()), str(file)
    indexes = settings.registry.indexes(settings.folder)
    index = next((one for one in indexes if one.title == ecosystem == "pypi"), None)
    if index is None:
        raise ConfigError(
            f"no index is declared that lists all names of {ecosystem}",
            fix="declare pypi under [registry], or give the names with --names FILE",
        )
    return all_names(index), index.url


def _row(fact: dict[str, Any]) -> tuple[object, ...]:
    remarks = [fact["why"]] if fact["why"] else []
    if fact["appeared"]:
        remarks.append("was missing before")
    if fact["nearest"]:
        remarks.append(f"like {fact['nearest']}")
    if fact["conflation"]:
        remarks.append("joined from names of others")
    remarks += [f"is on {other}" for other in fact["elsewhere"]]
    title = f"{fact['ecosystem']}/{fact['name']}"
    state, said_by = _STATES[fact["known"]], fact["registry"]
    return title, state, said_by, fact["age_days"], fact["releases"], fact["rank"], "; ".join(remarks)


def _ecosystem(text: str) -> Ecosystem:
    if text == "pypi":
        return "pypi"
    if text == "npm":
        return "npm"
    raise typer.BadParameter("expected pypi or npm", param_hint="--ecosystem")


def _package(ecosystem: Ecosystem, name: str) -> tuple[Ecosystem, str]:
    """Ecosystem and name, where a name is given as rules and settings write it too: `npm/left-pad`."""
    before, _, after = name.partition("/")
    if before in {"pypi", "npm"} and after:
        ecosystem, name = _ecosystem(before), after
    if not name.strip() or any(letter.isspace() for letter in name):
        raise typer.BadParameter(f"no package is named {visible(name)!r}", param_hint="NAME")
    return ecosystem, _normal(ecosystem, name)


def _normal(ecosystem: str, name: str) -> str:
    """A name as facts have it."""
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    return canonicalize_name(name) if ecosystem == "pypi" else name
