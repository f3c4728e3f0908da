"""No way of calling a function gets past its signature."""

import datetime
import functools
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from guardrail.canonical import canonical, thaw
from guardrail.errors import InvalidArguments, InvalidTool
from guardrail.functions import Signature


def transfer(to: str, amount: int = 1, *notes: str, urgent: bool = False, **extra: float) -> str:
    """Send money."""
    return f"{to} {amount} {notes} {urgent} {extra}"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("mallory", 7), {}), (("mallory",), {"amount": 7}), ((), {"amount": "7", "to": "mallory"})],
)
def test_positional_and_keyword_arguments_mean_the_same(args: tuple[Any, ...], kwargs: dict[str, Any]):
    bound = Signature(transfer).bind(args, kwargs)
    assert bound == {"to": "mallory", "amount": 7, "notes": [], "urgent": False, "extra": {}}


def test_the_function_gets_back_what_was_bound():
    signature = Signature(transfer)
    bound = signature.bind(("a", 2, "x", "y"), {"urgent": True, "fee": 1.5})
    args, kwargs = signature.unbind(bound)
    assert transfer(*args, **kwargs) == transfer("a", 2, "x", "y", urgent=True, fee=1.5)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'to'"),
        (("a", "many"), {}, "amount: Input should be a valid integer"),
        (("a", 2**70), {}, "beyond ±"),
        (("a\x00",), {}, "NUL"),
        (("\ud800",), {}, "lone surrogate"),
        (("a",), {"fee": float("nan")}, "nan"),
        (("a",), {"to": "b"}, "multiple values"),
        (("x" * 1_000_000,), {}, "bytes of JSON"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(args: Any, kwargs: Any, said: str):
    with pytest.raises(InvalidArguments) as caught:
        Signature(transfer).bind(args, kwargs)
    assert said in str(caught.value)


class Order(BaseModel):
    item: str
    note: Any = None


def anything(
    x: Any = None,
    limits: dict[str, Any] | None = None,
    rate: float | str | None = None,
    order: Order | None = None,
) -> None: ...


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("argument", "place"),
    [("x", "/x"), ("limits", "/limits/most"), ("rate", "/rate"), ("order", "/order/note")],
)
def test_a_number_that_json_cannot_carry_is_refused_and_does_not_become_null(
    number: float, argument: str, place: str
):
    value = {"limits": {"most": number}, "order": {"item": "x", "note": number}}.get(argument, number)
    with pytest.raises(InvalidArguments, match=f"{place} is {number}, which JSON cannot carry"):
        Signature(anything).bind((), {argument: value})


def test_values_that_are_not_json_come_back_as_their_own_type():
    def book(when: datetime.datetime, price: Decimal, _private: int = 1) -> None: ...

    signature = Signature(book)
    moment = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    bound = signature.bind((moment, Decimal("1.10")), {})
    assert bound == {"when": "2026-01-02T03:04:00Z", "price": "1.10", "_private": 1}
    assert signature.unbind(bound) == ([moment, Decimal("1.10"), 1], {})


def test_models_are_bound_with_their_defaults():
    class Payment(BaseModel):
        to: str
        amount: int = 3

    def pay(payment: Payment) -> None: ...

    signature = Signature(pay)
    assert signature.bind(({"to": "a"},), {}) == {"payment": {"to": "a", "amount": 3}}


def test_a_validation_that_changes_something_each_time_is_refused():
    def grow(text: Annotated[str, AfterValidator(lambda text: text + "!")]) -> None: ...

    with pytest.raises(InvalidArguments, match="twice gives something else"):
        Signature(grow).bind(("a",), {})


def test_a_validation_that_gives_something_else_once_the_call_was_judged_stops_it():
    """Whoever looks a value up somewhere gets the judged one, or nothing runs."""
    book = {"bob": "DE1"}

    def pay(to: Annotated[str, AfterValidator(lambda name: book.get(name, name))]) -> None: ...

    signature = Signature(pay)
    bound = signature.bind(("bob",), {})
    assert bound == {"to": "DE1"}
    book["DE1"] = "XX9"
    with pytest.raises(InvalidArguments, match="judged validate to others now"):
        signature.unbind(bound)


def test_generators_are_refused_because_they_act_after_they_return():
    def items():
        yield 1

    async def async_items():
        yield 1

    class Instance:
        def __call__(self):
            yield 1

    @functools.wraps(items)
    def decorated(*args: Any) -> Any:
        return items(*args)

    for function in (items, async_items, Instance(), decorated):
        with pytest.raises(InvalidTool, match="generator"):
            Signature(function)


def test_types_without_a_schema_are_refused_at_wrap_time():
    class Socket: ...

    def send(socket: Socket) -> None: ...

    with pytest.raises(InvalidTool, match="cannot be validated"):
        Signature(send)


def test_methods_partials_and_callable_objects_have_signatures_too():
    class Bank:
        def send(self, to: str) -> None: ...

        def __call__(self, to: str) -> None: ...

    bound = {"to": "a"}
    assert Signature(Bank().send).bind(("a",), {}) == bound
    assert Signature(Bank()).bind(("a",), {}) == bound
    assert Signature(functools.partial(transfer, "a")).bind((), {})["amount"] == 1


def test_the_schema_says_what_the_signature_says_and_nothing_of_its_names():
    def pay(to: str, amount: int = 1) -> None: ...

    assert Signature(pay).schema == {
        "additionalProperties": False,
        "properties": {"to": {"type": "string"}, "amount": {"type": "integer", "default": 1}},
        "required": ["to"],
        "type": "object",
    }


@given(st.text(), st.integers(-(2**53) + 1, 2**53 - 1), st.lists(st.text(max_size=5), max_size=3))
def test_binding_and_unbinding_is_the_identity(to: str, amount: int, notes: list[str]):
    signature = Signature(transfer)
    try:
        bound = signature.bind((to, amount, *notes), {})
    except InvalidArguments:
        return  # NUL and lone surrogates are refused, not changed
    assert signature.unbind(bound) == ([to, amount, *notes], {"urgent": False})


@given(
    st.sampled_from(
        [str, int, float, bool, int | None, list[str], dict[str, float], list[dict[str, bool | None]]]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_what_validates_as_a_plain_type_validates_to_itself(kind: Any, value: Any):
    def act(value: Any) -> None: ...

    act.__annotations__["value"] = kind
    signature = Signature(act)
    try:
        bound = signature.bind((value,), {})
    except InvalidArguments:
        return
    assert canonical(signature.bind((), thaw(canonical(bound)))) == canonical(bound)
