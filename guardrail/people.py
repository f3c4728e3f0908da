"""The people who answer for agents: one person, however he comes in.

A channel knows its own name for somebody (an account of this computer, a Slack user, a token). Here they
become one `Person`, so that nobody votes twice, and whoever agents act for is known to be that person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guardrail.errors import ConfigError, Conflict


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may answer.

    Attributes:
        id: the plain name under which votes are stored.
        name: for other people.
        roles: what policies may ask for as `role:NAME`.
        slack: ids of the person's Slack users (`U…`).
        principals: who this person is where agents act for somebody (`user:anna`).
        attributes: for policies.
    """

    id: str
    name: str = ""
    roles: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=_nothing)

    def as_json(self) -> dict[str, Any]:
        """The form in which the approval policy sees a person."""
        return {
            "id": self.id,
            "roles": list(self.roles),
            "principals": list(self.principals),
            "attributes": dict(self.attributes),
        }


class People:
    """Everybody who may answer.

    Where nobody is declared, every plain name is somebody without roles: enough to try things out on one
    computer, and no identity that anybody has verified.

    Args:
        people: those that are declared.

    Raises:
        ConfigError: two of them have the same name, Slack user or principal: then one person could be two.
    """

    def __init__(self, people: Iterable[Person] = ()) -> None:
        self._by_id: dict[str, Person] = {}
        self._by_slack: dict[str, Person] = {}
        principals: dict[str, Person] = {}
        for person in people:
            _claim(self._by_id, person.id.casefold(), person, "name")
            for user in person.slack:
                _claim(self._by_slack, user, person, "Slack user")
            for principal in person.principals:
                _claim(principals, principal.casefold(), person, "principal")

    @property
    def are_declared(self) -> bool:
        """Whether anybody is declared: then nobody else votes."""
        return bool(self._by_id)

    def find(self, person: str) -> Person | None:
        """The person with this id; None where others are declared, and this one is not."""
        if not self._by_id:
            return Person(id=person)
        found = self._by_id.get(person.casefold())
        return found if found is not None and found.id == person else None

    def person(self, person: str) -> Person:
        """The person with this id.

        Raises:
            Conflict: others are declared, and this one is not.
        """
        found = self.find(person)
        if found is None:
            raise Conflict(
                f"{person} is not one of the people of guardrail.toml",
                fix=f"vote as one of: {', '.join(sorted(known.id for known in self._by_id.values()))} "
                "(--as NAME), or add [people.NAME]",
            )
        return found

    def of_slack(self, user: str) -> Person | None:
        """The person whom a Slack user is; None where nobody has said so."""
        return self._by_slack.get(user)


def _claim(taken: dict[str, Person], name: str, person: Person, what: str) -> None:
    other = taken.setdefault(name, person)
    if other is not person:
        raise ConfigError(
            f"people.{person.id} and people.{other.id} have the same {what} {name!r}: one person is one entry",
            fix="put both into one table [people.NAME]",
        )
