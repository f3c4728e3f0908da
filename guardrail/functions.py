"""Plain functions as tools: bound by their real signature, validated once, called with what was judged.

Positional arguments, defaults and keywords all end in one JSON object, so no way of calling gets past
a rule. What the function receives is validated again from the frozen bytes of the judged call; a
type whose second validation gives something else is refused. Plain JSON types cannot, so theirs is
not tried out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    ValidationError,
    create_model,
)
from pydantic.errors import PydanticUserError

from guardrail.canonical import canonical, thaw
from guardrail.errors import InvalidArguments, InvalidTool
from guardrail.schemas import is_plain, plain_schema, serialization_message, validation_message

_Kind = inspect.Parameter
_NAMED: Final = frozenset({_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY})


class Signature:
    """The signature of one function, as a schema and back.

    Raises:
        InvalidTool: it is a generator, or its annotations have no JSON Schema.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        inner = acting(function)
        if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
            raise InvalidTool(
                f"{self.name} is a generator: it acts after it has returned, where no guard stands",
                fix="collect its results in a plain function and guard that",
            )
        self._signature = inspect.signature(function)
        self._parameters = tuple(
            (f"a{index}", parameter.name, parameter.kind)
            for index, parameter in enumerate(self._signature.parameters.values())
        )
        self._names = frozenset(self._signature.parameters)
        self._by_name = all(kind in _NAMED for _, _, kind in self._parameters)
        self._model = self._as_model(function)
        fields = self._model.model_fields.values()
        self._is_plain = all(is_plain(field.annotation) and not field.metadata for field in fields)
        self.description = inspect.getdoc(function) or ""
        try:
            self.schema = plain_schema(self._model.model_json_schema())
        except PydanticUserError as error:
            raise InvalidTool(f"the arguments of {self.name} have no JSON Schema: {error}") from error

    def _as_model(self, function: Callable[..., Any]) -> type[BaseModel]:
        target = function if inspect.isroutine(function) else type(function).__call__
        try:
            hints = get_type_hints(target, include_extras=True)
            fields: dict[str, Any] = {
                name: (self._annotation(parameter, hints.get(name, Any)), self._default(parameter))
                for name, parameter in self._signature.parameters.items()
            }
            # Field names of a model may not begin with "_" or hide its methods: fields are numbered, aliases are real.
            numbered: dict[str, Any] = {
                f"a{index}": (annotation, _aliased(default, name))
                for index, (name, (annotation, default)) in enumerate(fields.items())
            }
            config = ConfigDict(
                extra="forbid",
                hide_input_in_errors=True,  # a traceback that is logged would show it
                arbitrary_types_allowed=False,
                validate_default=True,
                ser_json_inf_nan="constants",  # not null: NaN stays what it is, and is refused as such
            )
            return create_model(self.name, __config__=config, **numbered)
        except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as error:
            raise InvalidTool(
                f"the arguments of {self.name} cannot be validated: {error}",
                fix="annotate them with types that pydantic knows",
            ) from error

    @staticmethod
    def _annotation(parameter: inspect.Parameter, hint: Any) -> Any:
        if parameter.kind is _Kind.VAR_POSITIONAL:
            return list[hint]
        if parameter.kind is _Kind.VAR_KEYWORD:
            return dict[str, hint]
        return hint

    @staticmethod
    def _default(parameter: inspect.Parameter) -> Any:
        if parameter.kind is _Kind.VAR_POSITIONAL:
            return []
        if parameter.kind is _Kind.VAR_KEYWORD:
            return {}
        return ... if parameter.default is _Kind.empty else parameter.default

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as one JSON object: coerced, defaults filled in.

        Raises:
            InvalidArguments: they do not fit the signature, do not validate, or have no JSON form.
        """
        if self._by_name and not args and self._names == frozenset(kwargs):
            return self.validate(kwargs)  # as models call: everything by its name
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}: {error}") from error
        return self.validate(bound.arguments)

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What was given, by name, whether it fits or not."""
        names = (name for _, name, _ in self._parameters)
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Validate arguments by name, and make sure that validating the result again changes nothing."""
        plain = self._dump(self._load(dict(arguments)))
        body = canonical(plain)
        if not self._is_plain and canonical(self._dump(self._load(thaw(body)))) != body:
            raise InvalidArguments(
                f"{self.name}: validating the arguments twice gives something else than once",
                fix="use types whose JSON form reads back as the same value",
            )
        return plain

    def _load(self, arguments: dict[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(arguments)
        except ValidationError as error:
            raise InvalidArguments(validation_message(self.name, error)) from error

    def _dump(self, model: BaseModel) -> dict[str, Any]:
        if self._is_plain:  # pydantic has made plain values of them
            return {name: getattr(model, field) for field, name, _ in self._parameters}
        try:
            return model.model_dump(mode="json", by_alias=True, warnings="error")
        except (ValueError, TypeError) as error:  # pydantic's serialisation error is a ValueError
            raise InvalidArguments(serialization_message(self.name, error)) from None  # it quotes the value

    def unbind(self, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """From a judged call's JSON object to what the function is called with.

        Raises:
            InvalidArguments: a validator makes something else of the judged arguments now than it did then.
        """
        model = self._load(arguments)
        if not self._is_plain and canonical(self._dump(model)) != canonical(arguments):
            raise InvalidArguments(
                f"{self.name}: the arguments that were judged validate to others now; nothing was executed",
                fix="use validators that depend on their value alone",
            )
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for field, name, kind in self._parameters:
            value = getattr(model, field)
            if kind is _Kind.VAR_POSITIONAL:
                positional += value
            elif kind is _Kind.VAR_KEYWORD:
                named |= value
            elif kind is _Kind.KEYWORD_ONLY:
                named[name] = value
            else:
                positional.append(value)
        return positional, named


def acting(function: Callable[..., Any]) -> Callable[..., Any]:
    """What acts when this is called: under decorators, and behind the call of an instance."""
    unwrapped = inspect.unwrap(function)
    return unwrapped if inspect.isroutine(unwrapped) else inspect.unwrap(type(unwrapped).__call__)


def _aliased(default: Any, name: str) -> Any:
    return Field(alias=name) if default is ... else Field(default, alias=name)
