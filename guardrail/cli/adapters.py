"""Adapters that a command needs, and that may not be installed."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from guardrail.errors import ConfigError


def adapter(name: str, part: str, *, needed_by: str) -> ModuleType:
    """A module of an installed adapter.

    Args:
        name: of the adapter, and of its extra.
        part: which of its modules.
        needed_by: what cannot do without it, in words.

    Raises:
        ConfigError: the adapter, or the library that it is for, is not installed.
    """
    fix = f"pip install 'guardrail-runtime[{name}]'"
    found = entry_points(group="guardrail.adapters", name=name)
    if not found:
        raise ConfigError(f"{needed_by} needs the adapter {name}, which is not installed", fix=fix)
    try:
        return import_module(f"{next(iter(found)).module}.{part}")
    except ImportError as error:
        raise ConfigError(f"{needed_by} needs what the extra {name} installs: {error}", fix=fix) from error
