"""One person, however he comes in."""

import pytest

from guardrail.errors import ConfigError, Conflict
from guardrail.people import People, Person

ANNA = Person(id="anna", roles=("finance",), slack=("U01",), principals=("user:anna",))
BEN = Person(id="ben", slack=("U02", "U03"))


def test_a_person_is_found_by_every_name_that_a_channel_knows():
    people = People([ANNA, BEN])
    assert (people.person("anna"), people.of_slack("U01"), people.of_slack("U03")) == (ANNA, ANNA, BEN)
    assert (people.of_slack("U99"), people.find("mia"), people.are_declared) == (None, None, True)


@pytest.mark.parametrize("name", ["mia", "Anna", "anna ", "", "U01", "user:anna"])
def test_nobody_else_is_a_person(name: str):
    with pytest.raises(Conflict, match=r"not one of the people of guardrail.toml") as caught:
        People([ANNA, BEN]).person(name)
    assert caught.value.fix == "vote as one of: anna, ben (--as NAME), or add [people.NAME]"


def test_where_nobody_is_declared_every_name_is_somebody_without_roles():
    assert (People().person("mia"), People().are_declared) == (Person(id="mia"), False)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Person(id="Anna"), "the same name 'anna'"),
        (Person(id="ben", slack=("U01",)), "the same Slack user 'U01'"),
        (Person(id="ben", principals=("User:Anna",)), "the same principal 'user:anna'"),
    ],
)
def test_one_person_is_not_two(other: Person, what: str):
    with pytest.raises(ConfigError, match=what):
        People([ANNA, other])
