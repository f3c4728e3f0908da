"""What is wrong with arguments is said without the arguments: they may be secret."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from guardrail.errors import InvalidArguments, InvalidTool
from guardrail.functions import Signature
from guardrail.schemas import validate_schema

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer"}, 'breaks "type": "integer" of the schema'),
        ({"enum": ["a", "ü"]}, 'breaks "enum": ["a", "ü"] of the schema'),
        ({"const": 1}, 'breaks "const": 1 of the schema'),
        ({"pattern": "^[0-9]+$"}, 'breaks "pattern": "^[0-9]+$" of the schema'),
        ({"maxLength": 3}, 'breaks "maxLength": 3 of the schema'),
        ({"not": {}}, 'breaks "not": {} of the schema'),
        (False, "not allowed by the schema"),
    ],
)
def test_a_fault_names_what_the_schema_wants_and_where(schema: Any, said: str):
    with pytest.raises(InvalidArguments) as caught:
        validate_schema("login", {"properties": {"password": schema}}, {"password": SECRET})
    place = "password" if schema else "the arguments"
    assert caught.value.message == f"login: {place}: {said}"


def test_a_missing_argument_is_named():
    with pytest.raises(InvalidArguments) as caught:
        validate_schema("login", {"required": ["user"]}, {"password": SECRET})
    assert caught.value.message == 'login: the arguments: breaks "required": ["user"] of the schema'


def test_a_tag_that_no_type_has_is_not_quoted():
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    def adopt(animal: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    with pytest.raises(InvalidArguments) as caught:
        Signature(adopt).bind(({"kind": SECRET},), {})
    assert SECRET not in str(caught.value)


EVIL = "^(a+)+$"
BOMB = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {
    "a40": {"type": "integer"}
}
MIXED = [item for number in range(4_000) for item in (number, str(number))]


@pytest.mark.parametrize(
    ("schema", "arguments", "fault"),
    [
        ({"properties": {"a": {"pattern": EVIL}}}, {"a": "a" * 50 + "!"}, 'a: breaks "pattern"'),
        (
            {"patternProperties": {EVIL: {"type": "integer"}}, "additionalProperties": False}, {"a" * 50 + "!": 1},
            'breaks "additionalProperties"',
        ),
        ({"patternProperties": {EVIL: {"type": "integer"}}}, {"a" * 50: "x"}, 'breaks "type"'),
        ({"patternProperties": {"x": {}}, "additionalProperties": {"type": "null"}}, {"y": 1}, 'y: breaks "type"'),
        ({"$defs": BOMB, "properties": {"a": {"$ref": "#/$defs/a0"}}}, {"a": 1}, "takes more than 100,000 steps"),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": MIXED}, "takes more than 100,000 steps"),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": ["x", "x"]}, 'a: breaks "uniqueItems"'),
    ],
)  # fmt: skip
def test_a_strangers_schema_takes_bounded_time(schema: Any, arguments: Any, fault: str):
    with pytest.raises(InvalidArguments) as refused:
        validate_schema("tool", schema, arguments)
    assert fault in refused.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"pattern": "(?=a)b"}}}, {"properties": {"a": {"pattern": r"(a)\1"}}},
        {"properties": {"a": {"pattern": "("}}}, {"patternProperties": {"(?!a)": {}}},
        {"$defs": {"x": {"pattern": "a{999}{999}"}}},
        {"properties": {"default": {"patternProperties": {"a": {}}}}, "unevaluatedProperties": False},
    ],
)  # fmt: skip
def test_a_pattern_that_cannot_be_matched_in_bounded_time_is_refused_before_anything_is_validated(
    schema: Any,
):
    with pytest.raises(InvalidTool) as refused:
        validate_schema("tool", schema, {})
    assert "a pattern that cannot be matched in bounded time" in refused.value.message
    assert "look-around" in refused.value.fix


def test_what_a_schema_means_is_what_it_meant() -> None:
    schema = {
        "properties": {
            "mail": {"pattern": r"^[\w.+-]+@[\w-]+\.\w+$"},
            "x-1": {},
            "tags": {"uniqueItems": True},
        },
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
        "default": {"pattern": "(?=a value, and no pattern)"},
    }
    fine = {"mail": "anna@example.com", "x-1": 1, "x-2": 2, "tags": [str(number) for number in range(5_000)]}
    assert validate_schema("tool", schema, fine) == fine
    for wrong in ({"mail": "anna"}, {"x-1": "1"}, {"y": 1}):
        with pytest.raises(InvalidArguments):
            validate_schema("tool", schema, wrong)
