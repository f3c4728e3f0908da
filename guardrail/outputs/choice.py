"""Which checks look at outputs: the built-in ones, and those that other distributions bring.

A distribution brings a check by the entry-point group `guardrail.checks`: its name, and a `CheckFactory`. Only those
are loaded that a configuration names, so that installing a distribution changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, cast

from guardrail.canonical import parse
from guardrail.errors import ConfigError, GuardrailError
from guardrail.outputs.check import Check, CheckFactory, ConfiguredCheck
from guardrail.outputs.injection import InjectionMarks
from guardrail.outputs.json_schema import JsonSchema
from guardrail.outputs.packages import Packages
from guardrail.outputs.personal import KINDS, PersonalData
from guardrail.outputs.secrets import Secrets
from guardrail.outputs.size import BYTES, Size
from guardrail.patterns import ToolPattern

GROUP: Final = "guardrail.checks"
"""The entry-point group of other people's checks."""
DEFAULT: Final = ("secrets", "personal", "injection", "size")
"""The checks that look where nothing else is said."""
LIMIT: Final = 1.0
"""Seconds that a check may take which is not known to be quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A check that somebody wants.

    Attributes:
        name: what it is called.
        use: which one it is; empty = the one of that name.
        required: its `error` may never pass; None = it is, but for `injection` and `packages`, which are advice.
        limit: seconds; None = none for the built-in ones that are quick, `LIMIT` for others.
        tools: patterns of whose outputs it looks at; empty = everybody's.
        options: of the check.
    """

    name: str
    use: str = ""
    required: bool | None = None
    limit: float | None = None
    tools: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def checks_of(wanted: Iterable[Wanted], folder: Path) -> tuple[ConfiguredCheck, ...]:
    """The checks, in order.

    Args:
        wanted: which.
        folder: what paths in options are relative to.

    Raises:
        ConfigError: there is no such check, it cannot be loaded, or an option is not what it may be.
    """
    return tuple(_configured(item, folder) for item in wanted)


def default_checks() -> tuple[ConfiguredCheck, ...]:
    """The checks that look where nothing else is said."""
    return checks_of([Wanted(name=name) for name in DEFAULT], Path())


def _configured(wanted: Wanted, folder: Path) -> ConfiguredCheck:
    use = wanted.use or wanted.name
    factory = BUILT_IN[use] if use in BUILT_IN else _brought(use)
    return ConfiguredCheck(
        name=wanted.name,
        check=_made(wanted, factory, folder),
        required=use not in _ADVICE if wanted.required is None else wanted.required,
        limit=(None if use in _QUICK else LIMIT) if wanted.limit is None else wanted.limit,
        tools=tuple(map(ToolPattern.parse, wanted.tools)),
    )


def _made(wanted: Wanted, factory: CheckFactory, folder: Path) -> Check:
    try:
        check = factory(wanted.options, folder)
    except ConfigError as error:
        raise ConfigError(f"the check {wanted.name!r}: {error.message}", fix=error.fix) from error
    if not callable(getattr(check, "look", None)) or not isinstance(getattr(check, "version", None), str):
        raise ConfigError(f"the check {wanted.name!r} has no version or no look(output)")
    return check


def _brought(use: str) -> CheckFactory:
    """A check of another distribution."""
    found = entry_points(group=GROUP, name=use)
    if not found:
        others = sorted({point.name for point in entry_points(group=GROUP)} | BUILT_IN.keys())
        raise ConfigError(
            f"there is no check {use!r}",
            fix=f"name one of {', '.join(others)}, or install what brings it (entry points {GROUP})",
        )
    try:
        loaded: CheckFactory = next(iter(found)).load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the check {use!r} cannot be loaded: {error}") from error
    return loaded


# --- the options of the built-in checks ---------------------------------------------------------------


def _only(options: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := sorted(options.keys() - set(known)):
        hint = f"its options are {', '.join(known)}" if known else "it has no options"
        raise ConfigError(f"there is no option {unknown[0]!r} of this check", fix=hint)


def _secrets(options: Mapping[str, Any], _: Path) -> Check:
    _only(options, ())
    return Secrets()


def _injection(options: Mapping[str, Any], _: Path) -> Check:
    _only(options, ())
    return InjectionMarks()


def _packages(options: Mapping[str, Any], _: Path) -> Check:
    _only(options, ())
    return Packages()


def _personal(options: Mapping[str, Any], _: Path) -> Check:
    _only(options, ("kinds",))
    kinds: object = options.get("kinds", KINDS)
    if not isinstance(kinds, list | tuple) or not set(cast("list[object]", kinds)) <= set(KINDS):
        raise ConfigError(f"kinds: expected a list of {', '.join(KINDS)}; found {kinds!r}")
    return PersonalData(cast("list[str]", kinds))


def _size(options: Mapping[str, Any], _: Path) -> Check:
    _only(options, ("bytes",))
    size: object = options.get("bytes", BYTES)
    if type(size) is not int or size < 1:
        raise ConfigError(f"bytes: expected a whole number from 1 on; found {size!r}")
    return Size(size)


def _json_schema(options: Mapping[str, Any], folder: Path) -> Check:
    _only(options, ("schema",))
    schema: object = options.get("schema")
    if isinstance(schema, str):
        try:
            schema = parse((folder / schema).read_bytes())
        except OSError as error:
            raise ConfigError(f"schema: {schema} cannot be read: {error.strerror}") from error
        except GuardrailError as error:
            raise ConfigError(f"schema: {options['schema']}: {error.message}") from error
    if not isinstance(schema, dict):
        raise ConfigError("schema: expected a table with a JSON Schema, or the path of a file with one")
    return JsonSchema(cast("dict[str, Any]", schema))


BUILT_IN: Final[Mapping[str, CheckFactory]] = {
    "secrets": _secrets,
    "personal": _personal,
    "injection": _injection,
    "size": _size,
    "packages": _packages,
    "json-schema": _json_schema,
}
"""The checks that come with guardrail."""
_QUICK: Final = BUILT_IN.keys() - {"json-schema"}
_ADVICE: Final = frozenset({"injection", "packages"})
