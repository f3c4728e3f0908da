"""What is wrong with arguments is said without the arguments: they may be secret."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from guardrail.errors import InvalidArguments
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
