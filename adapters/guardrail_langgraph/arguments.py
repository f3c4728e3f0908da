"""What a tool accepts: its arguments as JSON, coerced as the tool will get them, and back.

LangChain validates inside the tool, after everybody has looked: a policy would compare "500" where the
tool gets 500. Here it happens first, with the tool's own schema and all of its validators, and what
comes out is what is judged and what the tool is then called with.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from langchain_core.tools import BaseTool, Tool
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from guardrail.canonical import canonical, thaw
from guardrail.errors import InvalidArguments, InvalidTool
from guardrail.schemas import (
    is_plain,
    plain_schema,
    serialization_message,
    validate_schema,
    validation_message,
)

SINGLE: Final = "__arg1"
"""How LangChain names the argument of a tool that takes one text."""


class Arguments(Protocol):
    """The arguments of one tool."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of what the model may send."""
        ...

    @property
    def injected(self) -> frozenset[str]:
        """Names of arguments that the runtime fills in and no model may send."""
        ...

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as JSON values: coerced, defaults filled in, stable under a second validation.

        Raises:
            InvalidArguments: they do not validate, have no JSON form, or do not stay the same.
        """
        ...

    def given(self, judged: dict[str, Any]) -> dict[str, Any]:
        """What the tool is called with, from the judged arguments."""
        ...


def arguments_of(tool: BaseTool) -> Arguments:
    """The arguments of a tool, whatever its schema was made from.

    Raises:
        InvalidTool: they cannot be validated.
    """
    if isinstance(tool.args_schema, dict):
        schema: dict[str, Any] = tool.args_schema
        return _JsonSchema(tool.name, schema, _injected_by_signature(tool))
    if isinstance(tool, Tool) and tool.args_schema is None:
        return _SingleText(tool.name)
    return _Model(tool)


class _JsonSchema:
    """Arguments that are described by a JSON Schema, as those of MCP tools are."""

    def __init__(self, name: str, schema: Mapping[str, Any], injected: frozenset[str]) -> None:
        self._name = name
        self._full = schema
        self.injected = injected
        self.schema = plain_schema(schema)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        canonical(dict(arguments))  # what JSON cannot carry is refused before a validator meets it
        sent = {name: value for name, value in arguments.items() if name not in self.injected}
        return validate_schema(self._name, self._full, sent)

    def given(self, judged: dict[str, Any]) -> dict[str, Any]:
        return judged


class _SingleText(_JsonSchema):
    """The one text of a `langchain_core.tools.Tool`, which takes it under any name."""

    def __init__(self, name: str) -> None:
        schema = {"type": "object", "properties": {SINGLE: {"type": "string"}}, "required": [SINGLE]}
        super().__init__(name, {**schema, "additionalProperties": False}, frozenset())

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        single = {SINGLE: next(iter(arguments.values()))} if len(arguments) == 1 else arguments
        return super().validate(single)


class _Model:
    """Arguments that are described by a pydantic model."""

    def __init__(self, tool: BaseTool) -> None:
        self._name = tool.name
        shown: Any = tool.tool_call_schema
        full: Any = tool.get_input_schema()
        if not (_is_model(shown) and _is_model(full)):
            raise InvalidTool(
                f"the arguments of {tool.name} are described by pydantic's version 1",
                fix="describe them with a model of pydantic 2 or a JSON Schema",
            )
        hidden = frozenset(full.model_fields) - frozenset(shown.model_fields)
        self.injected = hidden | _injected_by_signature(tool)
        try:
            self.schema = plain_schema(shown.model_json_schema())
            self._absent = frozenset(
                name
                for name, field in full.model_fields.items()
                if _defaults_to_an_invalid_none(full, name, field)
            )
            self._model = self._without_injected(full, hidden)
            self._holds_sets = "uniqueItems" in str(self.schema)
            self._plain = _plain_names(self._model, self.injected)
        except (PydanticUserError, NameError, TypeError) as error:
            raise InvalidTool(
                f"the arguments of {tool.name} cannot be validated: {error}",
                fix="annotate them with types that pydantic knows",
            ) from error

    def _without_injected(self, full: type[BaseModel], hidden: frozenset[str]) -> type[BaseModel]:
        """The tool's own model, with its validators, asking for nothing that the model does not send.

        `def f(x: str = None)` is common: None is what the tool gets, though its type says otherwise.
        """
        replaced: dict[str, Any] = dict.fromkeys(hidden, (Any, None))
        for name in self._absent:
            field = copy.copy(full.model_fields[name])
            replaced[name] = (_or_none(field.annotation), field)
        return create_model(full.__name__, __base__=full, **replaced) if replaced else full

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raw = {name: value for name, value in arguments.items() if name not in self.injected}
        first = self._load(raw)
        if self._plain is not None:  # pydantic has made plain values of them, which validate to themselves
            with suppress(InvalidArguments):
                made = {name: getattr(first, name) for name in self._plain}
                canonical(made)
                return made
        plain = self._dump(first)
        body = canonical(plain)
        second = self._load(self._sent(thaw(body)))
        if second != first or canonical(self._dump(second)) != body:
            raise InvalidArguments(
                f"{self._name}: validating the arguments twice gives something else than once",
                fix="use types whose JSON form reads back as the same value",
            )
        if self._load(raw) != first:
            raise InvalidArguments(
                f"{self._name}: validating the same arguments again gives something else",
                fix="let the tool, not its schema, fill in what changes (a time, a random id)",
            )
        return plain

    def given(self, judged: dict[str, Any]) -> dict[str, Any]:
        if self._plain is not None:
            return judged
        sent = self._sent(judged)
        if canonical(self._dump(self._load(sent))) != canonical(judged):
            raise InvalidArguments(
                f"{self._name}: the arguments that were judged validate to others now; nothing was executed",
                fix="use validators that depend on their value alone",
            )
        return sent

    def _sent(self, judged: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value for name, value in judged.items() if value is not None or name not in self._absent
        }

    def _load(self, arguments: Mapping[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(dict(arguments))
        except ValidationError as error:
            raise InvalidArguments(validation_message(self._name, error)) from error
        except RecursionError as error:
            raise InvalidArguments(
                f"{self._name}: the arguments are nested too deep to be validated"
            ) from error

    def _dump(self, model: BaseModel) -> dict[str, Any]:
        exclude = set(self.injected)
        try:
            plain = model.model_dump(mode="json", by_alias=True, exclude=exclude, warnings="error")
        except (
            ValueError,
            TypeError,
            RecursionError,
        ) as error:  # pydantic's serialisation error is a ValueError
            raise InvalidArguments(serialization_message(self._name, error)) from None  # it quotes the value
        if self._holds_sets:
            ordered: dict[str, Any] = _ordered(model.model_dump(by_alias=True, exclude=exclude), plain)
            return ordered
        return plain


def _plain_names(model: type[BaseModel], injected: frozenset[str]) -> tuple[str, ...] | None:
    """The arguments of a model that is nothing but a list of plain JSON types; None where it is more than that."""
    fields = model.model_fields
    settings = {
        key: value
        for key, value in model.model_config.items()
        if key not in {"title", "arbitrary_types_allowed"}
    }
    is_bare = (
        model.__pydantic_decorators__ == BaseModel.__pydantic_decorators__
        and model.__init__ is BaseModel.__init__
        and model.model_post_init is BaseModel.model_post_init
        and model.__bases__ == (BaseModel,)
        and settings in ({}, {"extra": "forbid"})
    )
    if not is_bare or injected & fields.keys() or not all(map(_is_bare_field, fields.values())):
        return None
    return tuple(fields)


def _is_bare_field(field: FieldInfo) -> bool:
    """Whether a field is a plain type with at most a default that validates to itself."""
    names = (field.alias, field.validation_alias, field.serialization_alias, field.default_factory)
    if not is_plain(field.annotation) or field.metadata or any(name is not None for name in names):
        return False
    if field.is_required():
        return True
    try:
        made = TypeAdapter[Any](cast("Any", field.annotation)).validate_python(field.default)
    except ValidationError:
        return False
    return type(made) is type(field.default) and bool(made == field.default)


def _injected_by_signature(tool: BaseTool) -> frozenset[str]:
    """Arguments that only the function declares, such as a `ToolRuntime` beside an explicit schema."""
    return frozenset(getattr(tool, "_injected_args_keys", ()))


def _is_model(schema: object) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _defaults_to_an_invalid_none(model: type[BaseModel], name: str, field: FieldInfo) -> bool:
    if field.is_required() or field.get_default() is not None or field.default_factory is not None:
        return False
    key = field.validation_alias if isinstance(field.validation_alias, str) else field.alias or name
    try:
        model.model_validate({key: None})
    except ValidationError as error:
        return any(fault["loc"][:1] in ((key,), (name,)) for fault in error.errors(include_context=False))
    return False


def _or_none(annotation: Any) -> Any:
    return annotation | None


def _ordered(value: Any, plain: Any) -> Any:
    """The JSON form with the members of sets in a fixed order (Python's own changes with the process)."""
    if isinstance(value, (set, frozenset)):
        return sorted(plain, key=canonical)
    if isinstance(value, Mapping):
        members = cast("Any", value).values()
        return {key: _ordered(item, plain[key]) for key, item in zip(plain, members, strict=True)}
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        return [_ordered(item, shown) for item, shown in zip(items, plain, strict=True)]
    return plain
