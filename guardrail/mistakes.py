"""Mistakes in a configuration, in words: the file, the key, what was expected and what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guardrail.errors import ConfigError

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_EXPECTED: Final = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "int_type": "a whole number",
    "model_type": "a table",
    "string_type": "a text",
    "tuple_type": "a list",
}


class MisplacedSecretError(ValueError):
    """What stands there may be a secret, so it is not repeated where people and logs read it."""


def described(
    error: ValidationError, *, file: str, settings: type[BaseModel], environment: Mapping[str, str]
) -> ConfigError:
    """What pydantic found wrong, for the person who wrote the file.

    Args:
        error: what was found.
        file: the name of the file, as given.
        settings: the model of the whole file.
        environment: setting → environment variable, for those that one has set.
    """
    lines = list(dict.fromkeys(_line(item, file, settings, environment) for item in error.errors()))
    return ConfigError("\n".join(lines), fix="correct it and run `guardrail check`")


def unknown_key(file: str, key: str, known: Iterable[str]) -> str:
    """That a key is not known, and which one may be meant."""
    keys = sorted(known)
    near = close_to(key.rpartition(".")[2], keys)
    hint = f"did you mean {near!r}?" if near else f"known here are: {', '.join(keys)}"
    return f"{file}: {key}: there is no such key; {hint}"


def close_to(word: str, known: Iterable[str]) -> str | None:
    """The known word that may be meant."""
    return next(iter(get_close_matches(word, known, n=1)), None)


def _line(item: ErrorDetails, file: str, settings: type[BaseModel], environment: Mapping[str, str]) -> str:
    place = [part for part in item["loc"] if part != "[key]"]
    key = _dotted(place)
    if item["type"] == "extra_forbidden":
        return unknown_key(file, key, _keys(place, settings))
    if item["type"] == "missing":
        return f"{file}: {key}: this key is missing"
    if not place:  # a check over several keys, which names them itself
        return f"{file}: {_said(item)}"
    if len(place) == 1 and key in environment:
        file, key = "environment", environment[key]
    if isinstance(item.get("ctx", {}).get("error"), MisplacedSecretError):
        return f"{file}: {key}: {_said(item)}"
    return f"{file}: {key}: {_said(item)}; found {_found(item['input'])}"


def _said(item: ErrorDetails) -> str:
    """What was expected: a check of our own says it in its words, pydantic's are put into plain ones."""
    context = item.get("ctx", {})
    if "error" in context:
        return str(context["error"])
    plain = context.get("expected") or _EXPECTED.get(item["type"])
    return f"expected {plain or item['msg'].removeprefix('Input should be ')}"


def _dotted(place: list[int | str]) -> str:
    """A place as TOML writes it: `tools."bank/pay".effect`, list items as `[0]`."""
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += ("." if key else "") + (part if _BARE_KEY.fullmatch(part) else json.dumps(part))
    return key


def _keys(place: list[int | str], settings: type[BaseModel]) -> list[str]:
    """The keys that are known where an unknown one stands."""
    for part in place[:-1]:
        field = settings.model_fields.get(part) if isinstance(part, str) else None
        if field is not None:
            settings = _table(field.annotation) or settings
    return list(settings.model_fields)


def _table(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table(part))), None)


def _found(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
