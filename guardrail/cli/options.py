"""What commands have in common: their options, and the configuration and ledger that they open."""

from __future__ import annotations

import getpass
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from guardrail.cli.output import Output
from guardrail.errors import Conflict
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.ledger import Ledger

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", envvar="GUARDRAIL_CONFIG", metavar="PATH", help="The configuration.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Color = Annotated[
    bool | None,
    typer.Option("--color/--no-color", help="Colours, also into a pipe. Left out: as the terminal."),
]
Person = Annotated[
    str | None,
    typer.Option("--as", metavar="PERSON", help="Who does this. Left out: the user of this computer."),
]
LedgerAddress = Annotated[
    str | None,
    typer.Option(
        "--ledger", metavar="ADDRESS",
        help="The address of the ledger for this command: that of the role that owns its tables.",
    ),
]  # fmt: skip
CONFIG = Path("guardrail.toml")

_Item = TypeVar("_Item")


def load(path: Path) -> Config:
    """The configuration.

    Raises:
        ConfigError: it is missing or wrong.
    """
    from guardrail.config import Config  # noqa: PLC0415  pydantic: `guardrail --help` does without

    return Config.load(path)


@contextmanager
def opened(path: Path, address: str | None = None) -> Generator[tuple[Config, Ledger]]:
    """The configuration and its ledger, closed afterwards.

    Args:
        path: of the configuration.
        address: where the ledger is, in place of what that says: the same one, as another role.

    Raises:
        ConfigError: the configuration is missing or wrong.
        LedgerUnavailable: the ledger cannot be opened.
    """
    config = at(load(path), address)
    ledger = config.open_ledger()
    try:
        yield config, ledger
    finally:
        ledger.close()


def at(config: Config, address: str | None) -> Config:
    """The configuration with another address of its ledger; None = with its own.

    Raises:
        BadParameter: it is none that `[ledger] path` takes.
    """
    if address is None:
        return config
    from pydantic import ValidationError  # noqa: PLC0415  only where it is given

    try:
        type(config.ledger).model_validate({"path": address})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(said, param_hint="--ledger") from error
    return config.model_copy(update={"ledger": config.ledger.model_copy(update={"path": address})})


def listing(config: Config, *, color: bool | None, as_json: bool = False) -> Output:
    """Where a listing is printed; under `mode = "observe"` it begins by saying so."""
    output = Output(color=color)
    if config.mode == "observe" and not as_json:
        output.observing()
    return output


@dataclass(frozen=True, kw_only=True)
class Who:
    """The person who acts, and how the command knows."""

    id: str
    known: str

    def __str__(self) -> str:
        return f"{visible(self.id)} ({self.known})"


def person_or_user(person: str | None) -> Who:
    """Who acts: the person named, else the user of this computer.

    Raises:
        BadParameter: nobody is named, and the user has no name.
    """
    if person is not None:
        return Who(id=person, known="as named by --as")
    try:
        return Who(id=getpass.getuser(), known="the user of this computer")
    except (OSError, KeyError, ImportError) as error:
        raise typer.BadParameter("this user has no name here; say who you are: --as NAME") from error


def only(what: str, given: str, found: Iterable[tuple[str, _Item]], *, fix: str) -> _Item:
    """The one item whose id is `given`, or begins with it.

    Args:
        what: what is looked for, in one word.
        given: the id, or its beginning.
        found: ids and items.
        fix: where the ids can be read.

    Raises:
        Conflict: none, or several.
    """
    items = {id_: item for id_, item in found if given and id_.startswith(given)}
    if given in items:
        return items[given]
    if not items:
        raise Conflict(f"there is no {what} {given!r}", fix=fix)
    if len(items) > 1:
        some = ", ".join(sorted(items)[:5])
        raise Conflict(f"{given!r} is the beginning of {len(items)} ids: {some}", fix="give more of the id")
    return items.popitem()[1]
